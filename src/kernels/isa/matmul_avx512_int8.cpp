// Quantized weights times int8 activations with vpdpbusd.
#include <immintrin.h>

#include "kernels/isa/matmul_panels.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {
namespace {

using u8 = std::uint8_t;

#define EXA_INLINE [[gnu::always_inline]] inline
#define EXA_UNROLL _Pragma("GCC unroll 16")

EXA_INLINE __m512i load_line(const u8* p) {
  return _mm512_load_si512(p);
}
EXA_INLINE __m512 halves(const u8* p) {
  return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
}
EXA_INLINE __m512 minus_magic_times(__m512 d) {
  return _mm512_mul_ps(d, _mm512_set1_ps(-kMagic));
}
// One instruction, so that the compiler keeps the broadcast in a register for several row blocks.
EXA_INLINE __m512i broadcast(const u8* p) {
  __m512i out;
  __asm__("vpbroadcastd %1, %0" : "=v"(out) : "m"(*reinterpret_cast<const std::int32_t*>(p)));
  return out;
}
EXA_INLINE __m512 broadcast_float(const u8* p) {
  return _mm512_castsi512_ps(broadcast(p));
}
// A pointer whose origin the compiler forgets: offsets then stand in the instruction, not in stack slots
// filled before the loop.
EXA_INLINE const u8* opaque(const u8* p) {
  __asm__("" : "+r"(p));
  return p;
}
EXA_INLINE __m512i splat(const u8* p) {
  return _mm512_set1_epi32(*reinterpret_cast<const std::int32_t*>(p));
}

constexpr std::size_t kScale = offsetof(ActivationBlock, scale);
constexpr std::size_t kScaledSum = offsetof(ActivationBlock, scaled_sum);

EXA_INLINE void split_nibbles(__m512i x, __m512i& even, __m512i& odd) {
  const __m512i mask = _mm512_set1_epi8(15);
  even = _mm512_and_si512(x, mask);
  odd = _mm512_and_si512(_mm512_srli_epi16(x, 4), mask);
}

// A reader walks one row block: at each 32-block lines(z) gives u8 lines 2z and 2z + 1, scale(group) the
// scale of a group of k, min() the minimum; next() goes on. kStart is the field of the first group's
// accumulator start.
struct ReaderQ4_0 {
  static constexpr int kGroups = 1;
  static constexpr bool kMins = false;
  static constexpr bool kAlwaysFetch = false;
  static constexpr std::size_t kStart = offsetof(ActivationBlock, start_8);
  static constexpr std::size_t kBytesA32Block = Q4_0Lanes::kBytes / 2;
  const u8* unit;
  std::size_t odd_block;

  EXA_INLINE ReaderQ4_0(const u8* row_block, std::int64_t block)
      : unit(row_block + static_cast<std::size_t>(block / 2) * Q4_0Lanes::kBytes),
        odd_block(static_cast<std::size_t>(block % 2)) {}
  EXA_INLINE void lines(int z, __m512i& even, __m512i& odd) const {
    split_nibbles(load_line(unit + (odd_block * 4 + static_cast<unsigned>(z)) * kLine), even, odd);
  }
  EXA_INLINE __m512 scale(int /*group*/) const { return halves(unit + Q4_0Lanes::kScales + 32 * odd_block); }
  EXA_INLINE __m512 min() const { return _mm512_setzero_ps(); }
  EXA_INLINE void next() {
    unit += odd_block * Q4_0Lanes::kBytes;
    odd_block ^= 1;
  }
};

struct ReaderQ8_0 {
  static constexpr int kGroups = 1;
  static constexpr bool kMins = false;
  static constexpr bool kAlwaysFetch = false;
  static constexpr std::size_t kStart = offsetof(ActivationBlock, start_128);
  static constexpr std::size_t kBytesA32Block = Q8_0Lanes::kBytes / 2;
  const u8* unit;
  std::size_t odd_block;

  EXA_INLINE ReaderQ8_0(const u8* row_block, std::int64_t block)
      : unit(row_block + static_cast<std::size_t>(block / 2) * Q8_0Lanes::kBytes),
        odd_block(static_cast<std::size_t>(block % 2)) {}
  EXA_INLINE void lines(int z, __m512i& even, __m512i& odd) const {
    const u8* p = unit + (odd_block * 8 + 2 * static_cast<unsigned>(z)) * kLine;
    even = load_line(p);
    odd = load_line(p + kLine);
  }
  EXA_INLINE __m512 scale(int /*group*/) const { return halves(unit + Q8_0Lanes::kScales + 32 * odd_block); }
  EXA_INLINE __m512 min() const { return _mm512_setzero_ps(); }
  EXA_INLINE void next() {
    unit += odd_block * Q8_0Lanes::kBytes;
    odd_block ^= 1;
  }
};

template <bool kFive>
struct ReaderQ45_K {
  static constexpr int kGroups = 1;
  static constexpr bool kMins = true;
  static constexpr bool kAlwaysFetch = kFive;
  static constexpr std::size_t kStart = offsetof(ActivationBlock, start_0);
  static constexpr std::size_t kUnit = kFive ? Q5_KLanes::kBytes : Q4_KLanes::kBytes;
  static constexpr std::size_t kBytesA32Block = kUnit / 8;
  static constexpr std::size_t kBlockBytes = kFive ? Q5_KLanes::kBlockBytes : Q4_KLanes::kBlockBytes;
  const u8* unit;
  const u8* block_lines;
  int j = 0;
  // The scale lines, shifted so that 32-block j's fields stand lowest (the high bits at bit 4).
  __m512i scale_low, min_low, scale_high, min_high, fifth;
  __m512 d, minus_dmin;

  EXA_INLINE ReaderQ45_K(const u8* row_block, std::int64_t block)
      : unit(row_block + static_cast<std::size_t>(block / 8) * kUnit) {
    begin_unit();
  }
  EXA_INLINE void begin_unit() {
    block_lines = unit + Q4_KLanes::kLines;
    scale_low = load_line(unit + Q4_KLanes::kScaleLow);
    min_low = load_line(unit + Q4_KLanes::kMinLow);
    const __m512i high = load_line(unit + Q4_KLanes::kHigh);
    scale_high = _mm512_slli_epi32(high, 4);
    min_high = _mm512_srli_epi32(high, 12);
    d = halves(unit + Q4_KLanes::kScales);
    minus_dmin = _mm512_sub_ps(_mm512_setzero_ps(), halves(unit + Q4_KLanes::kScales + 32));
    if constexpr (kFive) fifth = load_line(block_lines + Q5_KLanes::kFifth);
  }
  EXA_INLINE static __m512 field(__m512i low, __m512i high) {
    const __m512i bits = _mm512_and_si512(high, _mm512_set1_epi32(0x30));
    return _mm512_cvtepi32_ps(_mm512_ternarylogic_epi32(bits, low, _mm512_set1_epi32(15), 0xf8));
  }
  EXA_INLINE void lines(int z, __m512i& even, __m512i& odd) const {
    split_nibbles(load_line(block_lines + static_cast<unsigned>(z) * kLine), even, odd);
    if constexpr (kFive) {
      const __m512i bit = _mm512_set1_epi8(16);
      const int b = 2 * z;
      const __m512i e = b < 4 ? _mm512_slli_epi16(fifth, static_cast<unsigned>(4 - b))
                              : _mm512_srli_epi16(fifth, static_cast<unsigned>(b - 4));
      const __m512i o = b + 1 < 4 ? _mm512_slli_epi16(fifth, static_cast<unsigned>(3 - b))
                                  : _mm512_srli_epi16(fifth, static_cast<unsigned>(b - 3));
      even = _mm512_ternarylogic_epi32(even, e, bit, 0xf8);
      odd = _mm512_ternarylogic_epi32(odd, o, bit, 0xf8);
    }
  }
  EXA_INLINE __m512 scale(int /*group*/) const { return _mm512_mul_ps(d, field(scale_low, scale_high)); }
  // -(dmin · m)
  EXA_INLINE __m512 min() const { return _mm512_mul_ps(minus_dmin, field(min_low, min_high)); }
  EXA_INLINE void next() {
    if (++j == 8) {
      j = 0;
      unit += kUnit;
      begin_unit();
      return;
    }
    scale_low = _mm512_srli_epi32(scale_low, 4);
    min_low = _mm512_srli_epi32(min_low, 4);
    scale_high = _mm512_srli_epi32(scale_high, 2);
    min_high = _mm512_srli_epi32(min_high, 2);
    block_lines += kBlockBytes;
    if constexpr (kFive) fifth = load_line(block_lines + Q5_KLanes::kFifth);
  }
};

struct ReaderQ6_K {
  static constexpr int kGroups = 2;
  static constexpr bool kMins = false;
  static constexpr bool kAlwaysFetch = false;
  static constexpr std::size_t kStart = offsetof(ActivationBlock, start_32);
  static constexpr std::size_t kBytesA32Block = Q6_KLanes::kPairBytes / 16;
  const u8* two_blocks;
  std::size_t j;  // 32-block of the pair of units
  __m512 d;

  EXA_INLINE ReaderQ6_K(const u8* row_block, std::int64_t block)
      : two_blocks(row_block + static_cast<std::size_t>(block / 16) * Q6_KLanes::kPairBytes + kLine +
                   static_cast<std::size_t>(block % 16 / 2) * Q6_KLanes::kTwoBlocksBytes),
        j(static_cast<std::size_t>(block % 16)) {
    d = halves(row_block + static_cast<std::size_t>(block / 16) * Q6_KLanes::kPairBytes + 32 * (j / 8));
  }
  EXA_INLINE const u8* nibble_lines() const { return two_blocks + kLine + j % 2 * Q6_KLanes::kBlockBytes; }
  EXA_INLINE void lines(int z, __m512i& even, __m512i& odd) const {
    split_nibbles(load_line(nibble_lines() + static_cast<unsigned>(z) * kLine), even, odd);
    const __m512i x = load_line(nibble_lines() + Q6_KLanes::kTwoBits + static_cast<unsigned>(z / 2) * kLine);
    const __m512i mask = _mm512_set1_epi8(0x30);
    const __m512i e = z % 2 == 0 ? _mm512_slli_epi16(x, 4) : x;
    const __m512i o = z % 2 == 0 ? _mm512_slli_epi16(x, 2) : _mm512_srli_epi16(x, 2);
    even = _mm512_ternarylogic_epi32(even, e, mask, 0xf8);
    odd = _mm512_ternarylogic_epi32(odd, o, mask, 0xf8);
  }
  EXA_INLINE __m512 scale(int group) const {
    const u8* p = two_blocks + 32 * (j % 2) + static_cast<unsigned>(16 * group);
    const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(p));
    return _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)));
  }
  EXA_INLINE __m512 min() const { return _mm512_setzero_ps(); }
  EXA_INLINE void next() {
    ++j;
    if (j % 2 == 0) two_blocks += Q6_KLanes::kTwoBlocksBytes;
    if (j % 8 != 0) return;
    if (j == 16) {
      j = 0;
      two_blocks += kLine;
      d = halves(two_blocks - kLine);
    } else {
      d = halves(two_blocks - Q6_KLanes::kBytes - kLine + 32);
    }
  }
};

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

// Up to kDirectTokens tokens go over the packed lines themselves, kPassTokens a pass: a row block's second
// pass finds it in the cache.
constexpr std::int64_t kDirectTokens = 16;
constexpr std::int64_t kPassTokens = 8;

template <class Reader>
void multiply(const Matrix& w, std::int64_t first_block, std::int64_t last_block,
              const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
              std::int64_t y_stride, std::byte* scratch) {
  if (n_tokens > kDirectTokens) {
    multiply_int8_panels<Panels<Reader>>(w, first_block, last_block, activations, stride, n_tokens, y,
                                         y_stride, scratch);
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

using ReaderQ4_K = ReaderQ45_K<false>;
using ReaderQ5_K = ReaderQ45_K<true>;

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
