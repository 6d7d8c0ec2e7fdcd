// 16 fp32 lanes in one register of AVX-512, and their operations: what ops_body.inl and attention_body.inl
// are written over.
//
// Included inside a unit's anonymous namespace, needs <immintrin.h> outside of it. Ownership and threads: values.
// Source: kernels specification 3.10 (no shared inline code between instruction sets).

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
  const auto below = [](int n) { return n <= 0 ? 0U : n >= 16 ? 0xFFFFU : (1U << n) - 1U; };
  const auto kept = static_cast<__mmask16>(below(end) & ~below(begin));
  return {_mm512_mask_mov_ps(_mm512_set1_ps(otherwise), kept, a.v)};
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

// 16 sums of exact integers.
struct Ints {
  __m512i v;
};
inline Ints zero_ints() {
  return {_mm512_setzero_si512()};
}
inline Lanes to_floats(Ints a) {
  return {_mm512_cvtepi32_ps(a.v)};
}
// 32 words.
struct Words {
  __m512i v;
};
// 32 bytes, widened.
inline Words load_bytes(const std::byte* p) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
// sums[i] += a's words 0 and 1 times b's words 2 i and 2 i + 1.
inline Ints add_word_products(Ints sums, const void* two_words, Words b) {
  std::int32_t bits;
  __builtin_memcpy(&bits, two_words, 4);
  return {_mm512_dpwssd_epi32(sums.v, _mm512_set1_epi32(bits), b.v)};
}
// Rounded half to even; any word where that is beyond +-32767.
inline void store_words(void* to, Lanes a) {
  _mm256_storeu_si256(static_cast<__m256i*>(to), _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(a.v)));
}
inline Lanes load_halves(const std::byte* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline void store_halves(std::byte* to, Lanes a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}
inline Lanes round_bf16(Lanes a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
  const __m512i high = _mm512_and_si512(sum, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U)));
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  return {_mm512_mask_mov_ps(_mm512_castsi512_ps(high), nan, a.v)};
}
// sums[i] = round(round(sums[i] + p[2 i + 1]) + p[2 i]) for p of 32 floats.
inline Lanes add_neighbours(const float* p, Lanes sums) {
  const __m512 low = _mm512_loadu_ps(p);
  const __m512 high = _mm512_loadu_ps(p + 16);
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  return {_mm512_add_ps(_mm512_add_ps(sums.v, _mm512_permutex2var_ps(low, odd, high)),
                        _mm512_permutex2var_ps(low, even, high))};
}
