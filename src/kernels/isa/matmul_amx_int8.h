// Prompt rows times packed weights of 4 and 5 bits in tiles of int8, one scale for 512 k on both sides:
// faster than tiles of bf16 and rougher (docs/numerics.md), so only where the caller asks for it.
//
// A row's 512 activations become int8 with scale amax / 127. A weight row's 512 values lie between known
// ends, its scales times the least and the largest integer; they are requantized to int8 by the larger end.
// Tiles are those of TDPBSSD: A holds 16 tokens × 64 k, B 16 groups of four k × 16 rows of the weight, C 16
// tokens × 16 rows in int32. Integers are exact within 512 k, then acc = fma(sum, activation scale · weight
// scale, acc), ascending k; sums of kFastChunk k are added in ascending order. They depend on neither
// n_tokens nor the split.
//
// Ownership and threads: as matmul_amx.h. Source: Intel SDM volume 2, TDPBSSD; kernels
// specification 3.3, 3.4.
#pragma once

#include "kernels/isa/matmul_amx.h"

namespace exa {

inline constexpr std::int64_t kFastSpan = 512;    // k that share a scale
inline constexpr std::int64_t kFastChunk = 2048;  // k of which the rows' tiles are at hand at once
inline constexpr std::int64_t kFastTokens = 512;  // tokens a group

// C tiles [2 of tokens][2 of rows][16][16] = sums over n_steps of A tiles [n_steps][2 of tokens] times B
// tiles [n_steps][2 of rows].
using MultiplyInt8Tiles = void (*)(const std::byte* a, const std::byte* b, std::int64_t n_steps,
                                   std::int32_t* c);

bool has_int8_tiles(DType weight_type);

// y of the fp32 rows `activations`, as MatmulKernels::matmul_prompt; scratch has kAmxScratchBytes.
// Activations with NaN or infinity among them make the row NaN, such weights their output.
void multiply_in_int8_tiles(MultiplyInt8Tiles multiply, const Matrix& weight, std::int64_t first_block,
                            std::int64_t last_block, const std::byte* activations, std::size_t stride,
                            std::int64_t n_tokens, float* y, std::int64_t y_stride, std::byte* scratch);

// The same with the tile registers. Call only where is_supported(Isa::kAmx).
void amx_matmul_fast_prompt(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                            const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                            std::int64_t y_stride, std::byte* scratch);

// Whether `multiply` gives known products; whether the registers do (call only where they may be used).
bool multiplies_int8_tiles(MultiplyInt8Tiles multiply);
bool amx_int8_works();

}  // namespace exa
