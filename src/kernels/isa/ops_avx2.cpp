#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/ops.h"
#include "kernels/isa/ops_units.h"

namespace exa {
namespace {

struct Lanes {
  __m256 a;  // lanes 0 … 7
  __m256 b;  // lanes 8 … 15
};

// All ones in lanes first … first + 7 that are below n.
inline __m256i below(int n, int first) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n - first), lane);
}

inline Lanes broadcast(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
inline Lanes load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline Lanes load_some(const float* p, int n) {
  return {_mm256_maskload_ps(p, below(n, 0)), _mm256_maskload_ps(p + 8, below(n, 8))};
}
inline void store(float* p, Lanes x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
inline void store_some(float* p, Lanes x, int n) {
  _mm256_maskstore_ps(p, below(n, 0), x.a);
  _mm256_maskstore_ps(p + 8, below(n, 8), x.b);
}
inline Lanes add(Lanes x, Lanes y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
inline Lanes sub(Lanes x, Lanes y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
inline Lanes mul(Lanes x, Lanes y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
inline Lanes div(Lanes x, Lanes y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
inline Lanes fma(Lanes x, Lanes y, Lanes z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline Lanes minus(Lanes x) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_xor_ps(x.a, sign), _mm256_xor_ps(x.b, sign)};
}
inline Lanes minus_abs(Lanes x) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_or_ps(x.a, sign), _mm256_or_ps(x.b, sign)};
}
// x where x > y, else y: a NaN of y stays.
inline Lanes greater(Lanes x, Lanes y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
inline Lanes where_less(Lanes x, float limit, Lanes yes, Lanes no) {
  const __m256 bound = _mm256_set1_ps(limit);
  return {_mm256_blendv_ps(no.a, yes.a, _mm256_cmp_ps(x.a, bound, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.b, yes.b, _mm256_cmp_ps(x.b, bound, _CMP_LT_OQ))};
}
inline Lanes zero_where_less(Lanes x, float limit, Lanes otherwise) {
  const __m256 bound = _mm256_set1_ps(limit);
  return {_mm256_andnot_ps(_mm256_cmp_ps(x.a, bound, _CMP_LT_OQ), otherwise.a),
          _mm256_andnot_ps(_mm256_cmp_ps(x.b, bound, _CMP_LT_OQ), otherwise.b)};
}
inline Lanes keep_range(Lanes x, int begin, int end, float otherwise) {
  if (begin <= 0 && end >= 16) return x;
  const __m256 other = _mm256_set1_ps(otherwise);
  const __m256i in_a = _mm256_andnot_si256(below(begin, 0), below(end, 0));
  const __m256i in_b = _mm256_andnot_si256(below(begin, 8), below(end, 8));
  return {_mm256_blendv_ps(other, x.a, _mm256_castsi256_ps(in_a)),
          _mm256_blendv_ps(other, x.b, _mm256_castsi256_ps(in_b))};
}
inline __m256 add_to_exponent_half(__m256 x, __m256 shifted) {
  const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), n));
}
// x's exponent plus the integer in the low bits of `shifted`.
inline Lanes add_to_exponent(Lanes x, Lanes shifted) {
  return {add_to_exponent_half(x.a, shifted.a), add_to_exponent_half(x.b, shifted.b)};
}
inline __m256i half_line(const std::byte* line) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line));
}
inline Lanes low_halves(const std::byte* line) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(half_line(line), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(half_line(line + 32), 16))};
}
inline Lanes high_halves(const std::byte* line) {
  const __m256i high = _mm256_set1_epi32(static_cast<int>(0xFFFF0000U));
  return {_mm256_castsi256_ps(_mm256_and_si256(half_line(line), high)),
          _mm256_castsi256_ps(_mm256_and_si256(half_line(line + 32), high))};
}
inline float sum(Lanes x) {
  const __m256 eight = _mm256_add_ps(x.a, x.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float maximum(Lanes x) {
  const __m256 eight = _mm256_max_ps(x.a, x.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

constexpr int kPairs = 4;
constexpr int kLines = 1;

#include "kernels/isa/ops_body.inl"

}  // namespace

const OpsKernels& ops_kernels_avx2() {
  return kKernels;
}

}  // namespace exa
