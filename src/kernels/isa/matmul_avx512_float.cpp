// Weights times fp32 activations: one fma a weight, in ascending k.
#include <immintrin.h>

#include "kernels/isa/decode_rows.h"
#include "kernels/isa/matmul_panels.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {
namespace {

using u8 = std::uint8_t;

#define EXA_INLINE [[gnu::always_inline]] inline
#define EXA_UNROLL _Pragma("GCC unroll 16")

// Each row block is a stream of its own, so the distances are shorter than those of one stream.
constexpr std::size_t kStreamNear = 1024;
constexpr std::size_t kStreamFar = 6 * kStreamNear;

EXA_INLINE __m512 broadcast(const float* p) {
  __m512 out;
  __asm__("vbroadcastss %1, %0" : "=v"(out) : "m"(*p));
  return out;
}

// k of one line and its weights as fp32.
struct LinesF32 {
  static constexpr int kPerLine = 1;
  EXA_INLINE static void widen(const u8* p, __m512* w) { w[0] = _mm512_load_ps(p); }
};
struct LinesBF16 {
  static constexpr int kPerLine = 2;
  EXA_INLINE static void widen(const u8* p, __m512* w) {
    const __m512i x = _mm512_load_si512(p);
    w[0] = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
    w[1] = _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(static_cast<int>(0xffff0000U))));
  }
};
struct LinesF16 {
  static constexpr int kPerLine = 2;
  EXA_INLINE static void widen(const u8* p, __m512* w) {
    const __m512i evens_then_odds =
        _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 30, 28, 26, 24, 22, 20,
                         18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i x = _mm512_permutexvar_epi16(evens_then_odds, _mm512_load_si512(p));
    w[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(x));
    w[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(x, 1));
  }
};

// R row blocks times M tokens straight from the packed lines: R·M independent chains hide the latency of an
// fma.
template <class Lines, int R, int M>
[[gnu::noinline]] void multiply_row_blocks(const u8* row_block, std::size_t row_block_bytes,
                                           std::int64_t n_cols, const u8* activations, std::size_t stride,
                                           float* y, std::int64_t y_stride, __mmask16 last_rows, bool fetch) {
  __m512 acc[R][M];
  EXA_UNROLL for (int r = 0; r < R; ++r) {
    EXA_UNROLL for (int m = 0; m < M; ++m) acc[r][m] = _mm512_setzero_ps();
  }
  const u8* p = row_block;
  const float* x = reinterpret_cast<const float*>(activations);
  const std::size_t floats = stride / sizeof(float);
  constexpr int kPer = Lines::kPerLine;
  std::int64_t k = 0;
  for (; k + kPer <= n_cols; k += kPer, p += kLine, x += kPer) {
    __m512 w[R][kPer];
    EXA_UNROLL for (int r = 0; r < R; ++r) {
      const u8* line = p + static_cast<std::size_t>(r) * row_block_bytes;
      if (fetch) {
        __builtin_prefetch(line + kStreamNear, 0, 3);
        __builtin_prefetch(line + kStreamFar, 0, 2);
      }
      Lines::widen(line, w[r]);
    }
    EXA_UNROLL for (int i = 0; i < kPer; ++i) {
      EXA_UNROLL for (int m = 0; m < M; ++m) {
        const __m512 b = broadcast(x + static_cast<std::size_t>(m) * floats + i);
        EXA_UNROLL for (int r = 0; r < R; ++r) acc[r][m] = _mm512_fmadd_ps(w[r][i], b, acc[r][m]);
      }
    }
  }
  if (k < n_cols) {
    EXA_UNROLL for (int r = 0; r < R; ++r) {
      __m512 w[kPer];
      Lines::widen(p + static_cast<std::size_t>(r) * row_block_bytes, w);
      EXA_UNROLL for (int m = 0; m < M; ++m) {
        acc[r][m] = _mm512_fmadd_ps(w[0], broadcast(x + static_cast<std::size_t>(m) * floats), acc[r][m]);
      }
    }
  }
  EXA_UNROLL for (int r = 0; r < R; ++r) {
    const auto rows = static_cast<__mmask16>(r + 1 == R ? last_rows : 0xffff);
    EXA_UNROLL for (int m = 0; m < M; ++m)
        _mm512_mask_storeu_ps(y + m * y_stride + r * kRowBlock, rows, acc[r][m]);
  }
}

template <int R, int C>
[[gnu::noinline]] void multiply_panel(const std::byte* panel, const std::byte* activations,
                                      std::size_t /*stride*/, std::int64_t n, float* tile, bool first) {
  const float* p = reinterpret_cast<const float*>(panel);
  const float* x = reinterpret_cast<const float*>(activations);
  __m512 acc[R][C];
  EXA_UNROLL for (int r = 0; r < R; ++r) {
    EXA_UNROLL for (int c = 0; c < C; ++c) {
      acc[r][c] = first ? _mm512_setzero_ps() : _mm512_load_ps(tile + (r * C + c) * 16);
    }
  }
  // The next tokens' copies, which follow these ones without a gap.
  const float* next = x + C * kFloatStride;
  for (; n > 0; --n, ++x, p += R * kRowBlock, next += 16) {
    __builtin_prefetch(next, 0, 3);
    __m512 w[R];
    EXA_UNROLL for (int r = 0; r < R; ++r) w[r] = _mm512_load_ps(p + r * kRowBlock);
    EXA_UNROLL for (int c = 0; c < C; ++c) {
      const __m512 b = broadcast(x + c * kFloatStride);
      EXA_UNROLL for (int r = 0; r < R; ++r) acc[r][c] = _mm512_fmadd_ps(w[r], b, acc[r][c]);
    }
  }
  EXA_UNROLL for (int r = 0; r < R; ++r) {
    EXA_UNROLL for (int c = 0; c < C; ++c) _mm512_store_ps(tile + (r * C + c) * 16, acc[r][c]);
  }
}

template <class Lines>
void widen_lines(const u8* lines, std::int64_t n, float* out, std::int64_t step) {
  constexpr int kPer = Lines::kPerLine;
  for (std::int64_t k = 0; k < n; k += kPer, lines += kLine) {
    __m512 w[kPer];
    Lines::widen(lines, w);
    EXA_UNROLL for (int i = 0; i < kPer; ++i, out += step) {
      if (k + i < n) _mm512_store_ps(out, w[i]);
    }
  }
}

// Sixteen rows of 16 floats, `from_stride` apart, to sixteen lines, `step` apart.
void transpose(const float* from, std::int64_t from_stride, float* out, std::int64_t step) {
  __m512 x[16], t[16];
  EXA_UNROLL for (int i = 0; i < 16; ++i) x[i] = _mm512_loadu_ps(from + i * from_stride);
  EXA_UNROLL for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
  }
  EXA_UNROLL for (int i = 0; i < 16; i += 4) {
    EXA_UNROLL for (int j = 0; j < 2; ++j) {
      const __m512d a = _mm512_castps_pd(t[i + j]);
      const __m512d b = _mm512_castps_pd(t[i + j + 2]);
      x[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
      x[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
  }
  EXA_UNROLL for (int i = 0; i < 4; ++i) {
    EXA_UNROLL for (int half = 0; half < 2; ++half) {
      t[8 * half + i] = _mm512_shuffle_f32x4(x[8 * half + i], x[8 * half + i + 4], 0x88);
      t[8 * half + i + 4] = _mm512_shuffle_f32x4(x[8 * half + i], x[8 * half + i + 4], 0xdd);
    }
  }
  EXA_UNROLL for (int i = 0; i < 8; ++i) {
    // t[i] holds columns i and i + 8 of rows 0-7, t[i + 8] those of rows 8-15.
    _mm512_store_ps(out + i * step, _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88));
    _mm512_store_ps(out + (i + 8) * step, _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd));
  }
}

struct Panels {
  static constexpr std::int64_t kRows = 2;
  static constexpr std::int64_t kCols = 14;

  static void unpack(const Matrix& w, std::int64_t b, std::int64_t k0, std::int64_t n, std::byte* panel,
                     int r, int n_row_blocks, std::byte* spare) {
    const u8* row_block =
        reinterpret_cast<const u8*>(packed_bytes(w)) + static_cast<std::size_t>(b) * w.row_block_bytes;
    float* out = reinterpret_cast<float*>(panel) + r * kRowBlock;
    const std::int64_t step = n_row_blocks * kRowBlock;
    const std::size_t k = static_cast<std::size_t>(k0);
    switch (w.type) {
      case DType::kF32:
        return widen_lines<LinesF32>(row_block + k * kLine, n, out, step);
      case DType::kF16:
        return widen_lines<LinesF16>(row_block + k / 2 * kLine, n, out, step);
      case DType::kBF16:
        return widen_lines<LinesBF16>(row_block + k / 2 * kLine, n, out, step);
      default:
        break;
    }
    float* rows = reinterpret_cast<float*>(spare);
    constexpr std::int64_t kRowFloats = 256;
    const std::size_t bytes_per_row = w.row_block_bytes / kRowBlock;
    const std::size_t offset = bytes_per_row * k / static_cast<std::size_t>(w.n_cols);
    for (int row = 0; row < kRowBlock; ++row) {
      decode_row_avx512(
          w.type,
          reinterpret_cast<const std::byte*>(row_block) + static_cast<unsigned>(row) * bytes_per_row + offset,
          static_cast<std::size_t>(n), rows + row * kRowFloats);
    }
    for (std::int64_t i = 0; i < n; i += 16) transpose(rows + i, kRowFloats, out + i * step, step);
  }

  template <int R>
  static PanelKernel of_rows(int n_columns) {
    static constexpr PanelKernel kKernels[kCols] = {
        multiply_panel<R, 1>,  multiply_panel<R, 2>,  multiply_panel<R, 3>,  multiply_panel<R, 4>,
        multiply_panel<R, 5>,  multiply_panel<R, 6>,  multiply_panel<R, 7>,  multiply_panel<R, 8>,
        multiply_panel<R, 9>,  multiply_panel<R, 10>, multiply_panel<R, 11>, multiply_panel<R, 12>,
        multiply_panel<R, 13>, multiply_panel<R, 14>};
    return kKernels[n_columns - 1];
  }
  static PanelKernel kernel(int n_row_blocks, int n_columns) {
    return n_row_blocks == 2 ? of_rows<2>(n_columns) : of_rows<1>(n_columns);
  }
};

// Up to kDirectTokens tokens go over the packed lines themselves, kPassTokens a pass: the second pass finds
// them in the cache.
constexpr std::int64_t kDirectTokens = 16;
constexpr std::int64_t kPassTokens = 8;

template <class Lines, int R>
void multiply_some(int n_tokens, const u8* row_block, std::size_t row_block_bytes, std::int64_t n_cols,
                   const u8* activations, std::size_t stride, float* y, std::int64_t y_stride,
                   __mmask16 last_rows, bool fetch) {
  using Function = void (*)(const u8*, std::size_t, std::int64_t, const u8*, std::size_t, float*,
                            std::int64_t, __mmask16, bool);
  static constexpr Function kFunctions[kPassTokens] = {
      multiply_row_blocks<Lines, R, 1>,
      multiply_row_blocks<Lines, R, 2>,
      multiply_row_blocks<Lines, R, 3>,
      multiply_row_blocks<Lines, R, 4>,
      multiply_row_blocks < Lines,
      R < 4 ? R : 2,
      5 >,
      multiply_row_blocks < Lines,
      R < 4 ? R : 2,
      6 >
      , multiply_row_blocks < Lines, R < 4 ? R : 2, 7 >, multiply_row_blocks < Lines, R < 4 ? R : 2, 8 > };
  kFunctions[n_tokens - 1](row_block, row_block_bytes, n_cols, activations, stride, y, y_stride, last_rows,
                           fetch);
}

template <class Lines>
void multiply_direct(const Matrix& w, std::int64_t first_block, std::int64_t last_block,
                     const std::byte* activations, std::size_t stride, int n_tokens, float* y,
                     std::int64_t y_stride) {
  const u8* packed = reinterpret_cast<const u8*>(packed_bytes(w));
  const u8* a = reinterpret_cast<const u8*>(activations);
  const ColumnBlocks passes(n_tokens, kPassTokens);
  const bool fetch = n_tokens > 4 || fetches_ahead();
  for (std::int64_t b = first_block; b < last_block;) {
    const std::int64_t left = last_block - b;
    const int n = left >= 4 && n_tokens <= 4 ? 4 : left >= 2 ? 2 : 1;
    const std::int64_t rows = w.n_rows - (b + n - 1) * kRowBlock;
    const auto mask = static_cast<__mmask16>(rows >= kRowBlock ? 0xffff : (1U << rows) - 1);
    const auto function = n == 4   ? multiply_some<Lines, 4>
                          : n == 2 ? multiply_some<Lines, 2>
                                   : multiply_some<Lines, 1>;
    std::int64_t t = 0;
    for (std::int64_t i = 0; i < passes.count; ++i) {
      function(passes.width(i), packed + static_cast<std::size_t>(b) * w.row_block_bytes, w.row_block_bytes,
               w.n_cols, a + static_cast<std::size_t>(t) * stride, stride, y + t * y_stride + b * kRowBlock,
               y_stride, mask, fetch);
      t += passes.width(i);
    }
    b += n;
  }
}

}  // namespace

void avx512_matmul_float(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                         const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                         std::int64_t y_stride, std::byte* scratch) {
  if (n_tokens <= 0) return;
  const int n = static_cast<int>(n_tokens <= kDirectTokens ? n_tokens : 0);
  if (n > 0 && weight.type == DType::kF32) {
    return multiply_direct<LinesF32>(weight, first_block, last_block, activations, stride, n, y, y_stride);
  }
  if (n > 0 && weight.type == DType::kF16) {
    return multiply_direct<LinesF16>(weight, first_block, last_block, activations, stride, n, y, y_stride);
  }
  if (n > 0 && weight.type == DType::kBF16) {
    return multiply_direct<LinesBF16>(weight, first_block, last_block, activations, stride, n, y, y_stride);
  }
  multiply_float_panels<Panels>(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride,
                                scratch);
}

}  // namespace exa
