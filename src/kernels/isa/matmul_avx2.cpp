#include <immintrin.h>

#include "kernels/isa/lanes.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {
namespace {

std::int32_t max_lane(__m256i x) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtsi128_si32(m);
}

void quantize_row(const float* x, std::int64_t n_cols, std::byte* out) {
  const __m256i order = _mm256_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15, 0, 2, 4, 6, 1,
                                         3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  auto* block = reinterpret_cast<ActivationBlock*>(out);
  for (std::int64_t k = 0; k < n_cols; k += 32, ++block, x += 32) {
    // Bits of magnitudes order like the magnitudes, and NaN above them all.
    __m256i amax_lanes = _mm256_setzero_si256();
    for (int i = 0; i < 4; ++i) {
      const __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(x + 8 * i));
      amax_lanes = _mm256_max_epi32(amax_lanes, _mm256_and_si256(bits, magnitude));
    }
    const std::int32_t amax_bits = max_lane(amax_lanes);
    __m256i q = _mm256_setzero_si256();
    float scale = 0.0F;
    if (amax_bits >= kNonFiniteBits) {
      scale = __builtin_nanf("");
    } else if (amax_bits >= kTinyBits) {
      const float amax = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(amax_bits)));
      const __m256 inverse = _mm256_set1_ps(127.0F / amax);
      __m256i wide[4];
      for (int i = 0; i < 4; ++i)
        wide[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), inverse));
      q = _mm256_packs_epi16(_mm256_packs_epi32(wide[0], wide[1]), _mm256_packs_epi32(wide[2], wide[3]));
      q = _mm256_permutevar8x32_epi32(q, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
      scale = amax / 127.0F;
    }
    __m256i sums = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), q), _mm256_set1_epi16(1));
    sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0x4e));
    sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0xb1));
    const int half_sums[2] = {_mm256_extract_epi32(sums, 0), _mm256_extract_epi32(sums, 4)};
    const int sum = half_sums[0] + half_sums[1];
    _mm256_store_si256(reinterpret_cast<__m256i*>(block->q), _mm256_shuffle_epi8(q, order));
    block->scale = scale;
    block->scaled_sum = scale * static_cast<float>(sum);
    block->start_0 = kMagicBits;
    block->start_8 = kMagicBits - 8 * sum;
    block->start_128 = kMagicBits - 128 * sum;
    block->start_32[0] = kMagicBits - 32 * half_sums[0];
    block->start_32[1] = kMagicBits - 32 * half_sums[1];
    block->unused = 0;
  }
}

void matmul(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
            const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
            std::int64_t y_stride, std::byte* scratch) {
  const auto function = uses_int8_activations(weight.type) ? avx2_matmul_int8 : avx2_matmul_float;
  function(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride, scratch);
}

bool reads_chunks(DType weight_type, std::int64_t n_tokens) {
  return n_tokens > avx2_direct_tokens(weight_type);
}

bool has_prompt_path(DType /*weight_type*/) {
  return false;
}

}  // namespace

const MatmulKernels kAvx2Matmul = {.quantize_row = quantize_row,
                                   .reads_chunks = reads_chunks,
                                   .matmul = matmul,
                                   .has_prompt_path = has_prompt_path,
                                   .matmul_prompt = nullptr,
                                   .has_fast_prompt_path = nullptr,
                                   .matmul_fast_prompt = nullptr,
                                   .prompt_bytes = nullptr,
                                   .prepare_prompt = nullptr};

}  // namespace exa
