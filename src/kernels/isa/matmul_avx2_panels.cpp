// Quantized weights times the int8 activations of many tokens: panels unpacked once.
#include <immintrin.h>

#include "kernels/isa/matmul_avx2_block.h"
#include "kernels/isa/matmul_avx2_readers.h"
#include "kernels/isa/matmul_panels.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {
namespace {

// Lines of a panel, both halves of each: per group of k the u8 lines, then d and -kMagic·d, last the minima.
template <class Type>
struct PanelBlock {
  static constexpr std::size_t kGroupLines = 8 / Type::kGroups + 2;
  static constexpr std::size_t kBytes = (kGroupLines * Type::kGroups + (Type::kMins ? 1 : 0)) * kLine;

  const u8* p;

  static constexpr std::size_t at(int b, int h) {
    constexpr int kLines = 8 / Type::kGroups;
    return (static_cast<std::size_t>(b / kLines) * kGroupLines + static_cast<std::size_t>(b % kLines)) *
               kLine +
           static_cast<std::size_t>(h) * kHalf;
  }
  static constexpr std::size_t scale_at(int group, int h) {
    return ((static_cast<std::size_t>(group) + 1) * kGroupLines - 2) * kLine +
           static_cast<std::size_t>(h) * kHalf;
  }
  static constexpr std::size_t min_at(int h) { return kBytes - kLine + static_cast<std::size_t>(h) * kHalf; }

  EXA_INLINE __m256i line(int b, int h) const { return load(p + at(b, h)); }
  EXA_INLINE __m256 scale(int group, int h) const { return load_floats(p + scale_at(group, h)); }
  EXA_INLINE __m256 minus_magic_scale(int group, int h) const {
    return load_floats(p + scale_at(group, h) + kLine);
  }
  EXA_INLINE __m256 minus_min(int h) const { return load_floats(p + min_at(h)); }

  EXA_INLINE static void write(const HalfBlock<Type::kGroups>& from, int h, u8* to) {
    EXA_UNROLL for (int b = 0; b < 8; ++b) store(to + at(b, h), from.lines[b]);
    EXA_UNROLL for (int group = 0; group < Type::kGroups; ++group) {
      store_floats(to + scale_at(group, h), from.d[group]);
      store_floats(to + scale_at(group, h) + kLine, _mm256_mul_ps(from.d[group], _mm256_set1_ps(-kMagic)));
    }
    if constexpr (Type::kMins) store_floats(to + min_at(h), from.minus_min);
  }
};

template <class Type, int C>
[[gnu::noinline]] void multiply_panel(const std::byte* panel, const std::byte* activations,
                                      std::size_t stride, std::int64_t n, float* tile, bool first) {
  PanelBlock<Type> block{reinterpret_cast<const u8*>(panel)};
  const u8* a = reinterpret_cast<const u8*>(activations);
  __m256 acc[2][C];
  EXA_UNROLL for (int c = 0; c < C; ++c) {
    EXA_UNROLL for (int h = 0; h < 2; ++h) {
      acc[h][c] = first ? _mm256_setzero_ps() : _mm256_load_ps(tile + c * 16 + h * 8);
    }
  }
  for (; n > 0; --n, a += sizeof(ActivationBlock), block.p += PanelBlock<Type>::kBytes) {
    EXA_UNROLL for (int c = 0; c < C; ++c) {
      __builtin_prefetch(a + static_cast<std::size_t>(C + c) * stride, 0, 3);
    }
    multiply_block<Type, 2, C>(block, a, stride, acc);
  }
  EXA_UNROLL for (int c = 0; c < C; ++c) {
    EXA_UNROLL for (int h = 0; h < 2; ++h) _mm256_store_ps(tile + c * 16 + h * 8, acc[h][c]);
  }
}

template <class Type>
struct Panels {
  static constexpr std::int64_t kRows = 1;
  static constexpr std::int64_t kCols = 3;
  static constexpr std::size_t kBytesA32Block = Type::kBytesA32Block;

  static void unpack(const std::byte* row_block, std::int64_t first, std::int64_t n, std::byte* panel,
                     int /*r*/, int /*n_row_blocks*/) {
    u8* p = reinterpret_cast<u8*>(panel);
    for (std::int64_t i = 0; i < n; ++i, p += PanelBlock<Type>::kBytes) {
      const std::byte* ahead = row_block + static_cast<std::size_t>(first + i) * kBytesA32Block;
      for (std::size_t at = 0; at < kBytesA32Block; at += kLine) {
        __builtin_prefetch(ahead + kFetchNear + at, 0, 3);
        __builtin_prefetch(ahead + kFetchFar + at, 0, 2);
      }
      for (int half = 0; half < 2; ++half) {
        PanelBlock<Type>::write(
            Type::read(reinterpret_cast<const u8*>(row_block), static_cast<std::size_t>(first + i),
                       static_cast<std::size_t>(half)),
            half, p);
      }
    }
  }

  static PanelKernel kernel(int /*n_row_blocks*/, int n_columns) {
    static constexpr PanelKernel kKernels[kCols] = {multiply_panel<Type, 1>, multiply_panel<Type, 2>,
                                                    multiply_panel<Type, 3>};
    return kKernels[n_columns - 1];
  }
};

}  // namespace

void avx2_matmul_panels(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                        const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                        std::int64_t y_stride, std::byte* scratch) {
  switch (weight.type) {
    case DType::kQ4_0:
      return multiply_int8_panels<Panels<Q4_0>>(weight, first_block, last_block, activations, stride,
                                                n_tokens, y, y_stride, scratch);
    case DType::kQ8_0:
      return multiply_int8_panels<Panels<Q8_0>>(weight, first_block, last_block, activations, stride,
                                                n_tokens, y, y_stride, scratch);
    case DType::kQ4_K:
      return multiply_int8_panels<Panels<Q45_K<false>>>(weight, first_block, last_block, activations, stride,
                                                        n_tokens, y, y_stride, scratch);
    case DType::kQ5_K:
      return multiply_int8_panels<Panels<Q45_K<true>>>(weight, first_block, last_block, activations, stride,
                                                       n_tokens, y, y_stride, scratch);
    default:
      return multiply_int8_panels<Panels<Q6_K>>(weight, first_block, last_block, activations, stride,
                                                n_tokens, y, y_stride, scratch);
  }
}

}  // namespace exa
