// Blocks of 32 with one scale found from the extremes, as ggml's reference quantizer finds it.
//
// Needs, before it in the same anonymous namespace: quantize_lanes.inl; and quant.h outside of it.
// Ownership and threads: pure functions. Source: as quantize.h.

constexpr int kBlock = 32;

inline void write_u16(std::uint8_t* p, std::uint16_t value) {
  __builtin_memcpy(p, &value, 2);
}

// Products that overflowed, or are none, count as zero: their block's scale is zero in half precision.
inline IntLanes to_codes(const Lanes& scaled, const Lanes& offset) {
  const Lanes finite = where_greater(broadcast(1e6F), magnitude(scaled), scaled, broadcast(0) - offset);
  return truncated(finite + offset);
}

inline IntLanes at_most(IntLanes x, std::int32_t limit) {
  for (int i = 0; i < kParts; ++i) x.part[i] = x.part[i] < limit ? x.part[i] : limit - IntPart{};
  return x;
}

// Codes of weights 0 … 15 in the low nibbles, of 16 … 31 in the high ones.
inline void store_nibbles(std::uint8_t* out, const IntLanes& first, const IntLanes& second) {
  IntLanes both;
  for (int i = 0; i < kParts; ++i) both.part[i] = (first.part[i] & 15) | (second.part[i] & 15) << 4;
  store_bytes(out, both);
}

// The fifth bits of 32 codes, weight 0 lowest.
inline std::uint32_t fifth_bits(const IntLanes& first, const IntLanes& second) {
  IntPart all{};
  for (int i = 0; i < kParts; ++i) {
    const IntPart lane = lane_numbers() + i * kWidth;
    all |= (first.part[i] >> 4 & 1) << lane | (second.part[i] >> 4 & 1) << (lane + kLanes);
  }
  for (int step = kWidth / 2; step > 0; step /= 2) all |= __builtin_shuffle(all, lane_numbers() ^ step);
  return static_cast<std::uint32_t>(all[0]);
}

inline float inverse_or_zero(float x) {
  return x != 0 ? 1.0F / x : 0.0F;
}

inline void encode_q8_0(const float* x, std::uint8_t* out) {
  const Lanes half[2] = {load(x), load(x + kLanes)};
  const float scale = maximum(larger(magnitude(half[0]), magnitude(half[1]))) / 127.0F;
  const Lanes inverse = broadcast(inverse_or_zero(scale));
  write_u16(out, f32_to_f16(scale));
  for (int i = 0; i < 2; ++i) {
    Lanes scaled = half[i] * inverse;
    scaled = where_greater(broadcast(1e6F), magnitude(scaled), scaled, broadcast(0));
    // Half away from zero.
    const Lanes whole = as_float(truncated(scaled));
    const Lanes rest = scaled - whole;
    const Lanes up = where_greater(broadcast(0.5F), rest, broadcast(0), broadcast(1));
    const Lanes down = where_greater(rest, broadcast(-0.5F), broadcast(0), broadcast(1));
    store_bytes(out + 2 + i * kLanes, truncated(whole + up - down));
  }
}

// The value of largest magnitude, the first where several have it.
inline float extreme(const float* x, const Lanes& first, const Lanes& second) {
  const float largest = maximum(larger(magnitude(first), magnitude(second)));
  const float highest = maximum(larger(first, second));
  if (largest == 0) return 0;
  if (highest != largest) return -largest;
  if (maximum(larger(broadcast(0) - first, broadcast(0) - second)) != largest) return largest;
  for (int i = 0; i < kBlock; ++i) {
    if (x[i] == largest || x[i] == -largest) return x[i];
  }
  return largest;
}

template <int kLevels>
inline void encode_symmetric_block(const float* x, std::uint8_t* out) {
  const Lanes first = load(x);
  const Lanes second = load(x + kLanes);
  const float scale = extreme(x, first, second) / static_cast<float>(-kLevels / 2);
  const Lanes inverse = broadcast(inverse_or_zero(scale));
  const Lanes offset = broadcast(static_cast<float>(kLevels / 2) + 0.5F);
  const IntLanes low = at_most(to_codes(first * inverse, offset), kLevels - 1);
  const IntLanes high = at_most(to_codes(second * inverse, offset), kLevels - 1);
  write_u16(out, f32_to_f16(scale));
  if constexpr (kLevels == 32) {
    const std::uint32_t fifth = fifth_bits(low, high);
    __builtin_memcpy(out + 2, &fifth, 4);
    store_nibbles(out + 6, low, high);
  } else {
    store_nibbles(out + 2, low, high);
  }
}

// The smallest value; of zeros of both signs, the first.
inline float lowest_of(const float* x, const Lanes& first, const Lanes& second) {
  const float lowest = -maximum(larger(broadcast(0) - first, broadcast(0) - second));
  if (lowest != 0) return lowest;
  for (int i = 0; i < kBlock; ++i) {
    if (x[i] == 0) return x[i];
  }
  return 0;
}

template <int kLevels>
inline void encode_offset_block(const float* x, std::uint8_t* out) {
  const Lanes first = load(x);
  const Lanes second = load(x + kLanes);
  const float lowest = lowest_of(x, first, second);
  const float highest = maximum(larger(first, second));
  const float scale = (highest - lowest) / static_cast<float>(kLevels - 1);
  const Lanes inverse = broadcast(inverse_or_zero(scale));
  const Lanes base = broadcast(lowest);
  const IntLanes low = at_most(to_codes((first - base) * inverse, broadcast(0.5F)), kLevels - 1);
  const IntLanes high = at_most(to_codes((second - base) * inverse, broadcast(0.5F)), kLevels - 1);
  write_u16(out, f32_to_f16(scale));
  write_u16(out + 2, f32_to_f16(lowest));
  if constexpr (kLevels == 32) {
    const std::uint32_t fifth = fifth_bits(low, high);
    __builtin_memcpy(out + 4, &fifth, 4);
    store_nibbles(out + 8, low, high);
  } else {
    store_nibbles(out + 4, low, high);
  }
}
