#include "convert/imatrix_file.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "convert/gguf_writer.h"

namespace exa {
namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
constexpr float kLeast = 1e-4F;

std::vector<float> read_floats(const Checkpoint& file, const TensorInfo& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.n_elements()));
  file.read(tensor, 0, std::as_writable_bytes(std::span(values)));
  for (const float x : values) {
    if (std::isfinite(x) && x >= 0) continue;
    throw Error(ErrorKind::kBadInput, "found " + std::to_string(x) + ", expected finite numbers >= 0",
                file.path().string() + ", tensor " + tensor.name);
  }
  return values;
}

}  // namespace

void write_imatrix(const std::filesystem::path& path, const Imatrix& imatrix) {
  GgufMetadata metadata;
  metadata.set_string("general.type", "imatrix");
  metadata.set_strings("imatrix.datasets", imatrix.datasets);
  metadata.set_u32("imatrix.chunk_count", imatrix.n_chunks);
  metadata.set_u32("imatrix.chunk_size", imatrix.chunk_tokens);
  std::vector<GgufTensor> tensors;
  for (const ImatrixEntry& entry : imatrix.entries) {
    const std::uint64_t n = entry.counts.size();
    if (entry.sums.size() != n * entry.n_cols) {
      throw Error(ErrorKind::kInternal,
                  std::to_string(entry.sums.size()) + " sums, expected " + std::to_string(n * entry.n_cols),
                  entry.name);
    }
    tensors.push_back({entry.name + std::string(kSums), DType::kF32, {n, entry.n_cols}});
    tensors.push_back({entry.name + std::string(kCounts), DType::kF32, {n, 1}});
  }
  GgufWriter writer(path, std::move(metadata), std::move(tensors), 0);
  for (std::size_t i = 0; i < imatrix.entries.size(); ++i) {
    writer.append(2 * i, std::as_bytes(std::span(imatrix.entries[i].sums)));
    writer.append(2 * i + 1, std::as_bytes(std::span(imatrix.entries[i].counts)));
  }
  writer.commit();
}

ImatrixFile ImatrixFile::open(const std::filesystem::path& path) {
  Checkpoint file = Checkpoint::open(path);
  std::vector<std::string> names;
  for (const TensorInfo& tensor : file.tensors()) {
    if (!tensor.name.ends_with(kSums)) continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - kSums.size());
    const std::string where = path.string() + ", " + name;
    const TensorInfo* counts = file.find(name + std::string(kCounts));
    if (counts == nullptr || counts->type != DType::kF32 || tensor.type != DType::kF32) {
      throw Error(ErrorKind::kBadInput,
                  "expected F32 tensors in_sum2 and counts, found " +
                      std::string(counts == nullptr ? "no counts" : "another type"),
                  where);
    }
    const std::uint64_t n = counts->n_elements();
    if (n == 0 || tensor.n_rows() != n || tensor.n_cols() == 0) {
      throw Error(ErrorKind::kBadInput,
                  "found " + std::to_string(n) + " counts for " + std::to_string(tensor.n_rows()) +
                      " rows of sums, expected as many",
                  where);
    }
    names.push_back(name);
  }
  if (names.empty()) {
    throw Error(ErrorKind::kBadInput, "no tensor NAME.in_sum2, expected an importance matrix in GGUF",
                path.string());
  }
  std::ranges::sort(names);
  return {std::move(file), std::move(names)};
}

std::vector<std::string> ImatrixFile::datasets() const {
  const auto* names = checkpoint_.get_strings("imatrix.datasets");
  return names != nullptr ? *names : std::vector<std::string>();
}

std::uint32_t ImatrixFile::n_chunks() const {
  return static_cast<std::uint32_t>(checkpoint_.get_u64("imatrix.chunk_count").value_or(0));
}

std::uint32_t ImatrixFile::chunk_tokens() const {
  return static_cast<std::uint32_t>(checkpoint_.get_u64("imatrix.chunk_size").value_or(0));
}

bool ImatrixFile::has(std::string_view weight) const {
  return std::ranges::binary_search(names_, weight);
}

ImatrixEntry ImatrixFile::read(std::string_view weight) const {
  const TensorInfo* sums = checkpoint_.find(std::string(weight) + std::string(kSums));
  const TensorInfo* counts = checkpoint_.find(std::string(weight) + std::string(kCounts));
  if (!has(weight) || sums == nullptr || counts == nullptr) {
    throw Error(ErrorKind::kInternal, "asked for a weight the file does not have", std::string(weight));
  }
  return {std::string(weight), sums->n_cols(), read_floats(checkpoint_, *sums),
          read_floats(checkpoint_, *counts)};
}

std::optional<std::vector<float>> ImatrixFile::importance(std::string_view weight, std::uint64_t n_matrices,
                                                          std::uint64_t n_cols) const {
  if (!has(weight)) return std::nullopt;
  ImatrixEntry entry = read(weight);
  if (entry.counts.size() != n_matrices || entry.n_cols != n_cols) {
    throw Error(ErrorKind::kBadInput,
                "found " + std::to_string(entry.counts.size()) + " x " + std::to_string(entry.n_cols) +
                    " values, expected " + std::to_string(n_matrices) + " x " + std::to_string(n_cols) +
                    ": was it computed for this model?",
                path().string() + ", " + std::string(weight));
  }
  for (std::size_t m = 0; m < n_matrices; ++m) {
    const std::span<float> row = std::span(entry.sums).subspan(m * n_cols, n_cols);
    double total = 0;
    for (const float x : row) total += static_cast<double>(x);
    const double mean = total / static_cast<double>(n_cols);
    for (float& x : row) {
      const bool seen = entry.counts[m] > 0 && mean > 0;
      x = seen ? std::max(kLeast, static_cast<float>(static_cast<double>(x) / mean)) : 1.0F;
    }
  }
  return std::move(entry.sums);
}

}  // namespace exa
