// Blocks of the form x = scale * code - minimum with code 0 … kCodes and both factors >= 0 (Q2_K, Q4_K, Q5_K,
// and with importance Q4_1, Q5_1): each of 16 lanes holds one sub-block of kN numbers.
//
// x and w are [kN][16]: number l of lane i at 16 l + i. w is nullptr for equal weights.
// Needs, before it in the same anonymous namespace: quantize_lanes.inl, quantize_simple.inl and the numbers of
// steps at the head of quantize_body.inl. Ownership and threads: pure functions. Source: as quantize.h.

// Of fits that are as good but for rounding, the first is kept: searches go from small scales to large ones,
// and small ones leave the super-block a finer unit.
constexpr float kWorthwhile = 1.000001F;
// Ranges below it are zero in half precision, whatever the integer scale.
constexpr float kTiny = 1e-30F;

struct AffineFit {
  Lanes scale;
  Lanes minimum;    // >= 0 where kBelowZero
  Lanes low, high;  // the extremes; low <= 0 where kBelowZero
};

struct AffineSums {
  Lanes w, x;       // over all: w, w x
  Lanes q, qq, xq;  // w q, w q q, w x q
};

template <int kN, int kCodes, bool kWeighted>
inline AffineSums affine_sums(const float* x, const float* w, const Lanes& inverse, const Lanes& minimum) {
  Lanes q = broadcast(0);
  Lanes qq = q;
  Lanes xq = q;
  const Lanes shift = minimum * inverse;
  for (int l = 0; l < kN; ++l) {
    const Lanes value = load(x + kLanes * l);
    const Lanes code = nearest(clamp(value * inverse + shift, 0, kCodes));
    const Lanes weighted = kWeighted ? code * load(w + kLanes * l) : code;
    q = q + weighted;
    qq = qq + weighted * code;
    xq = xq + weighted * value;
  }
  return {broadcast(0), broadcast(0), q, qq, xq};
}

// The least-squares scale and minimum for the codes behind the sums, and how much they take off the sum of
// squares.
template <bool kBelowZero>
inline Lanes affine_solve(const AffineSums& s, AffineFit& fit) {
  const Lanes zero = broadcast(0);
  const Lanes determinant = s.w * s.qq - s.q * s.q;
  const Lanes usable = where_greater(determinant, zero, broadcast(1), zero);
  const Lanes divisor = where_greater(determinant, zero, determinant, broadcast(1));
  Lanes scale = (s.w * s.xq - s.x * s.q) / divisor;
  Lanes minimum = (s.q * s.xq - s.qq * s.x) / divisor;
  if constexpr (kBelowZero) {
    const Lanes qq = where_greater(s.qq, zero, s.qq, broadcast(1));
    scale = where_greater(zero, minimum, s.xq / qq, scale);
    minimum = larger(minimum, zero);
  }
  fit.scale = scale;
  fit.minimum = minimum;
  const Lanes gain = scale * s.xq - minimum * s.x;
  return where_greater(usable, zero, gain, broadcast(-1));
}

template <int kN, int kCodes, bool kWeighted, bool kBelowZero>
inline AffineFit fit_affine(const float* x, const float* w) {
  const Lanes zero = broadcast(0);
  Lanes low = kBelowZero ? zero : load(x);
  Lanes high = load(x);
  Lanes sum_w = zero;
  Lanes sum_x = zero;
  for (int l = 0; l < kN; ++l) {
    const Lanes value = load(x + kLanes * l);
    const Lanes weight = kWeighted ? load(w + kLanes * l) : broadcast(1);
    low = smaller(low, value);
    high = larger(high, value);
    sum_w = sum_w + weight;
    sum_x = sum_x + weight * value;
  }
  const Lanes range = high - low;
  const Lanes inverse_range = where_greater(range, broadcast(kTiny), broadcast(1) / range, zero);
  AffineFit best{where_greater(range, broadcast(kTiny), range / broadcast(kCodes), zero), zero - low, low,
                 high};
  Lanes best_gain = zero;
  const auto consider = [&](const Lanes& inverse, const Lanes& minimum) {
    AffineSums sums = affine_sums<kN, kCodes, kWeighted>(x, w, inverse, minimum);
    sums.w = sum_w;
    sums.x = sum_x;
    AffineFit fit;
    const Lanes gain = affine_solve<kBelowZero>(sums, fit);
    const Lanes bar = best_gain * broadcast(kWorthwhile);
    best.scale = where_greater(gain, bar, fit.scale, best.scale);
    best.minimum = where_greater(gain, bar, fit.minimum, best.minimum);
    best_gain = where_greater(gain, bar, gain, best_gain);
  };
  for (int i = 0; i < kSteps; ++i) {
    const float levels = static_cast<float>(kCodes) + kFirstStep + kStep * static_cast<float>(i);
    consider(inverse_range * broadcast(levels), zero - low);
  }
  for (int i = 0; i < kRefinements; ++i) {
    const Lanes scale = best.scale;
    consider(where_greater(scale, broadcast(kTiny), broadcast(1) / scale, zero), best.minimum);
  }
  return best;
}

// One group of 16 sub-blocks, their integer scales and minima, and the two half-precision factors of each of
// the super-blocks that they belong to.
template <int kSupers>
struct AffineGroup {
  alignas(64) float scale[kLanes];    // integers
  alignas(64) float minimum[kLanes];  // integers
  float unit[kSupers];                // of scale, exact in half precision
  float minimum_unit[kSupers];
};

// The sub-block factors as a decoder computes them.
inline Lanes spread(const float* unit, int n) {
  alignas(64) float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = unit[i * n / kLanes];
  return load(lanes);
}

// The sum of squared errors of each lane with the nearest codes; their sums where asked for.
template <int kN, int kCodes, bool kWeighted, bool kSums>
inline Lanes affine_error(const float* x, const float* w, const Lanes& scale, const Lanes& minimum,
                          AffineSums* sums) {
  const Lanes zero = broadcast(0);
  const Lanes inverse = where_greater(scale, zero, broadcast(1) / scale, zero);
  Lanes error = zero;
  AffineSums s{zero, zero, zero, zero, zero};
  for (int l = 0; l < kN; ++l) {
    const Lanes value = load(x + kLanes * l);
    const Lanes code = nearest(clamp((value + minimum) * inverse, 0, kCodes));
    const Lanes off = scale * code - minimum - value;
    const Lanes weight = kWeighted ? load(w + kLanes * l) : broadcast(1);
    error = error + (kWeighted ? off * off * weight : off * off);
    if constexpr (kSums) {
      const Lanes weighted = kWeighted ? code * weight : code;
      s.q = s.q + weighted;
      s.qq = s.qq + weighted * code;
      s.xq = s.xq + weighted * value;
      s.w = s.w + weight;
      s.x = s.x + weight * value;
    }
  }
  if constexpr (kSums) *sums = s;
  return error;
}

// Given the units, the best integers near those given, which they replace; the squared errors with them.
template <int kN, int kCodes, int kMaxScale, bool kWeighted>
inline Lanes improve_affine_integers(const float* x, const float* w, const AffineFit& wish, const Lanes& unit,
                                     const Lanes& minimum_unit, bool thoroughly, Lanes& scale,
                                     Lanes& minimum) {
  const Lanes zero = broadcast(0);
  const Lanes per_unit = where_greater(unit, zero, broadcast(1) / unit, zero);
  const Lanes per_minimum = where_greater(minimum_unit, zero, broadcast(1) / minimum_unit, zero);
  const Lanes first_scale = scale;
  const Lanes first_minimum = minimum;
  Lanes best_error = broadcast(__builtin_inff());
  const auto keep = [&](const Lanes& s, const Lanes& m, const Lanes& error) {
    scale = where_greater(best_error, error, s, scale);
    minimum = where_greater(best_error, error, m, minimum);
    best_error = smaller(error, best_error);
  };
  const auto consider = [&](const Lanes& wanted, const Lanes& m) {
    const Lanes s = clamp(wanted, 0, kMaxScale);
    keep(s, m, affine_error<kN, kCodes, kWeighted, false>(x, w, unit * s, minimum_unit * m, nullptr));
  };
  // A scale with the minimum given, then with the one that suits the codes it led to.
  const auto consider_suited = [&](const Lanes& wanted) {
    const Lanes s = clamp(wanted, 0, kMaxScale);
    AffineSums sums;
    const Lanes error =
        affine_error<kN, kCodes, kWeighted, true>(x, w, unit * s, minimum_unit * first_minimum, &sums);
    keep(s, first_minimum, error);
    const Lanes total = where_greater(sums.w, zero, sums.w, broadcast(1));
    const Lanes suited = (unit * s * sums.q - sums.x) / total;
    consider(s, nearest(clamp(suited * per_minimum, 0, kMaxScale)));
  };
  for (const float step : {0.0F, -1.0F, 1.0F}) consider_suited(first_scale + broadcast(step));
  if (thoroughly) {
    for (const float step : {-3.0F, -2.0F, 2.0F, 3.0F})
      consider(first_scale + broadcast(step), first_minimum);
    if constexpr (kCodes == 3) {
      // With few codes, numbers much alike may be met better by a lower code times a larger scale.
      const Lanes integers = wish.scale * per_unit * broadcast(kCodes);
      for (const float code : {1.0F, 2.0F}) {
        const Lanes middle = nearest(clamp(integers * broadcast(1 / code), 0, kMaxScale));
        for (const float step : {0.0F, -1.0F, 1.0F}) consider_suited(middle + broadcast(step));
      }
    }
    if (maximum(wish.low) == 0) {
      // Somewhere no number is below zero: there, scales without a minimum.
      const Lanes middle = nearest(clamp(wish.high * per_unit * broadcast(1.0F / kCodes), 0, kMaxScale));
      for (float step = -4; step <= 4; ++step) {
        consider(where_greater(zero, wish.low, scale, middle + broadcast(step)),
                 where_greater(zero, wish.low, minimum, zero));
      }
    }
  }
  for (const float step : {-1.0F, 1.0F}) consider(scale, clamp(minimum + broadcast(step), 0, kMaxScale));
  return best_error;
}

// `wanted` as half precision, rounded so that `most` of it reach `reach`; finite.
inline float half_unit(float wanted, float most, float reach) {
  std::uint16_t half = f32_to_f16(wanted);
  if (half > 0x7bff) half = 0x7bff;
  if (f16_to_f32(half) * (most + 0.5F) < reach && half < 0x7bff) ++half;
  return f16_to_f32(half);
}

struct PairOfUnits {
  double scale, minimum;
};

// Least squares over one super-block for the units, given integers and codes; nothing changes where the
// system is degenerate.
inline PairOfUnits refit_units(const float* scale, const float* minimum, const AffineSums& sums, int first,
                               int last, PairOfUnits before) {
  alignas(64) float w[kLanes], x[kLanes], q[kLanes], qq[kLanes], xq[kLanes];
  store(w, sums.w);
  store(x, sums.x);
  store(q, sums.q);
  store(qq, sums.qq);
  store(xq, sums.xq);
  double ss = 0, sm = 0, mm = 0, xs = 0, xm = 0;
  for (int i = first; i < last; ++i) {
    const double s = scale[i];
    const double m = minimum[i];
    ss += s * s * static_cast<double>(qq[i]);
    sm += s * m * static_cast<double>(q[i]);
    mm += m * m * static_cast<double>(w[i]);
    xs += s * static_cast<double>(xq[i]);
    xm += m * static_cast<double>(x[i]);
  }
  const double determinant = ss * mm - sm * sm;
  if (determinant > 1e-6 * ss * mm) {
    const PairOfUnits after{(xs * mm - sm * xm) / determinant, (xs * sm - ss * xm) / determinant};
    if (after.scale > 0 && after.minimum > 0) return after;
  }
  if (ss > 0 && mm == 0 && xs > 0) return {xs / ss, before.minimum};
  return before;
}

template <int kN, int kCodes, int kMaxScale, bool kWeighted>
inline void encode_affine_group(const float* x, const float* w, AffineGroup<kN / 16>& group) {
  constexpr int kSupers = kN / 16;
  constexpr int kSubBlocks = kLanes / kSupers;
  const AffineFit wish = fit_affine<kN, kCodes, kWeighted, true>(x, w);
  alignas(64) float scale[kLanes], minimum[kLanes], error[kLanes];
  store(scale, wish.scale);
  store(minimum, wish.minimum);
  float unit[kSupers], minimum_unit[kSupers], best_error[kSupers];
  for (int b = 0; b < kSupers; ++b) {
    float top = 0;
    float deepest = 0;
    for (int i = b * kSubBlocks; i < (b + 1) * kSubBlocks; ++i) {
      if (scale[i] > top) top = scale[i];
      if (minimum[i] > deepest) deepest = minimum[i];
    }
    unit[b] = half_unit(top / kMaxScale, kMaxScale, top);
    minimum_unit[b] = half_unit(deepest / kMaxScale, kMaxScale, deepest);
    best_error[b] = __builtin_inff();
  }
  const auto integers = [](const Lanes& wanted, const float* units) {
    const Lanes u = spread(units, kSupers);
    const Lanes per_unit = where_greater(u, broadcast(0), broadcast(1) / u, broadcast(0));
    return nearest(clamp(wanted * per_unit, 0, kMaxScale));
  };
  Lanes s = integers(wish.scale, unit);
  Lanes m = integers(wish.minimum, minimum_unit);
  for (int round = 0; round <= kUnitRounds; ++round) {
    const Lanes units = spread(unit, kSupers);
    const Lanes minimum_units = spread(minimum_unit, kSupers);
    store(error, improve_affine_integers<kN, kCodes, kMaxScale, kWeighted>(x, w, wish, units, minimum_units,
                                                                           round == 0, s, m));
    store(scale, s);
    store(minimum, m);
    for (int b = 0; b < kSupers; ++b) {
      float total = 0;
      for (int i = b * kSubBlocks; i < (b + 1) * kSubBlocks; ++i) total += error[i];
      if (!(total < best_error[b])) continue;
      best_error[b] = total;
      group.unit[b] = unit[b];
      group.minimum_unit[b] = minimum_unit[b];
      for (int i = b * kSubBlocks; i < (b + 1) * kSubBlocks; ++i) {
        group.scale[i] = scale[i];
        group.minimum[i] = minimum[i];
      }
    }
    if (round == kUnitRounds) break;
    AffineSums sums;
    affine_error<kN, kCodes, kWeighted, true>(x, w, units * s, minimum_units * m, &sums);
    for (int b = 0; b < kSupers; ++b) {
      const PairOfUnits after =
          refit_units(scale, minimum, sums, b * kSubBlocks, (b + 1) * kSubBlocks, {unit[b], minimum_unit[b]});
      unit[b] = half_unit(static_cast<float>(after.scale), kMaxScale, 0);
      minimum_unit[b] = half_unit(static_cast<float>(after.minimum), kMaxScale, 0);
    }
  }
}

// The codes of a group, [kN][16].
template <int kN, int kCodes>
inline void affine_codes(const float* x, const Lanes& scale, const Lanes& minimum, std::uint8_t* codes) {
  const Lanes zero = broadcast(0);
  const Lanes inverse = where_greater(scale, zero, broadcast(1) / scale, zero);
  for (int l = 0; l < kN; ++l) {
    const Lanes code = nearest(clamp((load(x + kLanes * l) + minimum) * inverse, 0, kCodes));
    store_bytes(codes + kLanes * l, truncated(code));
  }
}

// 16 sub-blocks of kN consecutive numbers side by side: out[kN][16]. Sub-blocks from n_blocks on are zero.
template <int kN>
inline void side_by_side(const float* values, int n_blocks, float* out) {
  for (int i = 0; i < kLanes; ++i) {
    for (int l = 0; l < kN; ++l) out[kLanes * l + i] = i < n_blocks ? values[kN * i + l] : 0;
  }
}

inline std::uint8_t as_byte(float integer) {
  return static_cast<std::uint8_t>(static_cast<int>(integer));
}

// The 12 bytes of eight 6-bit scales and minima of Q4_K and Q5_K.
inline void pack_scales_k4(const float* scale, const float* minimum, std::uint8_t* out) {
  for (int j = 0; j < 4; ++j) {
    const int high_scale = as_byte(scale[j + 4]);
    const int high_minimum = as_byte(minimum[j + 4]);
    out[j] = static_cast<std::uint8_t>(as_byte(scale[j]) | (high_scale >> 4) << 6);
    out[j + 4] = static_cast<std::uint8_t>(as_byte(minimum[j]) | (high_minimum >> 4) << 6);
    out[j + 8] = static_cast<std::uint8_t>((high_scale & 15) | (high_minimum & 15) << 4);
  }
}

// codes: [32][16], the super-block's sub-blocks in lanes first … first + 7.
inline void pack_q4_k(const AffineGroup<2>& group, int super, const std::uint8_t* codes, std::uint8_t* out) {
  const int first = 8 * super;
  write_u16(out, f32_to_f16(group.unit[super]));
  write_u16(out + 2, f32_to_f16(group.minimum_unit[super]));
  pack_scales_k4(group.scale + first, group.minimum + first, out + 4);
  for (int pair = 0; pair < 4; ++pair) {
    for (int l = 0; l < 32; ++l) {
      const std::uint8_t* c = codes + kLanes * l + first + 2 * pair;
      out[16 + 32 * pair + l] = static_cast<std::uint8_t>(c[0] | c[1] << 4);
    }
  }
}

inline void pack_q5_k(const AffineGroup<2>& group, int super, const std::uint8_t* codes, std::uint8_t* out) {
  const int first = 8 * super;
  write_u16(out, f32_to_f16(group.unit[super]));
  write_u16(out + 2, f32_to_f16(group.minimum_unit[super]));
  pack_scales_k4(group.scale + first, group.minimum + first, out + 4);
  for (int l = 0; l < 32; ++l) {
    const std::uint8_t* c = codes + kLanes * l + first;
    int high = 0;
    for (int j = 0; j < 8; ++j) high |= (c[j] >> 4) << j;
    out[16 + l] = static_cast<std::uint8_t>(high);
    for (int pair = 0; pair < 4; ++pair) {
      out[48 + 32 * pair + l] = static_cast<std::uint8_t>((c[2 * pair] & 15) | (c[2 * pair + 1] & 15) << 4);
    }
  }
}

inline void pack_q2_k(const AffineGroup<1>& group, const std::uint8_t* codes, std::uint8_t* out) {
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<std::uint8_t>(as_byte(group.scale[j]) | as_byte(group.minimum[j]) << 4);
  }
  for (int half = 0; half < 2; ++half) {
    for (int l = 0; l < 32; ++l) {
      const std::uint8_t* c = codes + kLanes * (l % 16) + 8 * half + l / 16;
      out[16 + 32 * half + l] = static_cast<std::uint8_t>(c[0] | c[2] << 2 | c[4] << 4 | c[6] << 6);
    }
  }
  write_u16(out + 80, f32_to_f16(group.unit[0]));
  write_u16(out + 82, f32_to_f16(group.minimum_unit[0]));
}
