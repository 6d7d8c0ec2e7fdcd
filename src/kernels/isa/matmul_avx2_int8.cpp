// Quantized weights times int8 activations with vpmaddubsw: few tokens straight from the packed lines.
#include <immintrin.h>

#include "kernels/isa/matmul_avx2_block.h"
#include "kernels/isa/matmul_panels.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {
namespace {

// Eight rows of a 32-block in registers.
template <class Type>
struct DirectBlock {
  HalfBlock<Type::kGroups> half;

  EXA_INLINE __m256i line(int b, int) const { return half.lines[b]; }
  EXA_INLINE __m256 scale(int group, int) const { return half.d[group]; }
  EXA_INLINE __m256 minus_magic_scale(int group, int) const {
    return _mm256_mul_ps(half.d[group], _mm256_set1_ps(-kMagic));
  }
  EXA_INLINE __m256 minus_min(int) const { return half.minus_min; }
};

// One row block times M tokens straight from the packed lines, which are read once, into tile [M][16].
template <class Type, int M>
[[gnu::noinline]] void multiply_row_block(const u8* row_block, std::int64_t n_blocks, const u8* a,
                                          std::size_t stride, float* tile) {
  __m256 acc[2][1][M];
  EXA_UNROLL for (int m = 0; m < M; ++m) acc[0][0][m] = acc[1][0][m] = _mm256_setzero_ps();
  const u8* ahead = row_block;
  for (std::int64_t block = 0; block < n_blocks; ++block, a += sizeof(ActivationBlock)) {
    EXA_UNROLL for (std::size_t at = 0; at < Type::kBytesA32Block; at += kLine) {
      __builtin_prefetch(ahead + kFetchNear + at, 0, 3);
      __builtin_prefetch(ahead + kFetchFar + at, 0, 2);
    }
    ahead += Type::kBytesA32Block;
    EXA_UNROLL for (std::size_t half = 0; half < 2; ++half) {
      const DirectBlock<Type> w{Type::read(row_block, static_cast<std::size_t>(block), half)};
      multiply_block<Type, 1, M>(w, a, stride, acc[half]);
    }
  }
  EXA_UNROLL for (int m = 0; m < M; ++m) {
    EXA_UNROLL for (int half = 0; half < 2; ++half)
        _mm256_store_ps(tile + m * 16 + half * 8, acc[half][0][m]);
  }
}

// Up to kDirectTokens tokens go over the packed lines themselves, kPassTokens a pass: a row block's second
// pass finds it in the cache.
constexpr std::int64_t kDirectTokens = 4;
constexpr std::int64_t kPassTokens = 4;

template <class Type>
void multiply(const Matrix& w, std::int64_t first_block, std::int64_t last_block,
              const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
              std::int64_t y_stride, std::byte* scratch) {
  using Function = void (*)(const u8*, std::int64_t, const u8*, std::size_t, float*);
  static constexpr Function kFunctions[kPassTokens] = {
      multiply_row_block<Type, 1>, multiply_row_block<Type, 2>, multiply_row_block<Type, 3>,
      multiply_row_block<Type, 4>};
  const u8* packed = reinterpret_cast<const u8*>(packed_bytes(w));
  float* tile = reinterpret_cast<float*>(scratch);
  const ColumnBlocks passes(n_tokens, kPassTokens);
  for (std::int64_t b = first_block; b < last_block; ++b) {
    std::int64_t t = 0;
    for (std::int64_t i = 0; i < passes.count; ++i) {
      const int width = passes.width(i);
      kFunctions[width - 1](packed + static_cast<std::size_t>(b) * w.row_block_bytes, w.n_cols / 32,
                            reinterpret_cast<const u8*>(activations) + static_cast<std::size_t>(t) * stride,
                            stride, tile);
      store_tile(tile, b * kRowBlock, w.n_rows, 1, width, y + t * y_stride, y_stride);
      t += width;
    }
  }
}

}  // namespace

void avx2_matmul_int8(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                      const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                      std::int64_t y_stride, std::byte* scratch) {
  if (n_tokens <= 0) return;
  if (n_tokens > kDirectTokens) {
    return avx2_matmul_panels(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride,
                              scratch);
  }
  switch (weight.type) {
    case DType::kQ4_0:
      return multiply<Q4_0>(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride,
                            scratch);
    case DType::kQ8_0:
      return multiply<Q8_0>(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride,
                            scratch);
    case DType::kQ4_K:
      return multiply<Q45_K<false>>(weight, first_block, last_block, activations, stride, n_tokens, y,
                                    y_stride, scratch);
    case DType::kQ5_K:
      return multiply<Q45_K<true>>(weight, first_block, last_block, activations, stride, n_tokens, y,
                                   y_stride, scratch);
    default:
      return multiply<Q6_K>(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride,
                            scratch);
  }
}

}  // namespace exa
