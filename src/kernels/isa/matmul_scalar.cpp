// The reference: each output computed as isa/matmul.h defines it.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/isa/lanes.h"
#include "kernels/isa/matmul_tables.h"
#include "kernels/isa/unpack.h"
#include "kernels/quant.h"

namespace exa {
namespace {

constexpr std::int64_t kTokens = 8;  // tokens that share one look at the weights

void quantize_row(const float* x, std::int64_t n_cols, std::byte* out) {
  auto* block = reinterpret_cast<ActivationBlock*>(out);
  for (std::int64_t k0 = 0; k0 < n_cols; k0 += 32, ++block, x += 32) {
    std::int32_t amax_bits = 0;
    for (int k = 0; k < 32; ++k)
      amax_bits = std::max(amax_bits, std::bit_cast<std::int32_t>(x[k]) & 0x7fffffff);
    *block = ActivationBlock{};
    std::int32_t sums[2] = {0, 0};
    if (amax_bits >= kNonFiniteBits) {
      block->scale = std::numeric_limits<float>::quiet_NaN();
    } else if (amax_bits >= kTinyBits) {
      const float amax = std::bit_cast<float>(amax_bits);
      const float inverse = 127.0F / amax;
      for (int k = 0; k < 32; ++k) {
        const auto q = static_cast<std::int8_t>(__builtin_rintf(x[k] * inverse));
        block->q[4 * (2 * (k / 8) + k % 2) + k % 8 / 2] = q;
        sums[k / 16] += q;
      }
      block->scale = amax / 127.0F;
    }
    const std::int32_t sum = sums[0] + sums[1];
    block->scaled_sum = block->scale * static_cast<float>(sum);
    block->start_0 = kMagicBits;
    block->start_8 = kMagicBits - 8 * sum;
    block->start_128 = kMagicBits - 128 * sum;
    for (int half = 0; half < 2; ++half) block->start_32[half] = kMagicBits - 32 * sums[half];
  }
}

void quantized(const Matrix& w, std::int64_t b, int n_rows, const std::byte* activations, std::size_t stride,
               std::int64_t n_tokens, float* y, std::int64_t y_stride) {
  const std::byte* row_block = w.row_block(b);
  const int n_groups = w.type == DType::kQ6_K ? 2 : 1;
  const bool has_mins = w.type == DType::kQ4_K || w.type == DType::kQ5_K;
  for (int row = 0; row < n_rows; ++row) {
    float acc[kTokens] = {};
    for (std::int64_t kb = 0; kb < w.n_cols / 32; ++kb) {
      const LaneBlock weights = lane_block(w.type, row_block, row, kb);
      for (std::int64_t t = 0; t < n_tokens; ++t) {
        const auto& a =
            reinterpret_cast<const ActivationBlock*>(activations + static_cast<std::size_t>(t) * stride)[kb];
        for (int group = 0; group < n_groups; ++group) {
          int dot = 0;
          const int n = 32 / n_groups;
          for (int k = group * n; k < (group + 1) * n; ++k) {
            dot += weights.q[k] * a.q[4 * (2 * (k / 8) + k % 2) + k % 8 / 2];
          }
          // Not dot · d: for an infinite d the vector kernels' form gives NaN, so this must too.
          const float d = weights.scale[group];
          const float product = __builtin_fmaf(kMagic + static_cast<float>(dot), d, -kMagic * d);
          acc[t] = __builtin_fmaf(product, a.scale, acc[t]);
        }
        if (has_mins) acc[t] = __builtin_fmaf(-weights.min, a.scaled_sum, acc[t]);
      }
    }
    for (std::int64_t t = 0; t < n_tokens; ++t) y[t * y_stride + row] = acc[t];
  }
}

void plain(const Matrix& w, std::int64_t b, int n_rows, const std::byte* activations, std::size_t stride,
           std::int64_t n_tokens, float* y, std::int64_t y_stride) {
  const std::byte* row_block = w.row_block(b);
  const std::size_t stored_row_bytes = has_lanes(w.type) ? 0 : w.row_block_bytes / kRowBlock;
  constexpr std::int64_t kChunk = 256;
  float weights[kChunk];
  for (int row = 0; row < n_rows; ++row) {
    float acc[kTokens] = {};
    for (std::int64_t k0 = 0; k0 < w.n_cols; k0 += kChunk) {
      const std::int64_t n = std::min(kChunk, w.n_cols - k0);
      if (has_lanes(w.type)) {
        for (std::int64_t k = 0; k < n; ++k) weights[k] = lane_value(w.type, row_block, row, k0 + k);
      } else {
        const std::byte* stored = row_block + static_cast<std::size_t>(row) * stored_row_bytes;
        decode_row(w.type, stored + row_bytes(w.type, static_cast<std::uint64_t>(k0)),
                   static_cast<std::size_t>(n), weights);
      }
      for (std::int64_t t = 0; t < n_tokens; ++t) {
        const auto* x =
            reinterpret_cast<const float*>(activations + static_cast<std::size_t>(t) * stride) + k0;
        for (std::int64_t k = 0; k < n; ++k) acc[t] = __builtin_fmaf(weights[k], x[k], acc[t]);
      }
    }
    for (std::int64_t t = 0; t < n_tokens; ++t) y[t * y_stride + row] = acc[t];
  }
}

void matmul(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
            const std::byte* activations, std::size_t activation_stride_bytes, std::int64_t n_tokens,
            float* y, std::int64_t y_stride, std::byte* /*scratch*/) {
  const auto kernel = uses_int8_activations(weight.type) ? quantized : plain;
  for (std::int64_t b = first_block; b < last_block; ++b) {
    const int n_rows = static_cast<int>(std::min(kRowBlock, weight.n_rows - b * kRowBlock));
    for (std::int64_t t = 0; t < n_tokens; t += kTokens) {
      kernel(weight, b, n_rows, activations + static_cast<std::size_t>(t) * activation_stride_bytes,
             activation_stride_bytes, std::min(kTokens, n_tokens - t), y + t * y_stride + b * kRowBlock,
             y_stride);
    }
  }
}

bool has_prompt_path(DType /*weight_type*/) {
  return false;
}

}  // namespace

const MatmulKernels kScalarMatmul = {.quantize_row = quantize_row,
                                     .reads_chunks = nullptr,
                                     .matmul = matmul,
                                     .has_prompt_path = has_prompt_path,
                                     .matmul_prompt = nullptr,
                                     .has_fast_prompt_path = nullptr,
                                     .matmul_fast_prompt = nullptr,
                                     .prompt_bytes = nullptr,
                                     .prepare_prompt = nullptr};

}  // namespace exa
