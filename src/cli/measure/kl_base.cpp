#include "cli/measure/kl_base.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "formats/arrays.h"

namespace exa {

KlBaseWriter::KlBaseWriter(const std::filesystem::path& path, std::span<const std::int32_t> ids,
                           std::int32_t context, std::uint64_t n_rows, std::uint64_t vocab)
    : file_(path) {
  nlohmann::ordered_json header;
  std::uint64_t end = 0;
  const auto add_array = [&](const char* array, const char* dtype, nlohmann::ordered_json shape,
                             std::uint64_t n_bytes) {
    header[array] = {{"dtype", dtype}, {"shape", std::move(shape)}, {"data_offsets", {end, end + n_bytes}}};
    end += n_bytes;
  };
  add_array("ids", "I32", {ids.size()}, ids.size_bytes());
  add_array("context", "I32", {1}, sizeof context);
  add_array("log_probs", "F32", {n_rows, vocab}, n_rows * vocab * sizeof(float));
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t n_header = text.size();
  file_.write(std::as_bytes(std::span(&n_header, 1)));
  file_.write(text);
  file_.write(std::as_bytes(ids));
  file_.write(std::as_bytes(std::span(&context, 1)));
}

void KlBaseWriter::add(std::span<const float> log_probs) {
  file_.write(std::as_bytes(log_probs));
}

KlBaseReader::KlBaseReader(const std::filesystem::path& path, std::span<const std::int32_t> ids,
                           std::int32_t context, std::uint64_t n_rows, std::uint64_t vocab)
    : file_(Checkpoint::open(path)), log_probs_(file_.find("log_probs")), values_(vocab) {
  const std::string where = path.string();
  if (read_i32(file_, "context") != std::vector<std::int32_t>{context}) {
    throw Error(ErrorKind::kBadInput,
                "the base was made with another context size, expected " + std::to_string(context), where);
  }
  const std::vector<std::int32_t> base_ids = read_i32(file_, "ids");
  if (!std::ranges::equal(base_ids, ids)) {
    throw Error(ErrorKind::kBadInput,
                "the base was made from another text or tokenizer: " + std::to_string(base_ids.size()) +
                    " tokens, expected the same " + std::to_string(ids.size()),
                where);
  }
  if (!log_probs_ || log_probs_->type != DType::kF32 ||
      log_probs_->shape != std::vector<std::uint64_t>{n_rows, vocab}) {
    throw Error(ErrorKind::kBadInput,
                "expected F32 [" + std::to_string(n_rows) + ", " + std::to_string(vocab) +
                    "], found another shape or none",
                where + ", array log_probs");
  }
}

std::span<const float> KlBaseReader::next() {
  const std::span<std::byte> bytes = std::as_writable_bytes(std::span(values_));
  file_.read(*log_probs_, row_++ * bytes.size(), bytes);
  return values_;
}

}  // namespace exa
