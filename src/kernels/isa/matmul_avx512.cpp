#include <immintrin.h>

#include "kernels/isa/lanes.h"
#include "kernels/isa/matmul_amx_int8.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {
namespace {

// Sum of the 16 int8 of q.
int sum_bytes(__m128i q) {
  __m128i sums = _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_set1_epi8(1), q);
  sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0x4e));
  sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0xb1));
  return _mm_cvtsi128_si32(sums);
}

void quantize_row(const float* x, std::int64_t n_cols, std::byte* out) {
  const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  auto* block = reinterpret_cast<ActivationBlock*>(out);
  for (std::int64_t k = 0; k < n_cols; k += 32, ++block, x += 32) {
    const __m512 low = _mm512_loadu_ps(x);
    const __m512 high = _mm512_loadu_ps(x + 16);
    // Bits of magnitudes order like the magnitudes, and NaN above them all.
    const __m512i amax_lanes = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(low), magnitude),
                                                _mm512_and_si512(_mm512_castps_si512(high), magnitude));
    const std::int32_t amax_bits = _mm512_reduce_max_epi32(amax_lanes);
    __m128i q[2] = {_mm_setzero_si128(), _mm_setzero_si128()};
    float scale = 0.0F;
    if (amax_bits >= kNonFiniteBits) {
      scale = __builtin_nanf("");
    } else if (amax_bits >= kTinyBits) {
      const float amax = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(amax_bits)));
      const __m512 inverse = _mm512_set1_ps(127.0F / amax);
      q[0] = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(low, inverse)));
      q[1] = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(high, inverse)));
      scale = amax / 127.0F;
    }
    const int sums[2] = {sum_bytes(q[0]), sum_bytes(q[1])};
    const int sum = sums[0] + sums[1];
    _mm_store_si128(reinterpret_cast<__m128i*>(block->q), _mm_shuffle_epi8(q[0], order));
    _mm_store_si128(reinterpret_cast<__m128i*>(block->q + 16), _mm_shuffle_epi8(q[1], order));
    block->scale = scale;
    block->scaled_sum = scale * static_cast<float>(sum);
    block->start_0 = kMagicBits;
    block->start_8 = kMagicBits - 8 * sum;
    block->start_128 = kMagicBits - 128 * sum;
    block->start_32[0] = kMagicBits - 32 * sums[0];
    block->start_32[1] = kMagicBits - 32 * sums[1];
    block->unused = 0;
  }
}

void matmul(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
            const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
            std::int64_t y_stride, std::byte* scratch) {
  const auto function = uses_int8_activations(weight.type) ? avx512_matmul_int8 : avx512_matmul_float;
  function(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride, scratch);
}

bool has_prompt_path(DType weight_type) {
  return (weight_type == DType::kBF16 || weight_type == DType::kF16) && prefers_bf16();
}

}  // namespace

const MatmulKernels kAvx512Matmul = {.quantize_row = quantize_row,
                                     .reads_chunks = nullptr,
                                     .matmul = matmul,
                                     .has_prompt_path = has_prompt_path,
                                     .matmul_prompt = avx512_matmul_bf16,
                                     .has_fast_prompt_path = nullptr,
                                     .matmul_fast_prompt = nullptr,
                                     .prompt_bytes = avx512_bf16_bytes,
                                     .prepare_prompt = avx512_prepare_bf16};

const MatmulKernels kAmxMatmul = {.quantize_row = quantize_row,
                                  .reads_chunks = nullptr,
                                  .matmul = matmul,
                                  .has_prompt_path = has_tiles,
                                  .matmul_prompt = amx_matmul_prompt,
                                  .has_fast_prompt_path = has_int8_tiles,
                                  .matmul_fast_prompt = amx_matmul_fast_prompt,
                                  .prompt_bytes = nullptr,
                                  .prepare_prompt = nullptr};

}  // namespace exa
