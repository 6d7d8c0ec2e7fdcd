#include <cstddef>
#include <cstdint>

#include "kernels/isa/ops.h"
#include "kernels/isa/ops_units.h"

namespace exa {
namespace {

struct Lanes {
  float v[16];
};

template <typename F>
Lanes each(F f) {
  Lanes out;
  for (int i = 0; i < 16; ++i) out.v[i] = f(i);
  return out;
}

Lanes broadcast(float x) {
  return each([&](int) { return x; });
}
Lanes load(const float* p) {
  return each([&](int i) { return p[i]; });
}
Lanes load_some(const float* p, int n) {
  return each([&](int i) { return i < n ? p[i] : 0.0F; });
}
void store_some(float* p, const Lanes& a, int n) {
  for (int i = 0; i < n; ++i) p[i] = a.v[i];
}
void store(float* p, const Lanes& a) {
  store_some(p, a, 16);
}
Lanes add(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] + b.v[i]; });
}
Lanes sub(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] - b.v[i]; });
}
Lanes mul(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] * b.v[i]; });
}
Lanes div(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] / b.v[i]; });
}
Lanes fma(const Lanes& a, const Lanes& b, const Lanes& c) {
  return each([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
Lanes minus(const Lanes& a) {
  return each([&](int i) { return -a.v[i]; });
}
Lanes minus_abs(const Lanes& a) {
  return each([&](int i) { return -__builtin_fabsf(a.v[i]); });
}
// a where a > b, else b: a NaN of b stays.
Lanes greater(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
Lanes where_less(const Lanes& x, float limit, const Lanes& yes, const Lanes& no) {
  return each([&](int i) { return x.v[i] < limit ? yes.v[i] : no.v[i]; });
}
Lanes zero_where_less(const Lanes& x, float limit, const Lanes& otherwise) {
  return each([&](int i) { return x.v[i] < limit ? 0.0F : otherwise.v[i]; });
}
Lanes keep_range(const Lanes& a, int begin, int end, float otherwise) {
  return each([&](int i) { return i >= begin && i < end ? a.v[i] : otherwise; });
}
// a's exponent plus the integer in the low bits of `shifted`.
Lanes add_to_exponent(const Lanes& a, const Lanes& shifted) {
  return each([&](int i) {
    return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, a.v[i]) +
                                         (__builtin_bit_cast(std::uint32_t, shifted.v[i]) << 23));
  });
}
std::uint32_t dword(const std::byte* line, int i) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, line + i * 4, 4);
  return bits;
}
Lanes low_halves(const std::byte* line) {
  return each([&](int i) { return __builtin_bit_cast(float, dword(line, i) << 16); });
}
Lanes high_halves(const std::byte* line) {
  return each([&](int i) { return __builtin_bit_cast(float, dword(line, i) & 0xFFFF0000U); });
}
float sum(Lanes a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
  }
  return a.v[0];
}
float maximum(Lanes a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
  }
  return a.v[0];
}

constexpr int kPairs = 1;
constexpr int kLines = 1;

#include "kernels/isa/ops_body.inl"

}  // namespace

const OpsKernels& ops_kernels_scalar() {
  return kKernels;
}

}  // namespace exa
