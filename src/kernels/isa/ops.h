// Everything of a layer that is no matrix product, one struct of functions an instruction set.
//
// Numbers, the same in every instruction set, bit for bit; round() is one rounding to fp32, fma() one for
// both steps:
//   sum over 16 lanes: lane i + lane i+8, then +4, +2, +1. exp2(t), t <= 0: 0 where t < -126, else p(t - n) ·
//   2^n with n = t rounded half-even and p a polynomial of degree 6 (relative error < 1.2e-7, exp2(0) = 1).
//   rmsnorm: lane i % 16 gets fma(x[i], x[i], lane), ascending i; r = round(1 / round(sqrt(round(round(sum /
//   width) + eps)))); y = round(round(x · r) · weight). rope: y[j] = round(round(x[j] · cos[j]) -
//   round(x[j+h] · sin[j])), y[j+h] = round(round(x[j+h] · cos[j]) + round(x[j] · sin[j])), h = head_dim / 2.
//   silu_mul: e = exp(-|gate|) (0 below -87) by exp2 with a two-part log2(e); s = round(n / round(1 + e)), n
//   = gate where gate >= 0, else round(gate · e); round(s · up). Relative error <= 3e-7 for gate >= -87; 0
//   below.
// The payload of a NaN is not defined.
// Ownership and threads: pure functions over borrowed memory.
// Source: kernels specification 3.4, 3.5; exaone-models specification 2.1, 2.6.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa/isa.h"

namespace exa {

struct OpsKernels {
  // y = rmsnorm(x), all [width], width >= 1; y may be x.
  void (*rmsnorm)(const float* x, std::int64_t width, const float* weight, float eps, float* y);
  // residual = round(residual + rmsnorm(x)).
  void (*rmsnorm_add)(const float* x, std::int64_t width, const float* weight, float eps, float* residual);
  // residual = round(residual + x).
  void (*add)(const float* x, std::int64_t width, float* residual);
  // One head x [head_dim] in place, head_dim even; cos, sin [head_dim / 2].
  void (*rope)(float* x, int head_dim, const float* cos, const float* sin);
  // gate = silu(gate) · up, all [width].
  void (*silu_mul)(float* gate, const float* up, std::int64_t width);
};

// The functions of an instruction set; call only where is_supported(isa).
const OpsKernels& ops_kernels(Isa isa);

}  // namespace exa
