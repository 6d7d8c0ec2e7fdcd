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

// sum += w · x. As assembler: the compiler would overwrite other operands, move registers about and spill
// one.
EXA_INLINE void add_product(__m256& sum, __m256 w, __m256 x) {
  __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(w), "x"(x));
}

// tile [C][16] += a panel of n k times C tokens; the lines of the C tokens behind them are fetched on the
// way.
template <int C>
[[gnu::noinline]] void multiply_panel(const float* p, const float* x, std::int64_t n, float* tile,
                                      bool first) {
  constexpr int kFloatsALine = 16;
  __m256 acc[2][C];
  EXA_UNROLL for (int c = 0; c < C; ++c) {
    EXA_UNROLL for (int h = 0; h < 2; ++h) {
      acc[h][c] = first ? _mm256_setzero_ps() : _mm256_load_ps(tile + c * 16 + h * 8);
    }
  }
  EXA_UNROLL for (int c = 0; c < C; ++c) __builtin_prefetch(tile + (C + c) * 16, 1, 3);
  for (; n >= kFloatsALine; n -= kFloatsALine, x += kFloatsALine, p += kFloatsALine * kRowBlock) {
    EXA_UNROLL for (int c = 0; c < C; ++c) __builtin_prefetch(x + (C + c) * kChunkStride, 0, 3);
    EXA_UNROLL for (int k = 0; k < kFloatsALine; ++k) {
      const __m256 low = _mm256_load_ps(p + k * kRowBlock);
      const __m256 high = _mm256_load_ps(p + k * kRowBlock + 8);
      EXA_UNROLL for (int c = 0; c < C; ++c) {
        const __m256 b = _mm256_broadcast_ss(x + c * kChunkStride + k);
        add_product(acc[0][c], low, b);
        add_product(acc[1][c], high, b);
      }
    }
  }
  for (; n > 0; --n, ++x, p += kRowBlock) {
    EXA_UNROLL for (int c = 0; c < C; ++c) {
      const __m256 b = _mm256_broadcast_ss(x + c * kChunkStride);
      add_product(acc[0][c], _mm256_load_ps(p), b);
      add_product(acc[1][c], _mm256_load_ps(p + 8), b);
    }
  }
  EXA_UNROLL for (int c = 0; c < C; ++c) {
    EXA_UNROLL for (int h = 0; h < 2; ++h) _mm256_store_ps(tile + c * 16 + h * 8, acc[h][c]);
  }
}
constexpr std::int64_t kColumns = 6;
using FloatKernel = void (*)(const float*, const float*, std::int64_t, float*, bool);
constexpr FloatKernel kKernels[kColumns] = {multiply_panel<1>, multiply_panel<2>, multiply_panel<3>,
                                            multiply_panel<4>, multiply_panel<5>, multiply_panel<6>};

// Eight pairs of 16-bit weights to fp32: the low halves, then the high halves.
struct WidenBF16 {
  static constexpr int kPerLine = 2;
  EXA_INLINE static void widen(__m256i x, __m256& even, __m256& odd) {
    even = _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
    odd = _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(static_cast<int>(0xffff0000U))));
  }
};
struct WidenF16 {
  static constexpr int kPerLine = 2;
  EXA_INLINE static void widen(__m256i x, __m256& even, __m256& odd) {
    const __m256i apart = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5,
                                           8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    const __m256i sorted = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(x, apart), 0xd8);
    even = _mm256_cvtph_ps(_mm256_castsi256_si128(sorted));
    odd = _mm256_cvtph_ps(_mm256_extracti128_si256(sorted, 1));
  }
};

struct PlainF32 {
  static constexpr int kPerLine = 1;
};

EXA_INLINE void fetch_ahead_of(const u8* line) {
  __builtin_prefetch(line + kFetchNear, 0, 3);
  __builtin_prefetch(line + kFetchFar, 0, 2);
}

// Each row block is a stream of its own, so the distances are shorter than those of one stream.
constexpr std::size_t kStreamNear = 1024;
constexpr std::size_t kStreamFar = 6 * kStreamNear;

// R row blocks times M tokens straight from the packed lines into tile [R][M][16]: 2·R·M independent chains
// hide the latency of an fma. k of one line: two, F32: one.
template <class Widen, int R, int M>
[[gnu::noinline]] void multiply_row_blocks(const u8* row_block, std::size_t row_block_bytes,
                                           std::int64_t n_cols, const float* x, std::size_t x_stride,
                                           float* tile) {
  __m256 acc[R][2][M];
  EXA_UNROLL for (int r = 0; r < R; ++r) {
    EXA_UNROLL for (int m = 0; m < M; ++m) acc[r][0][m] = acc[r][1][m] = _mm256_setzero_ps();
  }
  for (std::int64_t k = 0; k < n_cols; k += Widen::kPerLine, row_block += kLine, x += Widen::kPerLine) {
    EXA_UNROLL for (int r = 0; r < R; ++r) {
      const u8* line = row_block + static_cast<std::size_t>(r) * row_block_bytes;
      __builtin_prefetch(line + kStreamNear, 0, 3);
      __builtin_prefetch(line + kStreamFar, 0, 2);
      EXA_UNROLL for (int h = 0; h < 2; ++h) {
        const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(line) + h);
        if constexpr (Widen::kPerLine == 1) {
          EXA_UNROLL for (int m = 0; m < M; ++m) {
            const __m256 b = _mm256_broadcast_ss(x + static_cast<std::size_t>(m) * x_stride);
            acc[r][h][m] = _mm256_fmadd_ps(_mm256_castsi256_ps(bits), b, acc[r][h][m]);
          }
        } else {
          __m256 even, odd;
          Widen::widen(bits, even, odd);
          EXA_UNROLL for (int m = 0; m < M; ++m) {
            const float* at = x + static_cast<std::size_t>(m) * x_stride;
            acc[r][h][m] = _mm256_fmadd_ps(even, _mm256_broadcast_ss(at), acc[r][h][m]);
            if (k + 1 < n_cols)
              acc[r][h][m] = _mm256_fmadd_ps(odd, _mm256_broadcast_ss(at + 1), acc[r][h][m]);
          }
        }
      }
    }
  }
  EXA_UNROLL for (int r = 0; r < R; ++r) {
    EXA_UNROLL for (int m = 0; m < M; ++m) {
      EXA_UNROLL for (int h = 0; h < 2; ++h) _mm256_store_ps(tile + (r * M + m) * 16 + 8 * h, acc[r][h][m]);
    }
  }
}

// Up to kDirectTokens tokens go over the packed lines themselves.
constexpr std::int64_t kDirectTokens = 4;

template <class Widen>
void multiply_direct(const Matrix& w, std::int64_t first_block, std::int64_t last_block,
                     const std::byte* activations, std::size_t stride, int n_tokens, float* y,
                     std::int64_t y_stride, float* tile) {
  using Function = void (*)(const u8*, std::size_t, std::int64_t, const float*, std::size_t, float*);
  static constexpr Function kSome[kDirectTokens] = {
      multiply_row_blocks<Widen, 4, 1>, multiply_row_blocks<Widen, 2, 2>, multiply_row_blocks<Widen, 2, 3>,
      multiply_row_blocks<Widen, 1, 4>};
  static constexpr Function kOne[kDirectTokens] = {
      multiply_row_blocks<Widen, 1, 1>, multiply_row_blocks<Widen, 1, 2>, multiply_row_blocks<Widen, 1, 3>,
      multiply_row_blocks<Widen, 1, 4>};
  static constexpr int kRowBlocks[kDirectTokens] = {4, 2, 2, 1};
  for (std::int64_t b = first_block; b < last_block;) {
    const bool some = last_block - b >= kRowBlocks[n_tokens - 1];
    const int rows = some ? kRowBlocks[n_tokens - 1] : 1;
    (some ? kSome : kOne)[n_tokens - 1](
        reinterpret_cast<const u8*>(packed_bytes(w)) + static_cast<std::size_t>(b) * w.row_block_bytes,
        w.row_block_bytes, w.n_cols, reinterpret_cast<const float*>(activations), stride / sizeof(float),
        tile);
    store_tile(tile, b * kRowBlock, w.n_rows, rows, n_tokens, y, y_stride);
    b += rows;
  }
}

template <class Widen>
void widen_lines(const u8* lines, std::int64_t n, float* out) {
  for (std::int64_t k = 0; k < n; k += 2, lines += kLine, out += 2 * kRowBlock) {
    for (int h = 0; h < 2; ++h) {
      __m256 even, odd;
      Widen::widen(_mm256_load_si256(reinterpret_cast<const __m256i*>(lines) + h), even, odd);
      _mm256_store_ps(out + 8 * h, even);
      if (k + 1 < n) _mm256_store_ps(out + kRowBlock + 8 * h, odd);
    }
  }
}

// Eight rows of 8 floats, `from_stride` apart, to eight half lines.
EXA_INLINE void transpose(const float* from, std::int64_t from_stride, float* out) {
  __m256 x[8], t[8];
  EXA_UNROLL for (int i = 0; i < 8; ++i) x[i] = _mm256_loadu_ps(from + i * from_stride);
  EXA_UNROLL for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
  }
  EXA_UNROLL for (int i = 0; i < 8; i += 4) {
    EXA_UNROLL for (int j = 0; j < 2; ++j) {
      const __m256d a = _mm256_castps_pd(t[i + j]);
      const __m256d b = _mm256_castps_pd(t[i + j + 2]);
      x[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
      x[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
    }
  }
  EXA_UNROLL for (int i = 0; i < 4; ++i) {
    _mm256_store_ps(out + i * kRowBlock, _mm256_permute2f128_ps(x[i], x[i + 4], 0x20));
    _mm256_store_ps(out + (i + 4) * kRowBlock, _mm256_permute2f128_ps(x[i], x[i + 4], 0x31));
  }
}

// k [k0, k0 + n) of row block b as n lines of fp32.
void unpack(const Matrix& w, std::int64_t b, std::int64_t k0, std::int64_t n, float* out, float* spare) {
  const u8* row_block =
      reinterpret_cast<const u8*>(packed_bytes(w)) + static_cast<std::size_t>(b) * w.row_block_bytes;
  const std::size_t k = static_cast<std::size_t>(k0);
  switch (w.type) {
    case DType::kF16:
      return widen_lines<WidenF16>(row_block + k / 2 * kLine, n, out);
    case DType::kBF16:
      return widen_lines<WidenBF16>(row_block + k / 2 * kLine, n, out);
    case DType::kF32:
      for (std::int64_t i = 0; i < n; ++i) {
        const u8* line = row_block + (k + static_cast<std::size_t>(i)) * kLine;
        for (int h = 0; h < 2; ++h) {
          _mm256_store_ps(out + i * kRowBlock + 8 * h,
                          _mm256_load_ps(reinterpret_cast<const float*>(line) + 8 * h));
        }
      }
      return;
    default:
      break;
  }
  constexpr std::int64_t kRowFloats = 256;
  const std::size_t bytes_per_row = w.row_block_bytes / kRowBlock;
  const std::size_t offset = bytes_per_row * k / static_cast<std::size_t>(w.n_cols);
  for (int row = 0; row < kRowBlock; ++row) {
    decode_row_avx2(
        w.type,
        reinterpret_cast<const std::byte*>(row_block) + static_cast<unsigned>(row) * bytes_per_row + offset,
        static_cast<std::size_t>(n), spare + row * kRowFloats);
  }
  for (std::int64_t i = 0; i < n; i += 8) {
    transpose(spare + i, kRowFloats, out + i * kRowBlock);
    transpose(spare + 8 * kRowFloats + i, kRowFloats, out + i * kRowBlock + 8);
  }
}

// Order: a group of tokens, a turn of row blocks, a chunk of k, the row blocks of the turn, blocks of
// columns. One unpacked row block stays in the nearest cache, the chunk of the group's activations and the
// turn's sums in the next.
void multiply_chunks(const Matrix& w, std::int64_t first_block, std::int64_t last_block, const float* chunks,
                     std::size_t stride, std::int64_t n_tokens, float* y, std::int64_t y_stride,
                     std::byte* scratch) {
  auto* const panel = reinterpret_cast<float*>(scratch);
  auto* const spare = reinterpret_cast<float*>(scratch + kPanelBytes);
  auto* const tiles = reinterpret_cast<float*>(scratch + kPanelBytes + kSpareBytes);
  const ColumnBlocks groups(n_tokens, kFloatGroup);
  const std::size_t bytes_a_column = w.row_block_bytes / static_cast<std::size_t>(w.n_cols);
  const auto packed = [&](std::int64_t b, std::int64_t k) {
    return packed_bytes(w) + static_cast<std::size_t>(b) * w.row_block_bytes +
           static_cast<std::size_t>(k) * bytes_a_column;
  };
  std::int64_t t0 = 0;
  for (std::int64_t group = 0; group < groups.count; ++group) {
    const std::int64_t n_group = groups.width(group);
    const ColumnBlocks columns(n_group, kColumns);
    for (std::int64_t turn = first_block; turn < last_block; turn += kFloatTurn) {
      const std::int64_t turn_end = last_block - turn < kFloatTurn ? last_block : turn + kFloatTurn;
      const float* chunk = chunks + t0 * kChunkStride;
      for (std::int64_t k0 = 0; k0 < w.n_cols; k0 += kChunkDepth, chunk += stride) {
        const std::int64_t n = w.n_cols - k0 < kChunkDepth ? w.n_cols - k0 : kChunkDepth;
        const bool last = k0 + n == w.n_cols;
        for (std::int64_t b = turn; b < turn_end; ++b) {
          unpack(w, b, k0, n, panel, spare);
          const std::byte* const next = b + 1 < turn_end ? packed(b + 1, k0)
                                        : last           ? packed(turn_end, 0)
                                                         : packed(turn, k0 + n);
          SharedPrefetch prefetch(next, w.row_block_bytes, 1, static_cast<std::size_t>(n) * bytes_a_column,
                                  columns.count);
          float* const tile = tiles + (b - turn) * n_group * kRowBlock;
          std::int64_t t = 0;
          for (std::int64_t i = 0; i < columns.count; ++i) {
            const int width = columns.width(i);
            prefetch.fetch_share();
            float* const out = y + (t0 + t) * y_stride;
            if (last) {
              for (int c = 0; c < width; ++c) __builtin_prefetch(out + c * y_stride + b * kRowBlock, 1, 3);
            }
            float* const sums = tile + t * kRowBlock;
            kKernels[width - 1](panel, chunk + t * kChunkStride, n, sums, k0 == 0);
            if (last) store_tile(sums, b * kRowBlock, w.n_rows, 1, width, out, y_stride);
            t += width;
          }
        }
      }
    }
    t0 += n_group;
  }
}

}  // namespace

std::int64_t avx2_direct_tokens(DType weight_type) {
  const bool has_kernel =
      weight_type == DType::kF32 || weight_type == DType::kF16 || weight_type == DType::kBF16;
  return has_kernel ? kDirectTokens : 0;
}

void avx2_matmul_float(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                       const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                       std::int64_t y_stride, std::byte* scratch) {
  if (n_tokens <= 0) return;
  if (n_tokens <= avx2_direct_tokens(weight.type)) {
    const auto function = weight.type == DType::kF32   ? multiply_direct<PlainF32>
                          : weight.type == DType::kF16 ? multiply_direct<WidenF16>
                                                       : multiply_direct<WidenBF16>;
    return function(weight, first_block, last_block, activations, stride, static_cast<int>(n_tokens), y,
                    y_stride, reinterpret_cast<float*>(scratch));
  }
  multiply_chunks(weight, first_block, last_block, reinterpret_cast<const float*>(activations),
                  stride / sizeof(float), n_tokens, y, y_stride, scratch);
}

}  // namespace exa
