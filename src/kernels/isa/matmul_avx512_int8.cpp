// Quantized weights times int8 activations with vpdpbusd: few tokens straight from the packed lines.
#include <immintrin.h>

#include "kernels/isa/matmul_avx512_readers.h"
#include "kernels/isa/matmul_panels.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {
namespace {

// One row block times M tokens straight from the packed lines, which are read once.
template <class Reader, int M>
[[gnu::noinline]] void multiply_row_block(const u8* row_block, std::int64_t n_blocks, const u8* activations,
                                          std::size_t stride, float* y, std::int64_t y_stride, __mmask16 rows,
                                          bool fetch) {
  Reader reader(row_block, 0);
  __m512 acc[M];
  for (int m = 0; m < M; ++m) acc[m] = _mm512_setzero_ps();
  const u8* a[M];
  EXA_UNROLL for (int m = 0; m < M; ++m) a[m] = opaque(activations + static_cast<std::size_t>(m) * stride);
  const u8* ahead = fetch ? row_block : nullptr;
  for (std::int64_t block = 0; block < n_blocks; ++block) {
    if (ahead != nullptr) {
      EXA_UNROLL for (std::size_t i = 0; i < Reader::kBytesA32Block; i += kLine) {
        __builtin_prefetch(ahead + kFetchNear + i, 0, 3);
        __builtin_prefetch(ahead + kFetchFar + i, 0, 2);
      }
      ahead += Reader::kBytesA32Block;
    }
    constexpr int kLinePairs = 4 / Reader::kGroups;
    EXA_UNROLL for (int group = 0; group < Reader::kGroups; ++group) {
      // Two chains: the sums of even and odd lines.
      __m512i even_sum[M], odd_sum[M];
      EXA_UNROLL for (int m = 0; m < M; ++m) {
        even_sum[m] = splat(a[m] + Reader::kStart + static_cast<std::size_t>(4 * group));
        odd_sum[m] = _mm512_setzero_si512();
      }
      EXA_UNROLL for (int i = 0; i < kLinePairs; ++i) {
        const int z = group * kLinePairs + i;
        __m512i even, odd;
        reader.lines(z, even, odd);
        EXA_UNROLL for (int m = 0; m < M; ++m) {
          const u8* q = a[m] + static_cast<std::size_t>(8 * z);
          even_sum[m] = _mm512_dpbusd_epi32(even_sum[m], even, splat(q));
          if constexpr (M <= 2) {
            odd_sum[m] = _mm512_dpbusd_epi32(odd_sum[m], odd, splat(q + 4));
          } else {
            even_sum[m] = _mm512_dpbusd_epi32(even_sum[m], odd, splat(q + 4));
          }
        }
      }
      const __m512 d = reader.scale(group);
      const __m512 minus = minus_magic_times(d);
      EXA_UNROLL for (int m = 0; m < M; ++m) {
        if constexpr (M <= 2) even_sum[m] = _mm512_add_epi32(even_sum[m], odd_sum[m]);
        const __m512 product = _mm512_fmadd_ps(_mm512_castsi512_ps(even_sum[m]), d, minus);
        const __m512 scale = _mm512_castsi512_ps(splat(a[m] + kScale));
        acc[m] = _mm512_fmadd_ps(product, scale, acc[m]);
      }
    }
    if constexpr (Reader::kMins) {
      const __m512 min = reader.min();
      EXA_UNROLL for (int m = 0; m < M; ++m) {
        const __m512 sum = _mm512_castsi512_ps(splat(a[m] + kScaledSum));
        acc[m] = _mm512_fmadd_ps(min, sum, acc[m]);
      }
    }
    EXA_UNROLL for (int m = 0; m < M; ++m) a[m] = opaque(a[m] + sizeof(ActivationBlock));
    if (block + 1 < n_blocks) reader.next();
  }
  for (int m = 0; m < M; ++m) _mm512_mask_storeu_ps(y + m * y_stride, rows, acc[m]);
}
// Up to kDirectTokens tokens go over the packed lines themselves, kPassTokens a pass: a row block's second
// pass finds it in the cache.
constexpr std::int64_t kDirectTokens = 16;
constexpr std::int64_t kPassTokens = 8;

template <class Reader>
void multiply(const Matrix& w, std::int64_t first_block, std::int64_t last_block,
              const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
              std::int64_t y_stride, std::byte* scratch) {
  if (n_tokens > kDirectTokens) {
    avx512_matmul_panels(w, first_block, last_block, activations, stride, n_tokens, y, y_stride, scratch);
    return;
  }
  using Function =
      void (*)(const u8*, std::int64_t, const u8*, std::size_t, float*, std::int64_t, __mmask16, bool);
  static constexpr Function kFunctions[kPassTokens] = {
      multiply_row_block<Reader, 1>, multiply_row_block<Reader, 2>, multiply_row_block<Reader, 3>,
      multiply_row_block<Reader, 4>, multiply_row_block<Reader, 5>, multiply_row_block<Reader, 6>,
      multiply_row_block<Reader, 7>, multiply_row_block<Reader, 8>};
  const u8* packed = reinterpret_cast<const u8*>(packed_bytes(w));
  const ColumnBlocks passes(n_tokens, kPassTokens);
  const bool fetch = Reader::kAlwaysFetch || n_tokens > 1 || fetches_ahead();
  for (std::int64_t b = first_block; b < last_block; ++b) {
    const std::int64_t rows = w.n_rows - b * kRowBlock;
    const auto mask = static_cast<__mmask16>(rows >= kRowBlock ? 0xffff : (1U << rows) - 1);
    std::int64_t t = 0;
    for (std::int64_t i = 0; i < passes.count; ++i) {
      kFunctions[passes.width(i) - 1](
          packed + static_cast<std::size_t>(b) * w.row_block_bytes, w.n_cols / 32,
          reinterpret_cast<const u8*>(activations) + static_cast<std::size_t>(t) * stride, stride,
          y + t * y_stride + b * kRowBlock, y_stride, mask, fetch);
      t += passes.width(i);
    }
  }
}

}  // namespace

void avx512_matmul_int8(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                        const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                        std::int64_t y_stride, std::byte* scratch) {
  if (n_tokens <= 0) return;
  switch (weight.type) {
    case DType::kQ4_0:
      return multiply<ReaderQ4_0>(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride,
                                  scratch);
    case DType::kQ8_0:
      return multiply<ReaderQ8_0>(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride,
                                  scratch);
    case DType::kQ4_K:
      return multiply<ReaderQ4_K>(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride,
                                  scratch);
    case DType::kQ5_K:
      return multiply<ReaderQ5_K>(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride,
                                  scratch);
    default:
      return multiply<ReaderQ6_K>(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride,
                                  scratch);
  }
}

}  // namespace exa
