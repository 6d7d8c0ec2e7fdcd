// BF16 and F16 weights times prompt rows rounded to bf16, products summed in fp32 with vdpbf16ps.
//
// The packed lines of a BF16 matrix are the instruction's operands as they stand: a dword lane holds two k of
// its row. The instructions stand as assembler so that the file needs no flags beyond those of the AVX-512
// files.
#include <immintrin.h>

#include "kernels/isa/matmul_panels.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;

#define EXA_INLINE [[gnu::always_inline]] inline
#define EXA_UNROLL _Pragma("GCC unroll 16")

constexpr std::int64_t kChunk = 256;  // k
// bf16 from token to token: 9 lines, so that tokens' lines fall into different cache sets.
constexpr std::int64_t kStride = kChunk + 32;
constexpr std::int64_t kCols = 14;
constexpr std::size_t kChunkBytes = kChunk / 2 * kLine;  // of one row block

// Tokens a group: their copies stay within 4 MB.
constexpr std::int64_t token_group(std::int64_t n_cols) {
  return n_cols <= 16384 ? 112 : 56;
}

EXA_INLINE __m512i broadcast(const u16* p) {
  __m512i out;
  __asm__("vpbroadcastd %1, %0" : "=v"(out) : "m"(*reinterpret_cast<const std::int32_t*>(p)));
  return out;
}
// Rounded to nearest even: `low` to the lower half, `high` to the upper.
EXA_INLINE __m512i to_bf16(__m512 low, __m512 high) {
  __m512i out;
  __asm__("vcvtne2ps2bf16 %2, %1, %0" : "=v"(out) : "v"(high), "v"(low));
  return out;
}

// R row blocks, `step` bytes apart, times C tokens.
template <int R, int C>
[[gnu::noinline]] void multiply_panel(const u8* p, std::size_t step, const u16* x, std::int64_t n_pairs,
                                      float* tile, bool first) {
  __m512 acc[R][C];
  EXA_UNROLL for (int r = 0; r < R; ++r) {
    EXA_UNROLL for (int c = 0; c < C; ++c) {
      acc[r][c] = first ? _mm512_setzero_ps() : _mm512_load_ps(tile + (r * C + c) * kRowBlock);
    }
  }
  const u8* next = reinterpret_cast<const u8*>(x + C * kStride);
  for (; n_pairs > 0; --n_pairs, p += kLine, x += 2, next += kLine) {
    __builtin_prefetch(next, 0, 3);
    __m512i w[R];
    EXA_UNROLL for (int r = 0; r < R; ++r) w[r] = _mm512_load_si512(p + static_cast<std::size_t>(r) * step);
    EXA_UNROLL for (int c = 0; c < C; ++c) {
      const __m512i b = broadcast(x + c * kStride);
      EXA_UNROLL for (int r = 0; r < R; ++r) {
        __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc[r][c]) : "v"(w[r]), "v"(b));
      }
    }
  }
  EXA_UNROLL for (int r = 0; r < R; ++r) {
    EXA_UNROLL for (int c = 0; c < C; ++c) _mm512_store_ps(tile + (r * C + c) * kRowBlock, acc[r][c]);
  }
}

using Kernel = void (*)(const u8*, std::size_t, const u16*, std::int64_t, float*, bool);

template <int R>
Kernel kernel_of_rows(int n_columns) {
  static constexpr Kernel kKernels[kCols] = {
      multiply_panel<R, 1>,  multiply_panel<R, 2>,  multiply_panel<R, 3>,  multiply_panel<R, 4>,
      multiply_panel<R, 5>,  multiply_panel<R, 6>,  multiply_panel<R, 7>,  multiply_panel<R, 8>,
      multiply_panel<R, 9>,  multiply_panel<R, 10>, multiply_panel<R, 11>, multiply_panel<R, 12>,
      multiply_panel<R, 13>, multiply_panel<R, 14>};
  return kKernels[n_columns - 1];
}

// f16 lines as bf16 lines.
void convert_lines(const u8* lines, std::int64_t n, u8* out) {
  const __m512i evens_then_odds = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1,
                                                   30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i by_turns = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23,
                                            7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  for (; n > 0; --n, lines += kLine, out += kLine) {
    const __m512i x = _mm512_permutexvar_epi16(evens_then_odds, _mm512_load_si512(lines));
    const __m512i pairs =
        to_bf16(_mm512_cvtph_ps(_mm512_castsi512_si256(x)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(x, 1)));
    _mm512_store_si512(out, _mm512_permutexvar_epi16(by_turns, pairs));
  }
}

// One token's chunk of k, the last pair filled up with a zero.
void convert_row(const float* x, std::int64_t n, u16* out) {
  for (std::int64_t k = 0; k < n; k += 32) {
    const std::int64_t left = n - k;
    const auto mask = left >= 32 ? ~__mmask32{0} : (__mmask32{1} << left) - 1;
    const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), x + k);
    const __m512 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), x + k + 16);
    _mm512_store_si512(out + k, to_bf16(low, high));
  }
}

// bf16 of a group of tokens: chunks of k one after another, in each all tokens.
std::int64_t group_values(std::int64_t n_cols) {
  return (n_cols + kChunk - 1) / kChunk * token_group(n_cols) * kStride;
}

}  // namespace

std::size_t avx512_bf16_bytes(std::int64_t n_tokens, std::int64_t n_cols) {
  const std::int64_t group = token_group(n_cols);
  return static_cast<std::size_t>((n_tokens + group - 1) / group * group_values(n_cols)) * sizeof(u16);
}

void avx512_prepare_bf16(const float* x, std::int64_t n_cols, std::int64_t token, std::byte* out) {
  const std::int64_t group = token_group(n_cols);
  u16* copies = reinterpret_cast<u16*>(out) + token / group * group_values(n_cols) + token % group * kStride;
  for (std::int64_t k0 = 0; k0 < n_cols; k0 += kChunk, copies += group * kStride) {
    convert_row(x + k0, n_cols - k0 < kChunk ? n_cols - k0 : kChunk, copies);
  }
}

void avx512_matmul_bf16(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                        const std::byte* activations, std::size_t /*stride*/, std::int64_t n_tokens, float* y,
                        std::int64_t y_stride, std::byte* scratch) {
  u8* panel = reinterpret_cast<u8*>(scratch);
  float* tiles = reinterpret_cast<float*>(scratch + kPanelBytes + kSpareBytes);
  const u8* packed = reinterpret_cast<const u8*>(packed_bytes(weight));
  const std::int64_t n_cols = weight.n_cols;
  const std::int64_t group = token_group(n_cols);
  for (std::int64_t t0 = 0; t0 < n_tokens; t0 += group) {
    const std::int64_t n_group = n_tokens - t0 < group ? n_tokens - t0 : group;
    const ColumnBlocks columns(n_group, kCols);
    const u16* copies = reinterpret_cast<const u16*>(activations) + t0 / group * group_values(n_cols);
    for (std::int64_t b = first_block; b < last_block; b += 2) {
      const int rows = last_block - b < 2 ? 1 : 2;
      const u8* row_blocks = packed + static_cast<std::size_t>(b) * weight.row_block_bytes;
      for (std::int64_t k0 = 0; k0 < n_cols; k0 += kChunk) {
        const bool last = n_cols - k0 <= kChunk;
        const std::int64_t n_pairs = last ? (n_cols - k0 + 1) / 2 : kChunk / 2;
        const u8* lines = row_blocks + static_cast<std::size_t>(k0 / 2) * kLine;
        std::size_t step = weight.row_block_bytes;
        const std::byte* next = reinterpret_cast<const std::byte*>(
            last ? row_blocks + static_cast<unsigned>(rows) * step : lines + kChunkBytes);
        if (weight.type == DType::kF16) {
          for (int r = 0; r < rows; ++r) {
            convert_lines(lines + static_cast<unsigned>(r) * step, n_pairs,
                          panel + static_cast<unsigned>(r) * kChunkBytes);
          }
          lines = panel;
          step = kChunkBytes;
        }
        const u16* x = copies + k0 / kChunk * group * kStride;
        float* tile = tiles;
        std::int64_t t = 0;
        SharedPrefetch prefetch(next, weight.row_block_bytes, rows, static_cast<std::size_t>(n_pairs) * kLine,
                                columns.count);
        for (std::int64_t i = 0; i < columns.count; ++i) {
          const int width = columns.width(i);
          prefetch.fetch_share();
          const Kernel kernel = rows == 2 ? kernel_of_rows<2>(width) : kernel_of_rows<1>(width);
          kernel(lines, step, x + t * kStride, n_pairs, tile, k0 == 0);
          if (last) {
            store_tile(tile, b * kRowBlock, weight.n_rows, rows, width, y + (t0 + t) * y_stride, y_stride);
          }
          tile += static_cast<std::ptrdiff_t>(rows) * width * kRowBlock;
          t += width;
        }
      }
    }
  }
}

}  // namespace exa
