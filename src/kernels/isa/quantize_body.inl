// The kernels of quantize.h, written once over vectors of kWidth numbers.
//
// Needs, before it in the same anonymous namespace: kWidth, the numbers of a vector register; and quantize.h,
// quant.h outside of it. Nothing here may come from a header whose inline code the baseline shares. Ownership and threads: as quantize.h. Source: as quantize.h.

#include "kernels/isa/quantize_lanes.inl"
#include "kernels/isa/quantize_simple.inl"

// How the searches with a minimum walk: first the range cut or stretched by fractions of a step between
// codes, then the best fit so far taken as the next start.
constexpr int kSteps = 13;
constexpr float kFirstStep = 0.9F;
constexpr float kStep = -0.15F;
constexpr int kRefinements = 2;
// How often the units of a super-block are fitted anew to the integers chosen with the units before.
constexpr int kUnitRounds = 1;

#include "kernels/isa/quantize_affine.inl"
#include "kernels/isa/quantize_symmetric.inl"

constexpr std::size_t kSuperBlock = 256;

// Importance of 16 sub-blocks that start at super-block `first` of a row of n_supers, side by side.
template <int kN>
inline void importance_side_by_side(const float* importance, std::size_t first, std::size_t n_supers,
                                    float* out) {
  for (int i = 0; i < kLanes; ++i) {
    const std::size_t super = first + static_cast<std::size_t>(i * kN) / kSuperBlock;
    const float* from =
        importance + super % n_supers * kSuperBlock + static_cast<std::size_t>(i * kN) % kSuperBlock;
    for (int l = 0; l < kN; ++l) out[kLanes * l + i] = from[l];
  }
}

// Calls encode_group(x, w, n_supers_in_group, out) for groups of 16 sub-blocks of kN numbers.
template <int kN, typename EncodeGroup>
inline void each_group(const float* values, std::size_t n_supers, std::size_t supers_a_row,
                       std::size_t super_bytes, const float* importance, std::uint8_t* out,
                       EncodeGroup encode_group) {
  constexpr std::size_t kSupers = kN / 16;
  alignas(64) float x[kN * kLanes];
  alignas(64) float w[kN * kLanes];
  for (std::size_t i = 0; i < n_supers; i += kSupers) {
    const std::size_t n = n_supers - i < kSupers ? n_supers - i : kSupers;
    side_by_side<kN>(values + i * kSuperBlock, static_cast<int>(n * kSuperBlock) / kN, x);
    if (importance != nullptr) importance_side_by_side<kN>(importance, i, supers_a_row, w);
    encode_group(x, w, static_cast<int>(n), out + i * super_bytes);
  }
}

template <int kN, int kCodes, int kMaxScale, bool kWeighted, typename Pack>
inline void encode_affine(const float* values, std::size_t n_supers, std::size_t supers_a_row,
                          std::size_t super_bytes, const float* importance, std::uint8_t* out, Pack pack) {
  constexpr int kSupers = kN / 16;
  each_group<kN>(values, n_supers, supers_a_row, super_bytes, importance, out,
                 [&](const float* x, const float* w, int n, std::uint8_t* to) {
                   AffineGroup<kSupers> group{};
                   encode_affine_group<kN, kCodes, kMaxScale, kWeighted>(x, w, group);
                   const Lanes scale = spread(group.unit, kSupers) * load(group.scale);
                   const Lanes minimum = spread(group.minimum_unit, kSupers) * load(group.minimum);
                   alignas(64) std::uint8_t codes[kN * kLanes];
                   affine_codes<kN, kCodes>(x, scale, minimum, codes);
                   for (int b = 0; b < n; ++b)
                     pack(group, b, codes, to + static_cast<std::size_t>(b) * super_bytes);
                 });
}

template <typename Levels, int kN, int kMaxScale, bool kWeighted, typename Pack>
inline void encode_levels(const float* values, std::size_t n_supers, std::size_t supers_a_row,
                          std::size_t super_bytes, const float* importance, std::uint8_t* out, Pack pack) {
  constexpr int kSupers = kN / 16;
  each_group<kN>(values, n_supers, supers_a_row, super_bytes, importance, out,
                 [&](const float* x, const float* w, int n, std::uint8_t* to) {
                   LevelGroup<kSupers> group{};
                   encode_level_group<Levels, kN, kMaxScale, kWeighted>(x, w, group);
                   alignas(64) std::uint8_t codes[kN * kLanes];
                   level_codes<Levels, kN>(x, spread(group.unit, kSupers) * load(group.scale), codes);
                   for (int b = 0; b < n; ++b)
                     pack(group, b, codes, to + static_cast<std::size_t>(b) * super_bytes);
                 });
}

#include "kernels/isa/quantize_blocks.inl"

// Everything about the rows that encode() is given, in blocks of the type.
struct Rows {
  const float* values;
  std::size_t n_blocks;
  std::size_t blocks_a_row;
  const float* importance;
  std::uint8_t* out;
};

template <void (*kEncodeBlock)(const float*, std::uint8_t*)>
inline void encode_blocks(const Rows& rows, std::size_t block_bytes) {
  for (std::size_t i = 0; i < rows.n_blocks; ++i) {
    kEncodeBlock(rows.values + i * kBlock, rows.out + i * block_bytes);
  }
}

template <int kN, int kCodes, int kMaxScale, typename Pack>
void encode_affine_rows(const Rows& rows, std::size_t super_bytes, Pack pack) {
  const auto encode = rows.importance != nullptr ? encode_affine<kN, kCodes, kMaxScale, true, Pack>
                                                 : encode_affine<kN, kCodes, kMaxScale, false, Pack>;
  encode(rows.values, rows.n_blocks, rows.blocks_a_row, super_bytes, rows.importance, rows.out, pack);
}

template <typename Levels, int kN, int kMaxScale, typename Pack>
void encode_level_rows(const Rows& rows, std::size_t super_bytes, Pack pack) {
  const auto encode = rows.importance != nullptr ? encode_levels<Levels, kN, kMaxScale, true, Pack>
                                                 : encode_levels<Levels, kN, kMaxScale, false, Pack>;
  encode(rows.values, rows.n_blocks, rows.blocks_a_row, super_bytes, rows.importance, rows.out, pack);
}

template <typename Levels, bool kFifthBits>
void encode_level_block_rows(const Rows& rows) {
  const auto encode = rows.importance != nullptr ? encode_level_blocks<Levels, true, kFifthBits>
                                                 : encode_level_blocks<Levels, false, kFifthBits>;
  encode(rows.values, rows.n_blocks, rows.blocks_a_row, rows.importance, rows.out);
}

inline void narrow_bf16(const float* values, std::size_t n, std::uint8_t* out) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int part = 0; part < kParts; ++part) {
      using Words = std::uint32_t __attribute__((vector_size(4 * kWidth)));
      using Halves = std::uint16_t __attribute__((vector_size(2 * kWidth)));
      Words bits;
      __builtin_memcpy(&bits, values + i + static_cast<std::size_t>(part * kWidth), sizeof(bits));
      const Words rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
      const Words quiet = bits >> 16 | 0x40;
      const Halves halves =
          __builtin_convertvector((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded, Halves);
      __builtin_memcpy(out + 2 * (i + static_cast<std::size_t>(part * kWidth)), &halves, sizeof(halves));
    }
  }
  for (; i < n; ++i) write_u16(out + 2 * i, f32_to_bf16(values[i]));
}

inline void narrow_f16(const float* values, std::size_t n, std::uint8_t* out) {
  std::size_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(values + i), _MM_FROUND_TO_NEAREST_INT);
    __builtin_memcpy(out + 2 * i, &halves, sizeof(halves));
  }
#endif
  for (; i < n; ++i) write_u16(out + 2 * i, f32_to_f16(values[i]));
}

void encode(DType type, const float* values, std::size_t n_rows, std::size_t n_cols, const float* importance,
            std::byte* to) {
  auto* out = reinterpret_cast<std::uint8_t*>(to);
  const std::size_t n = n_rows * n_cols;
  const Rows supers{values, n / kSuperBlock, n_cols / kSuperBlock, importance, out};
  const Rows blocks{values, n / kBlock, n_cols / kBlock, importance, out};
  const bool weighted = importance != nullptr;
  switch (type) {
    case DType::kF32:
      if (n > 0) __builtin_memcpy(out, values, n * sizeof(float));
      return;
    case DType::kF16:
      return narrow_f16(values, n, out);
    case DType::kBF16:
      return narrow_bf16(values, n, out);
    case DType::kQ8_0:
      return encode_blocks<encode_q8_0>(blocks, 34);
    case DType::kQ4_0:
      if (weighted)
        return encode_level_blocks<EvenLevels<8>, true, false>(values, blocks.n_blocks, blocks.blocks_a_row,
                                                               importance, out);
      return encode_blocks<encode_symmetric_block<16>>(blocks, 18);
    case DType::kQ5_0:
      if (weighted)
        return encode_level_blocks<EvenLevels<16>, true, true>(values, blocks.n_blocks, blocks.blocks_a_row,
                                                               importance, out);
      return encode_blocks<encode_symmetric_block<32>>(blocks, 22);
    case DType::kQ4_1:
      if (weighted)
        return encode_affine_blocks<15>(values, blocks.n_blocks, blocks.blocks_a_row, importance, out);
      return encode_blocks<encode_offset_block<16>>(blocks, 20);
    case DType::kQ5_1:
      if (weighted)
        return encode_affine_blocks<31>(values, blocks.n_blocks, blocks.blocks_a_row, importance, out);
      return encode_blocks<encode_offset_block<32>>(blocks, 24);
    case DType::kQ2_K:
      return encode_affine_rows<16, 3, 15>(
          supers, 84,
          [](const AffineGroup<1>& g, int, const std::uint8_t* c, std::uint8_t* o) { pack_q2_k(g, c, o); });
    case DType::kQ4_K:
      return encode_affine_rows<32, 15, 63>(supers, 144, pack_q4_k);
    case DType::kQ5_K:
      return encode_affine_rows<32, 31, 63>(supers, 176, pack_q5_k);
    case DType::kQ3_K:
      return encode_level_rows<EvenLevels<4>, 16, 32>(
          supers, 110,
          [](const LevelGroup<1>& g, int, const std::uint8_t* c, std::uint8_t* o) { pack_q3_k(g, c, o); });
    case DType::kQ6_K:
      return encode_level_rows<EvenLevels<32>, 16, 128>(
          supers, 210,
          [](const LevelGroup<1>& g, int, const std::uint8_t* c, std::uint8_t* o) { pack_q6_k(g, c, o); });
    case DType::kIQ4_NL:
      return encode_level_block_rows<UnevenLevels, false>(blocks);
    case DType::kIQ4_XS:
      return encode_level_rows<UnevenLevels, 32, 32>(supers, 136, pack_iq4_xs);
    default:
      return;
  }
}

void widen_bf16(const std::byte* stored, std::size_t n, float* out) {
  using Words = std::uint32_t __attribute__((vector_size(4 * kWidth)));
  using Halves = std::uint16_t __attribute__((vector_size(2 * kWidth)));
  std::size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    Halves halves;
    __builtin_memcpy(&halves, stored + 2 * i, sizeof(halves));
    const Words words = __builtin_convertvector(halves, Words) << 16;
    __builtin_memcpy(out + i, &words, sizeof(words));
  }
  for (; i < n; ++i) {
    std::uint16_t half;
    __builtin_memcpy(&half, stored + 2 * i, 2);
    const std::uint32_t word = static_cast<std::uint32_t>(half) << 16;
    __builtin_memcpy(out + i, &word, 4);
  }
}

void widen_f16(const std::byte* stored, std::size_t n, float* out) {
  std::size_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8) {
    __m128i halves;
    __builtin_memcpy(&halves, stored + 2 * i, sizeof(halves));
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(halves));
  }
#endif
  for (; i < n; ++i) {
    std::uint16_t half;
    __builtin_memcpy(&half, stored + 2 * i, 2);
    out[i] = f16_to_f32(half);
  }
}

float largest_magnitude(const float* values, std::size_t n) {
  Lanes all = broadcast(0);
  const Lanes infinity = broadcast(__builtin_inff());
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    // Of a NaN and infinity, infinity.
    all = larger(smaller(magnitude(load(values + i)), infinity), all);
  }
  float largest = maximum(all);
  for (; i < n; ++i) {
    const float size = __builtin_fabsf(values[i]);
    if (!(size <= largest)) largest = size == size ? size : __builtin_inff();
  }
  return largest;
}

constexpr QuantizeKernels kKernels = {encode, widen_bf16, widen_f16, largest_magnitude};
