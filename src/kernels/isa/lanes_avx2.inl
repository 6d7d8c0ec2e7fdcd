// 16 fp32 lanes as two halves of AVX2, and their operations: what ops_body.inl and attention_body.inl are
// written over.
//
// Included inside a unit's anonymous namespace, needs <immintrin.h> outside of it. Ownership and threads: values.
// Source: kernels specification 3.10 (no shared inline code between instruction sets).

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

// 16 sums of exact integers.
struct Ints {
  __m256i a;
  __m256i b;
};
inline Ints zero_ints() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
inline Lanes to_floats(Ints x) {
  return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
// 32 words.
struct Words {
  __m256i a;
  __m256i b;
};
// 32 bytes, widened.
inline Words load_bytes(const std::byte* p) {
  const auto* from = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(from)), _mm256_cvtepi8_epi16(_mm_loadu_si128(from + 1))};
}
// sums[i] += a's words 0 and 1 times b's words 2 i and 2 i + 1.
inline Ints add_word_products(Ints sums, const void* two_words, Words b) {
  std::int32_t bits;
  __builtin_memcpy(&bits, two_words, 4);
  const __m256i x = _mm256_set1_epi32(bits);
  return {_mm256_add_epi32(sums.a, _mm256_madd_epi16(x, b.a)),
          _mm256_add_epi32(sums.b, _mm256_madd_epi16(x, b.b))};
}
// Rounded half to even; any word where that is beyond +-32767.
inline void store_words(void* to, Lanes x) {
  const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b));
  _mm256_storeu_si256(static_cast<__m256i*>(to), _mm256_permute4x64_epi64(words, 0xD8));
}
inline Lanes load_halves(const std::byte* p) {
  const auto* from = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(from)), _mm256_cvtph_ps(_mm_loadu_si128(from + 1))};
}
inline void store_halves(std::byte* to, Lanes x) {
  auto* out = reinterpret_cast<__m128i*>(to);
  _mm_storeu_si128(out, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(out + 1, _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
inline __m256 round_bf16_half(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
  const __m256i high = _mm256_and_si256(sum, _mm256_set1_epi32(static_cast<int>(0xFFFF0000U)));
  return _mm256_blendv_ps(_mm256_castsi256_ps(high), x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}
inline Lanes round_bf16(Lanes x) {
  return {round_bf16_half(x.a), round_bf16_half(x.b)};
}
// sums[i] = round(round(sums[i] + p[2 i + 1]) + p[2 i]) for p of 32 floats.
inline __m256 add_neighbours_half(const float* p, __m256 sums) {
  const __m256 low = _mm256_loadu_ps(p);
  const __m256 high = _mm256_loadu_ps(p + 8);
  const auto in_order = [](__m256 x) {
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xD8));
  };
  const __m256 odd = in_order(_mm256_shuffle_ps(low, high, 0xDD));
  const __m256 even = in_order(_mm256_shuffle_ps(low, high, 0x88));
  return _mm256_add_ps(_mm256_add_ps(sums, odd), even);
}
inline Lanes add_neighbours(const float* p, Lanes sums) {
  return {add_neighbours_half(p, sums.a), add_neighbours_half(p + 16, sums.b)};
}
