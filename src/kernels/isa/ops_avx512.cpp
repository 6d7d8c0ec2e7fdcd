#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/ops.h"
#include "kernels/isa/ops_units.h"

// False for the _mm512_undefined_* of g++ 12's own headers.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace exa {
namespace {

struct Lanes {
  __m512 v;
};

inline __mmask16 first_lanes(int n) {
  return static_cast<__mmask16>((1U << n) - 1U);
}

inline Lanes broadcast(float x) {
  return {_mm512_set1_ps(x)};
}
inline Lanes load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline Lanes load_some(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
inline void store(float* p, Lanes a) {
  _mm512_storeu_ps(p, a.v);
}
inline void store_some(float* p, Lanes a, int n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), a.v);
}
inline Lanes add(Lanes a, Lanes b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline Lanes sub(Lanes a, Lanes b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline Lanes mul(Lanes a, Lanes b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline Lanes div(Lanes a, Lanes b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline Lanes fma(Lanes a, Lanes b, Lanes c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline Lanes minus(Lanes a) {
  return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0F))};
}
inline Lanes minus_abs(Lanes a) {
  return {_mm512_or_ps(a.v, _mm512_set1_ps(-0.0F))};
}
// a where a > b, else b: a NaN of b stays.
inline Lanes greater(Lanes a, Lanes b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline Lanes where_less(Lanes x, float limit, Lanes yes, Lanes no) {
  return {_mm512_mask_mov_ps(no.v, _mm512_cmp_ps_mask(x.v, _mm512_set1_ps(limit), _CMP_LT_OQ), yes.v)};
}
inline Lanes zero_where_less(Lanes x, float limit, Lanes otherwise) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, _mm512_set1_ps(limit), _CMP_NLT_UQ), otherwise.v)};
}
inline Lanes keep_range(Lanes a, int begin, int end, float otherwise) {
  if (begin <= 0 && end >= 16) return a;
  const unsigned below_end = end >= 16 ? 0xFFFFU : (1U << end) - 1U;
  const unsigned below_begin = begin <= 0 ? 0U : (1U << begin) - 1U;
  return {
      _mm512_mask_mov_ps(_mm512_set1_ps(otherwise), static_cast<__mmask16>(below_end & ~below_begin), a.v)};
}
// a's exponent plus the integer in the low bits of `shifted`.
inline Lanes add_to_exponent(Lanes a, Lanes shifted) {
  const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23);
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), n))};
}
inline Lanes low_halves(const std::byte* line) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(line), 16))};
}
inline Lanes high_halves(const std::byte* line) {
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xFFFF0000U));
  return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(line), high))};
}
inline float sum(Lanes a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float maximum(Lanes a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

constexpr int kPairs = 8;
constexpr int kLines = 2;

#include "kernels/isa/ops_body.inl"

}  // namespace

const OpsKernels& ops_kernels_avx512() {
  return kKernels;
}

}  // namespace exa
