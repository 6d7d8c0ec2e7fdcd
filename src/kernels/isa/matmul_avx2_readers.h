// What both AVX2 halves of quantized weights times int8 activations share: readers of packed row blocks.
//
// Included by AVX2 files alone and compiled with their flags, hence the anonymous namespace.
// Ownership and threads: borrowed memory.
// Source: kernels specification 3.1; layouts in isa/lanes.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/lanes.h"

namespace exa {
namespace {  // NOLINT: one copy a file on purpose

using u8 = std::uint8_t;

#define EXA_INLINE [[gnu::always_inline]] inline
#define EXA_UNROLL _Pragma("GCC unroll 16")

constexpr std::size_t kHalf = 32;  // bytes: rows 0-7 or 8-15 of a line

EXA_INLINE __m256i load(const u8* p) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
}
EXA_INLINE void store(u8* p, __m256i x) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(p), x);
}
EXA_INLINE void store_floats(u8* p, __m256 x) {
  _mm256_store_ps(reinterpret_cast<float*>(p), x);
}
EXA_INLINE __m256 load_floats(const u8* p) {
  return _mm256_load_ps(reinterpret_cast<const float*>(p));
}
EXA_INLINE __m256 halves(const u8* p) {
  return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
}
EXA_INLINE void split_nibbles(__m256i x, __m256i& even, __m256i& odd) {
  const __m256i mask = _mm256_set1_epi8(15);
  even = _mm256_and_si256(x, mask);
  odd = _mm256_and_si256(_mm256_srli_epi16(x, 4), mask);
}
// Field bits of `x` at `mask`, moved up by `shift` (down where negative).
template <int shift>
EXA_INLINE __m256i bits(__m256i x, __m256i mask) {
  if constexpr (shift > 0) return _mm256_and_si256(_mm256_slli_epi16(x, shift), mask);
  if constexpr (shift < 0) return _mm256_and_si256(_mm256_srli_epi16(x, -shift), mask);
  return _mm256_and_si256(x, mask);
}

// Eight rows of one 32-block, out of their packed form: u8 lines (int8 where kSigned), for each group of k
// the scale, last the minima, negative.
template <int kGroups>
struct HalfBlock {
  __m256i lines[8];
  __m256 d[kGroups];
  __m256 minus_min;
};

EXA_INLINE void read_nibbles(const u8* from, __m256i* lines) {
  EXA_UNROLL for (std::size_t z = 0; z < 4; ++z) {
    split_nibbles(load(from + z * kLine), lines[2 * z], lines[2 * z + 1]);
  }
}

struct Q4_0 {
  static constexpr int kGroups = 1, kFold = 8;
  static constexpr bool kMins = false, kSigned = false;
  static constexpr std::size_t kStart = offsetof(ActivationBlock, start_8);
  static constexpr std::size_t kBytesA32Block = Q4_0Lanes::kBytes / 2;

  EXA_INLINE static HalfBlock<kGroups> read(const u8* row_block, std::size_t block, std::size_t half) {
    HalfBlock<kGroups> out;
    const u8* unit = row_block + block / 2 * Q4_0Lanes::kBytes;
    const u8* lines = unit + block % 2 * 4 * kLine;
    read_nibbles(lines + half * kHalf, out.lines);
    out.d[0] = halves(unit + Q4_0Lanes::kScales + 32 * (block % 2) + 16 * half);
    return out;
  }
};

struct Q8_0 {
  static constexpr int kGroups = 1, kFold = 1;
  static constexpr bool kMins = false, kSigned = true;
  static constexpr std::size_t kStart = offsetof(ActivationBlock, start_0);
  static constexpr std::size_t kBytesA32Block = Q8_0Lanes::kBytes / 2;

  EXA_INLINE static HalfBlock<kGroups> read(const u8* row_block, std::size_t block, std::size_t half) {
    HalfBlock<kGroups> out;
    const u8* unit = row_block + block / 2 * Q8_0Lanes::kBytes;
    const u8* lines = unit + block % 2 * 8 * kLine;
    EXA_UNROLL for (std::size_t z = 0; z < 8; ++z) {
      out.lines[z] = _mm256_xor_si256(load(lines + half * kHalf + z * kLine), _mm256_set1_epi8(-128));
    }
    out.d[0] = halves(unit + Q8_0Lanes::kScales + 32 * (block % 2) + 16 * half);
    return out;
  }
};

template <bool kFive>
struct Q45_K {
  static constexpr int kGroups = 1, kFold = kFive ? 4 : 8;
  static constexpr bool kMins = true, kSigned = false;
  static constexpr std::size_t kStart = offsetof(ActivationBlock, start_0);
  static constexpr std::size_t kUnit = kFive ? Q5_KLanes::kBytes : Q4_KLanes::kBytes;
  static constexpr std::size_t kBytesA32Block = kUnit / 8;

  // Field j of the low and of the high bits (which begin at bit `from`) as floats.
  EXA_INLINE static __m256 field(const u8* low, const u8* high, int j, int from) {
    const __m256i l = _mm256_srl_epi32(load(low), _mm_cvtsi32_si128(4 * j));
    const __m256i h = _mm256_srl_epi32(load(high), _mm_cvtsi32_si128(2 * j + from));
    const __m256i low_bits = _mm256_and_si256(l, _mm256_set1_epi32(15));
    const __m256i high_bits = _mm256_slli_epi32(_mm256_and_si256(h, _mm256_set1_epi32(3)), 4);
    return _mm256_cvtepi32_ps(_mm256_or_si256(low_bits, high_bits));
  }

  EXA_INLINE static HalfBlock<kGroups> read(const u8* row_block, std::size_t block, std::size_t half) {
    HalfBlock<kGroups> out;
    const u8* unit = row_block + block / 8 * kUnit;
    const std::size_t j = block % 8;
    const u8* lines =
        unit + Q4_KLanes::kLines + j * (kFive ? Q5_KLanes::kBlockBytes : Q4_KLanes::kBlockBytes);
    lines += half * kHalf;
    read_nibbles(lines, out.lines);
    if constexpr (kFive) {
      const __m256i x = load(lines + Q5_KLanes::kFifth);
      const __m256i mask = _mm256_set1_epi8(16);
      const __m256i fifth[8] = {bits<4>(x, mask), bits<3>(x, mask),  bits<2>(x, mask),  bits<1>(x, mask),
                                bits<0>(x, mask), bits<-1>(x, mask), bits<-2>(x, mask), bits<-3>(x, mask)};
      EXA_UNROLL for (std::size_t z = 0; z < 8; ++z) {
        out.lines[z] = _mm256_or_si256(out.lines[z], fifth[z]);
      }
    }
    const u8* at = unit + half * kHalf;
    const u8* d = unit + Q4_KLanes::kScales + 16 * half;
    const int field_index = static_cast<int>(j);
    out.d[0] =
        _mm256_mul_ps(halves(d), field(at + Q4_KLanes::kScaleLow, at + Q4_KLanes::kHigh, field_index, 0));
    const __m256 minus_dmin = _mm256_sub_ps(_mm256_setzero_ps(), halves(d + 32));
    out.minus_min =
        _mm256_mul_ps(minus_dmin, field(at + Q4_KLanes::kMinLow, at + Q4_KLanes::kHigh, field_index, 16));
    return out;
  }
};

struct Q6_K {
  static constexpr int kGroups = 2, kFold = 2;
  static constexpr bool kMins = false, kSigned = false;
  static constexpr std::size_t kStart = offsetof(ActivationBlock, start_32);
  static constexpr std::size_t kBytesA32Block = Q6_KLanes::kPairBytes / 16;

  EXA_INLINE static HalfBlock<kGroups> read(const u8* row_block, std::size_t block, std::size_t half) {
    HalfBlock<kGroups> out;
    const std::size_t unit_index = block / 8;
    const std::size_t j = block % 8;
    const u8* pair = row_block + unit_index / 2 * Q6_KLanes::kPairBytes;
    const u8* two_blocks =
        pair + kLine + unit_index % 2 * Q6_KLanes::kBytes + j / 2 * Q6_KLanes::kTwoBlocksBytes;
    const u8* block_lines = two_blocks + kLine + j % 2 * Q6_KLanes::kBlockBytes;
    const __m256 d = halves(pair + 32 * (unit_index % 2) + 16 * half);
    const __m256i mask = _mm256_set1_epi8(0x30);
    EXA_UNROLL for (std::size_t group = 0; group < 2; ++group) {
      const u8* lines = block_lines + 2 * group * kLine + half * kHalf;
      const __m256i x = load(block_lines + Q6_KLanes::kTwoBits + group * kLine + half * kHalf);
      __m256i* to = out.lines + 4 * group;
      split_nibbles(load(lines), to[0], to[1]);
      split_nibbles(load(lines + kLine), to[2], to[3]);
      to[0] = _mm256_or_si256(to[0], bits<4>(x, mask));
      to[1] = _mm256_or_si256(to[1], bits<2>(x, mask));
      to[2] = _mm256_or_si256(to[2], bits<0>(x, mask));
      to[3] = _mm256_or_si256(to[3], bits<-2>(x, mask));
      const u8* scales = two_blocks + 16 * (2 * (j % 2) + group) + 8 * half;
      const __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales)));
      out.d[group] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(wide));
    }
    return out;
  }
};

EXA_INLINE __m256i splat(const u8* p) {
  return _mm256_set1_epi32(*reinterpret_cast<const std::int32_t*>(p));
}
EXA_INLINE __m256 splat_float(const u8* p) {
  return _mm256_castsi256_ps(splat(p));
}

}  // namespace
}  // namespace exa
