#include "kernels/isa/ops.h"

#include "kernels/isa/ops_units.h"

namespace exa {

std::size_t attention_scratch_bytes(int head_dim) {
  // Queries and outputs of all pairs, 16 sums each, and the scores of at most 8 pairs (256 + 16 of padding
  // each).
  const auto pairs = static_cast<std::size_t>(kAttentionPairs);
  return (pairs * (2 * static_cast<std::size_t>(head_dim) + 16) + 8 * 272) * sizeof(float);
}

const OpsKernels& ops_kernels(Isa isa) {
  switch (isa) {
    case Isa::kAmx:
    case Isa::kAvx512:
      return ops_kernels_avx512();
    case Isa::kAvx2:
      return ops_kernels_avx2();
    case Isa::kScalar:
      break;
  }
  return ops_kernels_scalar();
}

}  // namespace exa
