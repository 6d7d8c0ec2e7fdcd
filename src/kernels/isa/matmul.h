// Matrix times activations, one struct of functions an instruction set.
//
// Numbers, the same in every instruction set, bit for bit, whatever n_tokens and the split into row blocks:
//   quantized weights: activations become int8 per block of 32 (scale s_a = amax / 127, q =
//   round-half-even(x · (127 / amax))); per block of the weight's scale, ascending k: t = round(dot · d) in
//   fp32, where dot is the exact integer product and d the fp32 weight scale (d · sc for K-quants, exact),
//   then acc = fma(t, s_a, acc); then mins: acc = fma(-(dmin · m), round(s_a · sum of q), acc). A block that
//   holds NaN or infinity makes the row's outputs NaN; one whose amax is below 2^-118 counts as zeros.
//   F32, F16, BF16 and row-stored types: acc = fma(w[k], x[k], acc), ascending k.
// Prompt rows may take a path of their own where the machine has one that is faster (has_prompt_path):
// weights and activations rounded to bf16, sums in fp32, ascending k. Its bits hold on one kind of machine
// only; they do not depend on n_tokens or the split either.
//
// Ownership and threads: pure functions over borrowed memory.
//
// Source: kernels specification 3.1, 3.2, 6.1.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa/isa.h"
#include "kernels/matrix.h"

namespace exa {

// Bytes that quantize_row writes for one token of n_cols (a multiple of 64, for alignment of the next row).
std::size_t quantized_row_bytes(std::int64_t n_cols);

// Many fp32 rows are read in chunks of kChunkDepth k, in each all tokens, kChunkStride floats apart: 17
// lines, so that tokens' lines fall into different cache sets.
inline constexpr std::int64_t kChunkDepth = 256;
inline constexpr std::int64_t kChunkStride = kChunkDepth + 16;
std::size_t chunk_bytes(std::int64_t n_tokens);
std::size_t chunked_bytes(std::int64_t n_tokens, std::int64_t n_cols);
// Token `token` of n_tokens, x [n_cols], to its places in the chunks.
void copy_to_chunks(const float* x, std::int64_t n_cols, std::int64_t token, std::int64_t n_tokens,
                    float* chunks);

struct MatmulKernels {
  // One token's activations [n_cols] (n_cols a multiple of 32) to int8 with scales and sums, in the order
  // that `matmul` reads; `out` is 64-byte aligned, quantized_row_bytes(n_cols) long.
  void (*quantize_row)(const float* x, std::int64_t n_cols, std::byte* out);

  // Whether `matmul` takes so many fp32 rows in chunks. Null where it never does.
  bool (*reads_chunks)(DType weight_type, std::int64_t n_tokens);

  // y[t, 16·b … ] for row blocks b in [first_block, last_block) and all tokens; rows beyond weight.n_rows are
  // not written. Activations: quantized rows (quantized_row_bytes apart) where
  // uses_int8_activations(weight.type), else fp32 rows, in both cases row t at activations + t ·
  // activation_stride_bytes; or the first token's place in chunks activation_stride_bytes apart, where
  // reads_chunks. y[t] at y + t · y_stride floats. `scratch` has matmul_scratch_bytes(weight) bytes, 64-byte
  // aligned, one a thread.
  void (*matmul)(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                 const std::byte* activations, std::size_t activation_stride_bytes, std::int64_t n_tokens,
                 float* y, std::int64_t y_stride, std::byte* scratch);

  // Whether prompt rows may meet weights of this type in matmul_prompt. It takes fp32 rows, whatever the
  // type, or what prepare_prompt made of them, and is `matmul` in everything else; null where no type has it.
  bool (*has_prompt_path)(DType weight_type);
  void (*matmul_prompt)(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                        const std::byte* activations, std::size_t activation_stride_bytes,
                        std::int64_t n_tokens, float* y, std::int64_t y_stride, std::byte* scratch);

  // The same for prompts whose caller prefers speed: int8 with a scale for 512 k on both sides, about twice
  // the error of `matmul` (matmul_amx_int8.h). It takes fp32 rows. Null where the machine has no such path.
  bool (*has_fast_prompt_path)(DType weight_type);
  void (*matmul_fast_prompt)(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                             const std::byte* activations, std::size_t activation_stride_bytes,
                             std::int64_t n_tokens, float* y, std::int64_t y_stride, std::byte* scratch);

  // Where not null, matmul_prompt reads what this writes of each token's fp32 row (`token` counts from 0):
  // its part of `out`, 64-byte aligned, prompt_bytes(n_tokens, n_cols) long. The stride then says nothing.
  std::size_t (*prompt_bytes)(std::int64_t n_tokens, std::int64_t n_cols);
  void (*prepare_prompt)(const float* x, std::int64_t n_cols, std::int64_t token, std::byte* out);
};

std::size_t matmul_scratch_bytes(const Matrix& weight);

// The functions of an instruction set; call only where is_supported(isa).
const MatmulKernels& matmul_kernels(Isa isa);

}  // namespace exa
