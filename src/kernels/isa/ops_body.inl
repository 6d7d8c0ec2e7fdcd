// The kernels of ops.h, written once over 16 fp32 lanes.
//
// Needs, before it in the same anonymous namespace: `Lanes` with its operations (lanes_*.inl); and ops.h
// outside of it. Nothing here may come from a header whose inline code the baseline shares.
// Ownership and threads: as ops.h. Source: as ops.h; kernels specification 3.10 (no shared inline code between
// instruction sets).

#include "kernels/isa/exp2.inl"

constexpr float kLog2E = 0x1.715476p+0F;
constexpr float kLog2ERest = 0x1.4ae0cp-26F;

inline Lanes silu_lanes(Lanes x) {
  const Lanes a = minus_abs(x);
  const Lanes shifted = fma(a, broadcast(kLog2E), broadcast(kRounder));
  const Lanes n = sub(shifted, broadcast(kRounder));
  const Lanes fraction = fma(a, broadcast(kLog2ERest), fma(a, broadcast(kLog2E), minus(n)));
  const Lanes e = zero_where_less(a, -87.0F, scaled_power(fraction, shifted));
  // The bound keeps minus infinity times 0 away and lets NaN through.
  const Lanes numerator = where_less(x, 0.0F, mul(greater(broadcast(-128.0F), x), e), x);
  return div(numerator, add(broadcast(1.0F), e));
}

inline float inverse_rms(const float* x, std::int64_t width, float eps) {
  Lanes squares = broadcast(0.0F);
  std::int64_t i = 0;
  for (; i + kWidth <= width; i += kWidth) {
    const Lanes v = load(x + i);
    squares = fma(v, v, squares);
  }
  if (i < width) {
    const Lanes v = load_some(x + i, static_cast<int>(width - i));
    squares = fma(v, v, squares);
  }
  const float mean = sum(squares) / static_cast<float>(width);
  return 1.0F / __builtin_sqrtf(mean + eps);
}

void rmsnorm(const float* x, std::int64_t width, const float* weight, float eps, float* y) {
  const Lanes r = broadcast(inverse_rms(x, width, eps));
  std::int64_t i = 0;
  for (; i + kWidth <= width; i += kWidth) store(y + i, mul(mul(load(x + i), r), load(weight + i)));
  if (const int n = static_cast<int>(width - i); n > 0) {
    store_some(y + i, mul(mul(load_some(x + i, n), r), load_some(weight + i, n)), n);
  }
}

void rmsnorm_add(const float* x, std::int64_t width, const float* weight, float eps, float* residual) {
  const Lanes r = broadcast(inverse_rms(x, width, eps));
  std::int64_t i = 0;
  for (; i + kWidth <= width; i += kWidth) {
    store(residual + i, add(load(residual + i), mul(mul(load(x + i), r), load(weight + i))));
  }
  if (const int n = static_cast<int>(width - i); n > 0) {
    const Lanes y = mul(mul(load_some(x + i, n), r), load_some(weight + i, n));
    store_some(residual + i, add(load_some(residual + i, n), y), n);
  }
}

void add_rows(const float* x, std::int64_t width, float* residual) {
  std::int64_t i = 0;
  for (; i + kWidth <= width; i += kWidth) store(residual + i, add(load(residual + i), load(x + i)));
  if (const int n = static_cast<int>(width - i); n > 0) {
    store_some(residual + i, add(load_some(residual + i, n), load_some(x + i, n)), n);
  }
}

void rope(float* x, int head_dim, const float* cos, const float* sin) {
  const int half = head_dim / 2;
  for (int j = 0; j < half; j += kWidth) {
    const int n = half - j < kWidth ? half - j : kWidth;
    const Lanes low = load_some(x + j, n);
    const Lanes high = load_some(x + half + j, n);
    const Lanes c = load_some(cos + j, n);
    const Lanes s = load_some(sin + j, n);
    store_some(x + j, sub(mul(low, c), mul(high, s)), n);
    store_some(x + half + j, add(mul(high, c), mul(low, s)), n);
  }
}

void silu_mul(float* gate, const float* up, std::int64_t width) {
  std::int64_t i = 0;
  for (; i + kWidth <= width; i += kWidth) store(gate + i, mul(silu_lanes(load(gate + i)), load(up + i)));
  if (const int n = static_cast<int>(width - i); n > 0) {
    store_some(gate + i, mul(silu_lanes(load_some(gate + i, n)), load_some(up + i, n)), n);
  }
}

constexpr OpsKernels kKernels = {rmsnorm, rmsnorm_add, add_rows, rope, silu_mul};
