#include "cli/files/inspect_checksums.h"

#include <nlohmann/json.hpp>

namespace exa {

nlohmann::ordered_json to_json(const ModelSums& sums) {
  nlohmann::ordered_json json;
  if (sums.foreign_crc32c) json["note"] = kForeignSums;
  json["files"] = nlohmann::ordered_json::array();
  for (const FileSums& file : sums.files) {
    json["files"].push_back({{"path", file.path},
                             {"bytes", file.size_bytes},
                             {"xxh3", file.sums.xxh3},
                             {"sha256", file.sums.sha256}});
  }
  json["tensors"] = nlohmann::ordered_json::array();
  for (const TensorSums& tensor : sums.tensors) {
    nlohmann::ordered_json entry = {
        {"name", tensor.name}, {"xxh3", tensor.sums.xxh3}, {"sha256", tensor.sums.sha256}};
    if (tensor.scanned) {
      entry["nan"] = tensor.n_nan;
      entry["inf"] = tensor.n_inf;
    }
    if (tensor.crc32c_holds) entry["crc32c_holds"] = *tensor.crc32c_holds;
    json["tensors"].push_back(std::move(entry));
  }
  return json;
}

std::string to_text(const ModelSums& sums) {
  std::string text;
  for (const FileSums& file : sums.files) {
    text += "xxh3 " + file.sums.xxh3 + "  sha256 " + file.sums.sha256 + "  " + file.path + " (" +
            std::to_string(file.size_bytes) + " bytes)\n";
  }
  std::size_t n_with_nan = 0, n_with_inf = 0, n_unscanned = 0, n_damaged = 0, n_stated = 0;
  for (const TensorSums& tensor : sums.tensors) {
    text += "xxh3 " + tensor.sums.xxh3 + "  sha256 " + tensor.sums.sha256 + "  " + tensor.name;
    if (tensor.n_nan > 0) text += "  " + std::to_string(tensor.n_nan) + " NaN";
    if (tensor.n_inf > 0) text += "  " + std::to_string(tensor.n_inf) + " Inf";
    const bool damaged = tensor.crc32c_holds.has_value() && !*tensor.crc32c_holds;
    if (damaged) text += "  damaged: another CRC32C than stated";
    text += "\n";
    n_with_nan += tensor.n_nan > 0 ? 1 : 0;
    n_with_inf += tensor.n_inf > 0 ? 1 : 0;
    n_unscanned += tensor.scanned ? 0 : 1;
    n_stated += tensor.crc32c_holds.has_value() ? 1 : 0;
    n_damaged += damaged ? 1 : 0;
  }
  text += std::to_string(sums.tensors.size()) + " tensors: " + std::to_string(n_with_nan) + " with NaN, " +
          std::to_string(n_with_inf) + " with Inf, " + std::to_string(n_damaged) + " of " +
          std::to_string(n_stated) + " with a stated CRC32C damaged";
  if (n_unscanned > 0) text += ", " + std::to_string(n_unscanned) + " of a type that is not scanned";
  text += "\n";
  return sums.foreign_crc32c ? text + "note: " + std::string(kForeignSums) + "\n" : text;
}

std::string first_damaged(const ModelSums& sums) {
  for (const TensorSums& tensor : sums.tensors) {
    if (tensor.crc32c_holds.has_value() && !*tensor.crc32c_holds) return tensor.name;
  }
  return {};
}

}  // namespace exa
