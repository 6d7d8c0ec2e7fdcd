#include "model/tied_head.h"

#include <algorithm>
#include <vector>

#include "kernels/quant.h"

namespace exa {
namespace {

constexpr std::uint64_t kChunk = 1 << 20;  // elements

bool is_float(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

}  // namespace

bool hold_same_numbers(const Checkpoint& checkpoint, const TensorInfo& a, const TensorInfo& b) {
  if (a.shape != b.shape || !is_float(a.type) || !is_float(b.type)) return false;
  const std::uint64_t n_elements = a.n_elements();
  std::vector<std::byte> bytes[2];
  std::vector<float> values[2];
  for (std::uint64_t first = 0; first < n_elements; first += kChunk) {
    const std::uint64_t n = std::min(kChunk, n_elements - first);
    for (const int i : {0, 1}) {
      const TensorInfo& tensor = i == 0 ? a : b;
      bytes[i].resize(static_cast<std::size_t>(row_bytes(tensor.type, n)));
      checkpoint.read(tensor, row_bytes(tensor.type, first), bytes[i]);
    }
    if (a.type == b.type && bytes[0] == bytes[1]) continue;
    for (const int i : {0, 1}) {
      values[i].resize(static_cast<std::size_t>(n));
      decode_row(i == 0 ? a.type : b.type, bytes[i].data(), values[i].size(), values[i].data());
    }
    if (values[0] != values[1]) return false;
  }
  return true;
}

}  // namespace exa
