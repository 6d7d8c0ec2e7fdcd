// Blocks of 32 with half-precision factors of their own, searched for the least squared error: IQ4_NL, and
// with importance Q4_0, Q5_0, Q4_1 and Q5_1. 16 blocks side by side.
//
// Needs, before it in the same anonymous namespace: quantize_affine.inl, quantize_symmetric.inl.
// Ownership and threads: pure functions. Source: as quantize.h.

// Three neighbours in half precision: the nearest and those around it.
inline Lanes half_near(const Lanes& wish, int step) {
  alignas(64) float lanes[kLanes];
  store(lanes, wish);
  for (float& x : lanes) {
    const int half = f32_to_f16(x);
    const int size = (half & 0x7fff) + step;
    const int limited = size < 0 ? 0 : size > 0x7bff ? 0x7bff : size;
    x = f16_to_f32(static_cast<std::uint16_t>((half & 0x8000) | limited));
  }
  return load(lanes);
}

template <typename Levels, bool kWeighted>
inline Lanes fit_half_scale(const float* x, const float* w) {
  const Lanes wish = fit_levels<Levels, kBlock, kWeighted>(x, w);
  Lanes best = half_near(wish, 0);
  Lanes best_error = level_error<Levels, kBlock, kWeighted>(x, w, best);
  for (const int step : {-1, 1}) {
    const Lanes scale = half_near(wish, step);
    const Lanes error = level_error<Levels, kBlock, kWeighted>(x, w, scale);
    best = where_greater(best_error, error, scale, best);
    best_error = smaller(error, best_error);
  }
  return best;
}

// 16 nibbles' worth of a block from codes [32][16].
inline void pack_nibbles(const std::uint8_t* codes, int lane, std::uint8_t* out) {
  for (int l = 0; l < 16; ++l) {
    const int low = codes[kLanes * l + lane] & 15;
    const int high = codes[kLanes * (l + 16) + lane] & 15;
    out[l] = static_cast<std::uint8_t>(low | high << 4);
  }
}

inline void pack_fifth_bits(const std::uint8_t* codes, int lane, std::uint8_t* out) {
  std::uint32_t bits = 0;
  for (int l = 0; l < kBlock; ++l) bits |= static_cast<std::uint32_t>(codes[kLanes * l + lane] >> 4) << l;
  __builtin_memcpy(out, &bits, 4);
}

// Calls encode_group(x, w, n_blocks_in_group, first byte) for groups of 16 blocks.
template <typename EncodeGroup>
inline void each_block_group(const float* values, std::size_t n_blocks, std::size_t blocks_a_row,
                             std::size_t block_bytes, const float* importance, std::uint8_t* out,
                             EncodeGroup encode_group) {
  alignas(64) float x[kBlock * kLanes];
  alignas(64) float w[kBlock * kLanes];
  for (std::size_t first = 0; first < n_blocks; first += kLanes) {
    const int n = n_blocks - first < kLanes ? static_cast<int>(n_blocks - first) : kLanes;
    side_by_side<kBlock>(values + first * kBlock, n, x);
    if (importance != nullptr) {
      for (std::size_t i = 0; i < kLanes; ++i) {
        const float* from = importance + (first + i) % blocks_a_row * kBlock;
        for (int l = 0; l < kBlock; ++l) w[static_cast<std::size_t>(kLanes * l) + i] = from[l];
      }
    }
    encode_group(x, w, n, out + first * block_bytes);
  }
}

template <typename Levels, bool kWeighted, bool kFifthBits>
inline void encode_level_blocks(const float* values, std::size_t n_blocks, std::size_t blocks_a_row,
                                const float* importance, std::uint8_t* out) {
  constexpr int kBytes = kFifthBits ? 22 : 18;
  each_block_group(values, n_blocks, blocks_a_row, kBytes, importance, out,
                   [](const float* x, const float* w, int n, std::uint8_t* to) {
                     const Lanes scale = fit_half_scale<Levels, kWeighted>(x, w);
                     alignas(64) std::uint8_t codes[kBlock * kLanes];
                     level_codes<Levels, kBlock>(x, scale, codes);
                     alignas(64) float scales[kLanes];
                     store(scales, scale);
                     for (int i = 0; i < n; ++i, to += kBytes) {
                       write_u16(to, f32_to_f16(scales[i]));
                       if constexpr (kFifthBits) pack_fifth_bits(codes, i, to + 2);
                       pack_nibbles(codes, i, to + kBytes - 16);
                     }
                   });
}

// With importance alone.
template <int kCodes>
inline void encode_affine_blocks(const float* values, std::size_t n_blocks, std::size_t blocks_a_row,
                                 const float* importance, std::uint8_t* out) {
  constexpr bool kFifthBits = kCodes == 31;
  constexpr int kBytes = kFifthBits ? 24 : 20;
  each_block_group(values, n_blocks, blocks_a_row, kBytes, importance, out,
                   [](const float* x, const float* w, int n, std::uint8_t* to) {
                     const AffineFit fit = fit_affine<kBlock, kCodes, true, false>(x, w);
                     const Lanes scale = half_near(fit.scale, 0);
                     const Lanes minimum = half_near(fit.minimum, 0);
                     alignas(64) std::uint8_t codes[kBlock * kLanes];
                     affine_codes<kBlock, kCodes>(x, scale, minimum, codes);
                     alignas(64) float scales[kLanes], minima[kLanes];
                     store(scales, scale);
                     store(minima, minimum);
                     for (int i = 0; i < n; ++i, to += kBytes) {
                       write_u16(to, f32_to_f16(scales[i]));
                       write_u16(to + 2, f32_to_f16(-minima[i]));
                       if constexpr (kFifthBits) pack_fifth_bits(codes, i, to + 4);
                       pack_nibbles(codes, i, to + kBytes - 16);
                     }
                   });
}
