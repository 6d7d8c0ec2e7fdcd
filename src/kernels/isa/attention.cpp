#include "kernels/isa/attention.h"

#include "kernels/isa/attention_units.h"

namespace exa {

std::size_t attention_scratch_bytes(int head_dim) {
  // Queries of all pairs and the scores of at most 8 (256 + 16 of padding each).
  const auto pairs = static_cast<std::size_t>(kAttentionPairs);
  return (pairs * static_cast<std::size_t>(head_dim) + 8 * 272) * sizeof(float);
}

AttentionKernels::Attend attend_bf16_dot() {
#if defined(__x86_64__)
  if (is_supported(Isa::kAvx512) && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_is("amd")) {
    return attend_bf16_avx512_dot;
  }
#endif
  return nullptr;
}

const AttentionKernels& attention_kernels(Isa isa) {
  switch (isa) {
    case Isa::kAmx:
    case Isa::kAvx512: {
      static const AttentionKernels kernels = [] {
        AttentionKernels best = attention_kernels_avx512();
        if (const auto dot = attend_bf16_dot()) best.attend[static_cast<std::size_t>(KvType::kBF16)] = dot;
        return best;
      }();
      return kernels;
    }
    case Isa::kAvx2:
      return attention_kernels_avx2();
    case Isa::kScalar:
      break;
  }
  return attention_kernels_scalar();
}

}  // namespace exa
