// Blocks of the form x = scale * level: levels -kHalf … kHalf - 1 (Q3_K, Q6_K; Q4_0 and Q5_0 with importance)
// or the 16 levels of IQ4_NL and IQ4_XS. Each of 16 lanes holds one sub-block of kN numbers; 16 or 8
// sub-blocks make a super-block whose scales are integers -kMaxScale … kMaxScale - 1 times one unit.
//
// x and w as in quantize_affine.inl. Needs what that needs, and it.
// Ownership and threads: pure functions. Source: as quantize.h.

template <int kHalfLevels>
struct EvenLevels {
  static constexpr int kHalf = kHalfLevels;
  static constexpr float kLowest = -kHalf;
  static constexpr float kHighest = kHalf - 1;
  static constexpr int kSteps = kHalf == 4 ? 13 : 6;
  static constexpr float kFirstStep = kHalf == 4 ? 0.9F : 1.2F;
  static constexpr float kStep = kHalf == 4 ? -0.15F : -0.4F;
  static constexpr int kRefits = kHalf == 4 ? 2 : 1;
  static constexpr bool kBothSigns = kHalf <= 8;
  static constexpr bool kFew = kHalf == 4;

  static Lanes nearest_level(const Lanes& x) { return nearest(clamp(x, -kHalf, kHalf - 1)); }
  static IntLanes code(const Lanes& x) { return truncated(nearest_level(x) + broadcast(kHalf)); }
};

struct UnevenLevels {
  static constexpr float kLowest = -127;
  static constexpr float kHighest = 113;
  static constexpr int kSteps = 7;
  static constexpr float kFirstStep = 6;
  static constexpr float kStep = -2;
  static constexpr int kRefits = 2;
  static constexpr bool kBothSigns = true;
  static constexpr bool kFew = false;
  static constexpr float kMiddles[15] = {-115.5F, -93.5F, -74,   -57,   -42, -28.5F, -16, -4.5F,
                                         7,       19,     31.5F, 45.5F, 61,  79,     101};
  static constexpr float kGaps[15] = {23, 21, 18, 16, 14, 13, 12, 11, 12, 12, 13, 15, 16, 20, 24};

  static Lanes nearest_level(const Lanes& x) {
    Lanes level = broadcast(kLowest);
    for (int i = 0; i < 15; ++i) {
      level = level + where_greater(x, broadcast(kMiddles[i]), broadcast(kGaps[i]), broadcast(0));
    }
    return level;
  }
  static IntLanes code(const Lanes& x) {
    Lanes index = broadcast(0);
    for (int i = 0; i < 15; ++i) {
      index = index + where_greater(x, broadcast(kMiddles[i]), broadcast(1), broadcast(0));
    }
    return truncated(index);
  }
};

struct LevelSums {
  Lanes qq, xq;  // w q q, w x q
};

template <typename Levels, int kN, bool kWeighted>
inline LevelSums level_sums(const float* x, const float* w, const Lanes& inverse) {
  Lanes qq = broadcast(0);
  Lanes xq = qq;
  for (int l = 0; l < kN; ++l) {
    const Lanes value = load(x + kLanes * l);
    const Lanes level = Levels::nearest_level(value * inverse);
    const Lanes weighted = kWeighted ? level * load(w + kLanes * l) : level;
    qq = qq + weighted * level;
    xq = xq + weighted * value;
  }
  return {qq, xq};
}

inline Lanes inverse_scale(const Lanes& scale) {
  return where_greater(magnitude(scale), broadcast(kTiny), broadcast(1) / scale, broadcast(0));
}

// The scale of each lane, either sign.
template <typename Levels, int kN, bool kWeighted>
inline Lanes fit_levels(const float* x, const float* w) {
  const Lanes zero = broadcast(0);
  Lanes low = load(x);
  Lanes high = low;
  for (int l = 1; l < kN; ++l) {
    low = smaller(low, load(x + kLanes * l));
    high = larger(high, load(x + kLanes * l));
  }
  // The extreme of larger magnitude, with its sign: the lowest level reaches further than the highest.
  const Lanes inverse_extreme = inverse_scale(where_greater(magnitude(low), magnitude(high), low, high));
  Lanes best = zero;
  Lanes best_gain = zero;
  const auto consider = [&](const Lanes& inverse) {
    const LevelSums sums = level_sums<Levels, kN, kWeighted>(x, w, inverse);
    const Lanes scale = sums.xq / where_greater(sums.qq, zero, sums.qq, broadcast(1));
    const Lanes gain = scale * sums.xq;
    const Lanes bar = best_gain * broadcast(kWorthwhile);
    best = where_greater(gain, bar, scale, best);
    best_gain = where_greater(gain, bar, gain, best_gain);
  };
  for (int i = 0; i < Levels::kSteps; ++i) {
    const float step = Levels::kFirstStep + Levels::kStep * static_cast<float>(i);
    consider(inverse_extreme * broadcast(Levels::kLowest - step));
    if constexpr (Levels::kBothSigns) consider(inverse_extreme * broadcast(Levels::kHighest + step));
  }
  for (int i = 0; i < Levels::kRefits; ++i) consider(inverse_scale(best));
  return best;
}

template <typename Levels, int kN, bool kWeighted>
inline Lanes level_error(const float* x, const float* w, const Lanes& scale) {
  const Lanes inverse = inverse_scale(scale);
  Lanes error = broadcast(0);
  for (int l = 0; l < kN; ++l) {
    const Lanes value = load(x + kLanes * l);
    const Lanes off = scale * Levels::nearest_level(value * inverse) - value;
    error = error + (kWeighted ? off * off * load(w + kLanes * l) : off * off);
  }
  return error;
}

template <int kSupers>
struct LevelGroup {
  alignas(64) float scale[kLanes];  // integers
  float unit[kSupers];              // exact in half precision, either sign
};

// Given the units, the best integers within `reach` of those given, which they replace; the squared errors
// with them.
template <typename Levels, int kN, int kMaxScale, bool kWeighted>
inline Lanes improve_integers(const float* x, const float* w, const Lanes& units, int reach, Lanes& best) {
  const Lanes first = best;
  Lanes best_error = level_error<Levels, kN, kWeighted>(x, w, units * first);
  const auto consider = [&](const Lanes& integer) {
    const Lanes scale = clamp(integer, -kMaxScale, kMaxScale - 1);
    const Lanes error = level_error<Levels, kN, kWeighted>(x, w, units * scale);
    best = where_greater(best_error, error, scale, best);
    best_error = smaller(error, best_error);
  };
  for (int step = 1; step <= reach; ++step) {
    consider(first - broadcast(static_cast<float>(step)));
    consider(first + broadcast(static_cast<float>(step)));
  }
  if constexpr (Levels::kFew) {
    if (reach == 1) return best_error;
    // With few levels, numbers much alike may be met better by a level nearer zero times a larger integer.
    Lanes top = broadcast(0);
    for (int l = 0; l < kN; ++l) {
      const Lanes value = load(x + kLanes * l);
      top = where_greater(magnitude(value), magnitude(top), value, top);
    }
    const Lanes integers = top * inverse_scale(units);
    for (const float level : {-4.0F, -3.0F, -2.0F, -1.0F, 1.0F, 2.0F, 3.0F}) {
      const Lanes middle = nearest(clamp(integers * broadcast(1 / level), -kMaxScale, kMaxScale - 1));
      for (const float step : {-1.0F, 0.0F, 1.0F}) consider(middle + broadcast(step));
    }
  }
  return best_error;
}

template <typename Levels, int kN, int kMaxScale, bool kWeighted>
inline void encode_level_group(const float* x, const float* w, LevelGroup<kN / 16>& group) {
  constexpr int kSupers = kN / 16;
  constexpr int kSubBlocks = kLanes / kSupers;
  const Lanes wish = fit_levels<Levels, kN, kWeighted>(x, w);
  alignas(64) float scale[kLanes], error[kLanes], qq[kLanes], xq[kLanes];
  store(scale, wish);
  float unit[kSupers], best_total[kSupers];
  for (int b = 0; b < kSupers; ++b) {
    float top = 0;
    for (int i = b * kSubBlocks; i < (b + 1) * kSubBlocks; ++i) {
      if (__builtin_fabsf(scale[i]) > __builtin_fabsf(top)) top = scale[i];
    }
    const float size = __builtin_fabsf(top);
    unit[b] = half_unit(size / kMaxScale, kMaxScale, size);
    if (top > 0) unit[b] = -unit[b];  // the largest scale gets the integer -kMaxScale
    best_total[b] = __builtin_inff();
  }
  Lanes chosen = nearest(clamp(wish * inverse_scale(spread(unit, kSupers)), -kMaxScale, kMaxScale - 1));
  for (int round = 0; round <= kUnitRounds; ++round) {
    const Lanes units = spread(unit, kSupers);
    const int reach = round == 0 ? 3 : 1;
    store(error, improve_integers<Levels, kN, kMaxScale, kWeighted>(x, w, units, reach, chosen));
    store(scale, chosen);
    for (int b = 0; b < kSupers; ++b) {
      float total = 0;
      for (int i = b * kSubBlocks; i < (b + 1) * kSubBlocks; ++i) total += error[i];
      if (!(total < best_total[b])) continue;
      best_total[b] = total;
      group.unit[b] = unit[b];
      for (int i = b * kSubBlocks; i < (b + 1) * kSubBlocks; ++i) group.scale[i] = scale[i];
    }
    if (round == kUnitRounds) break;
    const LevelSums sums = level_sums<Levels, kN, kWeighted>(x, w, inverse_scale(units * chosen));
    store(qq, sums.qq);
    store(xq, sums.xq);
    for (int b = 0; b < kSupers; ++b) {
      double ss = 0;
      double xs = 0;
      for (int i = b * kSubBlocks; i < (b + 1) * kSubBlocks; ++i) {
        const double s = scale[i];
        ss += s * s * static_cast<double>(qq[i]);
        xs += s * static_cast<double>(xq[i]);
      }
      if (!(ss > 0)) continue;
      const float after = static_cast<float>(xs / ss);
      const float rounded = half_unit(__builtin_fabsf(after), kMaxScale, 0);
      unit[b] = after < 0 ? -rounded : rounded;
    }
  }
}

// The codes of a group, [kN][16].
template <typename Levels, int kN>
inline void level_codes(const float* x, const Lanes& scale, std::uint8_t* codes) {
  const Lanes inverse = inverse_scale(scale);
  for (int l = 0; l < kN; ++l) {
    store_bytes(codes + kLanes * l, Levels::code(load(x + kLanes * l) * inverse));
  }
}

inline void pack_q6_k(const LevelGroup<1>& group, const std::uint8_t* codes, std::uint8_t* out) {
  for (int half = 0; half < 2; ++half) {
    for (int l = 0; l < 32; ++l) {
      const std::uint8_t* c = codes + kLanes * (l % 16) + 8 * half + l / 16;
      std::uint8_t* low = out + 64 * half + l;
      low[0] = static_cast<std::uint8_t>((c[0] & 15) | (c[4] & 15) << 4);
      low[32] = static_cast<std::uint8_t>((c[2] & 15) | (c[6] & 15) << 4);
      out[128 + 32 * half + l] =
          static_cast<std::uint8_t>(c[0] >> 4 | (c[2] >> 4) << 2 | (c[4] >> 4) << 4 | (c[6] >> 4) << 6);
    }
  }
  for (int j = 0; j < 16; ++j) out[192 + j] = as_byte(group.scale[j]);
  write_u16(out + 208, f32_to_f16(group.unit[0]));
}

inline void pack_q3_k(const LevelGroup<1>& group, const std::uint8_t* codes, std::uint8_t* out) {
  for (int l = 0; l < 32; ++l) {
    int thirds = 0;
    for (int j = 0; j < 8; ++j) thirds |= (codes[kLanes * (l % 16) + 2 * j + l / 16] >> 2) << j;
    out[l] = static_cast<std::uint8_t>(thirds);
    for (int half = 0; half < 2; ++half) {
      const std::uint8_t* c = codes + kLanes * (l % 16) + 8 * half + l / 16;
      out[32 + 32 * half + l] =
          static_cast<std::uint8_t>((c[0] & 3) | (c[2] & 3) << 2 | (c[4] & 3) << 4 | (c[6] & 3) << 6);
    }
  }
  for (int j = 0; j < 12; ++j) out[96 + j] = 0;
  for (int j = 0; j < 16; ++j) {
    const int s = static_cast<int>(group.scale[j]) + 32;
    out[96 + j % 8] = static_cast<std::uint8_t>(out[96 + j % 8] | (s & 15) << 4 * (j / 8));
    out[104 + j % 4] = static_cast<std::uint8_t>(out[104 + j % 4] | (s >> 4) << 2 * (j / 4));
  }
  write_u16(out + 108, f32_to_f16(group.unit[0]));
}

inline void pack_iq4_xs(const LevelGroup<2>& group, int super, const std::uint8_t* codes, std::uint8_t* out) {
  const int first = 8 * super;
  write_u16(out, f32_to_f16(group.unit[super]));
  int high = 0;
  for (int j = 0; j < 8; ++j) {
    const int s = static_cast<int>(group.scale[first + j]) + 32;
    high |= (s >> 4) << 2 * j;
    const int before = j % 2 == 0 ? 0 : out[4 + j / 2];
    out[4 + j / 2] = static_cast<std::uint8_t>(before | (s & 15) << 4 * (j % 2));
    for (int l = 0; l < 16; ++l) {
      const std::uint8_t* c = codes + first + j;
      out[8 + 16 * j + l] = static_cast<std::uint8_t>(c[kLanes * l] | c[kLanes * (l + 16)] << 4);
    }
  }
  write_u16(out + 2, static_cast<std::uint16_t>(high));
}
