#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/decode_rows.h"
#include "kernels/quant.h"

namespace exa {
namespace {

inline __m512 scaled(__m128i codes, float scale) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)), _mm512_set1_ps(scale));
}
inline void emit(float* out, __m128i codes, float scale) {
  _mm512_storeu_ps(out, scaled(codes, scale));
}
inline void emit_plus(float* out, __m128i codes, float scale, float offset) {
  _mm512_storeu_ps(out, _mm512_add_ps(scaled(codes, scale), _mm512_set1_ps(offset)));
}

#include "kernels/isa/decode_rows_body.inl"

}  // namespace

void decode_row_avx512(DType type, const std::byte* blocks, std::size_t n_elements, float* out) {
  decode(type, blocks, n_elements, out);
}

}  // namespace exa
