// What both AVX-512 halves of quantized weights times int8 activations share: readers of packed row blocks.
//
// Included by AVX-512 files alone and compiled with their flags, hence the anonymous namespace.
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

using ReaderQ4_K = ReaderQ45_K<false>;
using ReaderQ5_K = ReaderQ45_K<true>;

template <class Reader>
constexpr float zero_point() {
  switch (Reader::kStart) {
    case offsetof(ActivationBlock, start_8):
      return 8.0F;
    case offsetof(ActivationBlock, start_128):
      return 128.0F;
    case offsetof(ActivationBlock, start_32):
      return 32.0F;
    default:
      return 0.0F;
  }
}

// The weight that 0 in a line stands for, where the group's scale is d: weight = d · line + offset.
template <class Reader>
EXA_INLINE __m512 offset_of(const Reader& reader, __m512 d) {
  return Reader::kMins ? reader.min() : _mm512_mul_ps(d, _mm512_set1_ps(-zero_point<Reader>()));
}

}  // namespace
}  // namespace exa
