// 2^x over 16 lanes.
//
// Needs, before it in the same anonymous namespace: `Lanes` with its operations (lanes_*.inl).
// Ownership and threads: pure functions. Source: as ops.h.

constexpr int kWidth = 16;
constexpr float kMinusInfinity = -__builtin_inff();
// Adding it rounds to an integer, half to even, whose low bits are then the sum's low bits.
constexpr float kRounder = 12582912.0F;

// 2^fraction · 2^n for |fraction| <= 1/2 and `shifted` = kRounder + n.
inline Lanes scaled_power(Lanes fraction, Lanes shifted) {
  Lanes p = broadcast(0x1.444004p-13F);
  p = fma(p, fraction, broadcast(0x1.5f0896p-10F));
  p = fma(p, fraction, broadcast(0x1.3b2a1cp-7F));
  p = fma(p, fraction, broadcast(0x1.c6af6cp-5F));
  p = fma(p, fraction, broadcast(0x1.ebfbe0p-3F));
  p = fma(p, fraction, broadcast(0x1.62e430p-1F));
  p = fma(p, fraction, broadcast(1.0F));
  return add_to_exponent(p, shifted);
}

inline Lanes exp2_lanes(Lanes t) {
  const Lanes shifted = add(t, broadcast(kRounder));
  const Lanes fraction = sub(t, sub(shifted, broadcast(kRounder)));
  return zero_where_less(t, -126.0F, scaled_power(fraction, shifted));
}
