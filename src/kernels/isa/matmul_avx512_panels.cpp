// Quantized weights times the int8 activations of many tokens: unpacked panels and vpdpbusd.
#include <immintrin.h>

#include "kernels/isa/matmul_avx512_readers.h"
#include "kernels/isa/matmul_panels.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {
namespace {

// A panel of R row blocks: per 32-block and group of k the u8 lines, d and -kMagic·d, last the minima.
template <class Reader, int R, int C>
[[gnu::noinline]] void multiply_panel(const std::byte* panel, const std::byte* activations,
                                      std::size_t stride, std::int64_t n, float* tile, bool first) {
  const u8* p = reinterpret_cast<const u8*>(panel);
  const u8* a[C];
  EXA_UNROLL for (int c = 0; c < C; ++c) {
    a[c] = opaque(reinterpret_cast<const u8*>(activations) + static_cast<std::size_t>(c) * stride);
  }
  const std::size_t next_columns = static_cast<std::size_t>(C) * stride;
  constexpr int kLines = 8 / Reader::kGroups;
  __m512 acc[R][C];
  EXA_UNROLL for (int r = 0; r < R; ++r) {
    EXA_UNROLL for (int c = 0; c < C; ++c) {
      acc[r][c] = first ? _mm512_setzero_ps() : _mm512_load_ps(tile + (r * C + c) * 16);
    }
  }
  for (; n > 0; --n) {
    EXA_UNROLL for (int group = 0; group < Reader::kGroups; ++group) {
      __m512i sum[R][C];
      EXA_UNROLL for (int c = 0; c < C; ++c) {
        if (group == 0) __builtin_prefetch(a[c] + next_columns, 0, 3);
        EXA_UNROLL for (int r = 0; r < R; ++r) {
          sum[r][c] = broadcast(a[c] + Reader::kStart + static_cast<std::size_t>(4 * group));
        }
      }
      EXA_UNROLL for (int i = 0; i < kLines; ++i, p += R * kLine) {
        __m512i w[R];
        EXA_UNROLL for (int r = 0; r < R; ++r) w[r] = load_line(p + static_cast<unsigned>(r) * kLine);
        EXA_UNROLL for (int c = 0; c < C; ++c) {
          const __m512i b = broadcast(a[c] + static_cast<std::size_t>(4 * (group * kLines + i)));
          EXA_UNROLL for (int r = 0; r < R; ++r) {
            __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[r][c]) : "v"(w[r]), "v"(b));
          }
        }
      }
      __m512 d[R];
      EXA_UNROLL for (int r = 0; r < R; ++r) d[r] = _mm512_load_ps(p + static_cast<unsigned>(r) * kLine);
      EXA_UNROLL for (int c = 0; c < C; ++c) {
        const __m512 scale = broadcast_float(a[c] + kScale);
        EXA_UNROLL for (int r = 0; r < R; ++r) {
          const __m512 minus = _mm512_load_ps(p + static_cast<unsigned>(R + r) * kLine);
          const __m512 product = _mm512_fmadd_ps(_mm512_castsi512_ps(sum[r][c]), d[r], minus);
          acc[r][c] = _mm512_fmadd_ps(product, scale, acc[r][c]);
        }
      }
      p += 2 * R * kLine;
    }
    if constexpr (Reader::kMins) {
      __m512 min[R];
      EXA_UNROLL for (int r = 0; r < R; ++r) min[r] = _mm512_load_ps(p + static_cast<unsigned>(r) * kLine);
      EXA_UNROLL for (int c = 0; c < C; ++c) {
        const __m512 scaled_sum = broadcast_float(a[c] + kScaledSum);
        EXA_UNROLL for (int r = 0; r < R; ++r) acc[r][c] = _mm512_fmadd_ps(min[r], scaled_sum, acc[r][c]);
      }
      p += R * kLine;
    }
    EXA_UNROLL for (int c = 0; c < C; ++c) a[c] = opaque(a[c] + sizeof(ActivationBlock));
  }
  EXA_UNROLL for (int r = 0; r < R; ++r) {
    EXA_UNROLL for (int c = 0; c < C; ++c) _mm512_store_ps(tile + (r * C + c) * 16, acc[r][c]);
  }
}

template <class Reader>
struct Panels {
  static constexpr std::int64_t kRows = 2;
  static constexpr std::int64_t kCols = 7;
  static constexpr std::size_t kBytesA32Block = Reader::kBytesA32Block;

  static void unpack(const std::byte* row_block, std::int64_t first, std::int64_t n, std::byte* panel, int r,
                     int n_row_blocks) {
    Reader reader(reinterpret_cast<const u8*>(row_block), first);
    const std::size_t step = static_cast<unsigned>(n_row_blocks) * kLine;
    u8* p = reinterpret_cast<u8*>(panel) + static_cast<unsigned>(r) * kLine;
    for (std::int64_t i = 0; i < n; ++i) {
      constexpr int kLinePairs = 4 / Reader::kGroups;
      EXA_UNROLL for (int group = 0; group < Reader::kGroups; ++group) {
        EXA_UNROLL for (int z = 0; z < kLinePairs; ++z) {
          __m512i even, odd;
          reader.lines(group * kLinePairs + z, even, odd);
          _mm512_store_si512(p, even);
          _mm512_store_si512(p + step, odd);
          p += 2 * step;
        }
        const __m512 d = reader.scale(group);
        _mm512_store_ps(p, d);
        _mm512_store_ps(p + step, minus_magic_times(d));
        p += 2 * step;
      }
      if constexpr (Reader::kMins) {
        _mm512_store_ps(p, reader.min());
        p += step;
      }
      if (i + 1 < n) reader.next();
    }
  }

  static PanelKernel kernel(int n_row_blocks, int n_columns) {
    static constexpr PanelKernel kKernels[2][kCols] = {
        {multiply_panel<Reader, 1, 1>, multiply_panel<Reader, 1, 2>, multiply_panel<Reader, 1, 3>,
         multiply_panel<Reader, 1, 4>, multiply_panel<Reader, 1, 5>, multiply_panel<Reader, 1, 6>,
         multiply_panel<Reader, 1, 7>},
        {multiply_panel<Reader, 2, 1>, multiply_panel<Reader, 2, 2>, multiply_panel<Reader, 2, 3>,
         multiply_panel<Reader, 2, 4>, multiply_panel<Reader, 2, 5>, multiply_panel<Reader, 2, 6>,
         multiply_panel<Reader, 2, 7>}};
    return kKernels[n_row_blocks - 1][n_columns - 1];
  }
};

}  // namespace

void avx512_matmul_panels(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                          const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                          std::int64_t y_stride, std::byte* scratch) {
  switch (weight.type) {
    case DType::kQ4_0:
      return multiply_int8_panels<Panels<ReaderQ4_0>>(weight, first_block, last_block, activations, stride,
                                                      n_tokens, y, y_stride, scratch);
    case DType::kQ8_0:
      return multiply_int8_panels<Panels<ReaderQ8_0>>(weight, first_block, last_block, activations, stride,
                                                      n_tokens, y, y_stride, scratch);
    case DType::kQ4_K:
      return multiply_int8_panels<Panels<ReaderQ4_K>>(weight, first_block, last_block, activations, stride,
                                                      n_tokens, y, y_stride, scratch);
    case DType::kQ5_K:
      return multiply_int8_panels<Panels<ReaderQ5_K>>(weight, first_block, last_block, activations, stride,
                                                      n_tokens, y, y_stride, scratch);
    default:
      return multiply_int8_panels<Panels<ReaderQ6_K>>(weight, first_block, last_block, activations, stride,
                                                      n_tokens, y, y_stride, scratch);
  }
}

}  // namespace exa
