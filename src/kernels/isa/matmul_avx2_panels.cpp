// Quantized weights times the int8 activations of many tokens: unpacked panels and vpmaddubsw, pairs of
// products in int16, which the number of lines added before widening (kFold) keeps from saturating.
#include <immintrin.h>

#include "kernels/isa/matmul_avx2_readers.h"
#include "kernels/isa/matmul_panels.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {
namespace {

// pairs += the products of a u8 line (int8 where kSigned) and four activations, two and two, in int16; begins
// them where kFirst. As assembler: the compiler would multiply first, add afterwards and spill what waits.
template <bool kSigned, bool kFirst>
EXA_INLINE void add_products(__m256i& pairs, __m256i w, __m256i magnitude, __m256i a) {
  static_assert(kFirst || !kSigned);
  if constexpr (kSigned) {
    __asm__("vpsignb %1, %2, %0\n\tvpmaddubsw %0, %3, %0" : "=&x"(pairs) : "x"(w), "x"(a), "x"(magnitude));
  } else if constexpr (kFirst) {
    __asm__("vpmaddubsw %2, %1, %0" : "=x"(pairs) : "x"(w), "x"(a));
  } else {
    __m256i products;
    __asm__("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(pairs), "=&x"(products) : "x"(w), "x"(a));
  }
}
// sum += the pairs in int32.
EXA_INLINE void add_pairs(__m256i& sum, __m256i pairs) {
  const __m256i ones = _mm256_set1_epi16(1);
  __asm__("vpmaddwd %2, %1, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "+x"(pairs) : "xm"(ones));
}

template <class Type, int C>
[[gnu::noinline]] void multiply_panel(const std::byte* panel, const std::byte* activations,
                                      std::size_t stride, std::int64_t n, float* tile, bool first) {
  const u8* p = reinterpret_cast<const u8*>(panel);
  const u8* a = reinterpret_cast<const u8*>(activations);
  constexpr int kLines = 8 / Type::kGroups;
  __m256 acc[2][C];
  EXA_UNROLL for (int c = 0; c < C; ++c) {
    EXA_UNROLL for (int h = 0; h < 2; ++h) {
      acc[h][c] = first ? _mm256_setzero_ps() : _mm256_load_ps(tile + c * 16 + h * 8);
    }
  }
  for (; n > 0; --n, a += sizeof(ActivationBlock)) {
    EXA_UNROLL for (int c = 0; c < C; ++c) {
      __builtin_prefetch(a + static_cast<std::size_t>(C + c) * stride, 0, 3);
    }
    EXA_UNROLL for (int group = 0; group < Type::kGroups; ++group) {
      __m256i sum[2][C];
      EXA_UNROLL for (int fold = 0; fold < kLines; fold += Type::kFold) {
        __m256i pairs[2][C];
        EXA_UNROLL for (int i = 0; i < Type::kFold; ++i, p += kLine) {
          const __m256i low = load(p);
          const __m256i high = load(p + kHalf);
          const __m256i low_magnitude = Type::kSigned ? _mm256_abs_epi8(low) : low;
          const __m256i high_magnitude = Type::kSigned ? _mm256_abs_epi8(high) : high;
          EXA_UNROLL for (int c = 0; c < C; ++c) {
            const __m256i b = splat(a + static_cast<std::size_t>(c) * stride +
                                    static_cast<std::size_t>(4 * (group * kLines + fold + i)));
            if (i == 0) {
              add_products<Type::kSigned, true>(pairs[0][c], low, low_magnitude, b);
              add_products<Type::kSigned, true>(pairs[1][c], high, high_magnitude, b);
            } else {
              add_products<false, false>(pairs[0][c], low, low_magnitude, b);
              add_products<false, false>(pairs[1][c], high, high_magnitude, b);
            }
          }
        }
        EXA_UNROLL for (int c = 0; c < C; ++c) {
          if (fold == 0) {
            sum[0][c] = splat(a + static_cast<std::size_t>(c) * stride + Type::kStart +
                              static_cast<std::size_t>(4 * group));
            sum[1][c] = sum[0][c];
          }
          EXA_UNROLL for (int h = 0; h < 2; ++h) add_pairs(sum[h][c], pairs[h][c]);
        }
      }
      EXA_UNROLL for (int c = 0; c < C; ++c) {
        const __m256 scale =
            splat_float(a + static_cast<std::size_t>(c) * stride + offsetof(ActivationBlock, scale));
        EXA_UNROLL for (int h = 0; h < 2; ++h) {
          const u8* d = p + static_cast<unsigned>(h) * kHalf;
          const __m256 product =
              _mm256_fmadd_ps(_mm256_castsi256_ps(sum[h][c]), load_floats(d), load_floats(d + kLine));
          acc[h][c] = _mm256_fmadd_ps(product, scale, acc[h][c]);
        }
      }
      p += 2 * kLine;
    }
    if constexpr (Type::kMins) {
      EXA_UNROLL for (int c = 0; c < C; ++c) {
        const __m256 scaled_sum =
            splat_float(a + static_cast<std::size_t>(c) * stride + offsetof(ActivationBlock, scaled_sum));
        EXA_UNROLL for (int h = 0; h < 2; ++h) {
          acc[h][c] =
              _mm256_fmadd_ps(load_floats(p + static_cast<unsigned>(h) * kHalf), scaled_sum, acc[h][c]);
        }
      }
      p += kLine;
    }
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
    constexpr std::size_t kBlockLines = 8 + 2 * Type::kGroups + (Type::kMins ? 1 : 0);
    u8* p = reinterpret_cast<u8*>(panel);
    for (std::int64_t i = 0; i < n; ++i, p += kBlockLines * kLine) {
      const std::byte* ahead = row_block + static_cast<std::size_t>(first + i) * kBytesA32Block;
      for (std::size_t at = 0; at < kBytesA32Block; at += kLine) {
        __builtin_prefetch(ahead + kFetchNear + at, 0, 3);
        __builtin_prefetch(ahead + kFetchFar + at, 0, 2);
      }
      for (std::size_t half = 0; half < 2; ++half) {
        Type::write(reinterpret_cast<const u8*>(row_block), static_cast<std::size_t>(first + i), half,
                    p + half * kHalf, kLine);
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
