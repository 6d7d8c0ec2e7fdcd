#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/decode_rows.h"
#include "kernels/quant.h"

namespace exa {
namespace {

inline __m256 scaled(__m128i codes, float scale) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)), _mm256_set1_ps(scale));
}
inline void emit(float* out, __m128i codes, float scale) {
  _mm256_storeu_ps(out, scaled(codes, scale));
  _mm256_storeu_ps(out + 8, scaled(_mm_unpackhi_epi64(codes, codes), scale));
}
inline void emit_plus(float* out, __m128i codes, float scale, float offset) {
  const __m256 plus = _mm256_set1_ps(offset);
  _mm256_storeu_ps(out, _mm256_add_ps(scaled(codes, scale), plus));
  _mm256_storeu_ps(out + 8, _mm256_add_ps(scaled(_mm_unpackhi_epi64(codes, codes), scale), plus));
}

#include "kernels/isa/decode_rows_body.inl"

}  // namespace

void decode_row_avx2(DType type, const std::byte* blocks, std::size_t n_elements, float* out) {
  decode(type, blocks, n_elements, out);
}

}  // namespace exa
