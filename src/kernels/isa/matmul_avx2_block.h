// One 32-block of weights times the int8 activations of some tokens with vpmaddubsw: pairs of products in
// int16, which the number of lines added before widening (kFold) keeps from saturating.
//
// Included by AVX2 files alone and compiled with their flags, hence the anonymous namespace.
// Ownership and threads: borrowed memory.
// Source: kernels specification 3.1, 6.1; the order of operations of isa/matmul.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/lanes.h"
#include "kernels/isa/matmul_avx2_readers.h"

namespace exa {
namespace {  // NOLINT: one copy a file on purpose

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

// acc[h][c] += halves h (8 rows each) of the 32-block times activations c, `stride` apart. w: line(b, h),
// scale(group, h), minus_magic_scale(group, h), minus_min(h).
template <class Type, int H, int C, class Weights>
EXA_INLINE void multiply_block(const Weights& w, const u8* a, std::size_t stride, __m256 (&acc)[H][C]) {
  constexpr int kLines = 8 / Type::kGroups;
  EXA_UNROLL for (int group = 0; group < Type::kGroups; ++group) {
    __m256i sum[H][C];
    EXA_UNROLL for (int fold = 0; fold < kLines; fold += Type::kFold) {
      __m256i pairs[H][C];
      EXA_UNROLL for (int i = 0; i < Type::kFold; ++i) {
        const int b = group * kLines + fold + i;
        __m256i lines[H], magnitudes[H];
        EXA_UNROLL for (int h = 0; h < H; ++h) {
          lines[h] = w.line(b, h);
          magnitudes[h] = Type::kSigned ? _mm256_abs_epi8(lines[h]) : lines[h];
        }
        EXA_UNROLL for (int c = 0; c < C; ++c) {
          const __m256i q = splat(a + static_cast<std::size_t>(c) * stride + static_cast<std::size_t>(4 * b));
          EXA_UNROLL for (int h = 0; h < H; ++h) {
            if (i == 0) {
              add_products<Type::kSigned, true>(pairs[h][c], lines[h], magnitudes[h], q);
            } else {
              add_products<false, false>(pairs[h][c], lines[h], magnitudes[h], q);
            }
          }
        }
      }
      EXA_UNROLL for (int c = 0; c < C; ++c) {
        EXA_UNROLL for (int h = 0; h < H; ++h) {
          if (fold == 0) {
            sum[h][c] = splat(a + static_cast<std::size_t>(c) * stride + Type::kStart +
                              static_cast<std::size_t>(4 * group));
          }
          add_pairs(sum[h][c], pairs[h][c]);
        }
      }
    }
    EXA_UNROLL for (int c = 0; c < C; ++c) {
      const __m256 scale =
          splat_float(a + static_cast<std::size_t>(c) * stride + offsetof(ActivationBlock, scale));
      EXA_UNROLL for (int h = 0; h < H; ++h) {
        const __m256 product =
            _mm256_fmadd_ps(_mm256_castsi256_ps(sum[h][c]), w.scale(group, h), w.minus_magic_scale(group, h));
        acc[h][c] = _mm256_fmadd_ps(product, scale, acc[h][c]);
      }
    }
  }
  if constexpr (Type::kMins) {
    EXA_UNROLL for (int c = 0; c < C; ++c) {
      const __m256 scaled_sum =
          splat_float(a + static_cast<std::size_t>(c) * stride + offsetof(ActivationBlock, scaled_sum));
      EXA_UNROLL for (int h = 0; h < H; ++h) {
        acc[h][c] = _mm256_fmadd_ps(w.minus_min(h), scaled_sum, acc[h][c]);
      }
    }
  }
}

}  // namespace
}  // namespace exa
