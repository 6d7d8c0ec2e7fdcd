// Prompt rows times packed weights of every lane type but F32, in tiles of bf16: weights decoded a panel at a
// time.
//
// Tiles are those of TDPBF16PS: A holds 16 tokens × 32 k, B 16 pairs of k × 16 rows of the weight (the order
// of a packed BF16 line), C 16 tokens × 16 rows in fp32. Sums run over k in ascending order within kAmxChunk,
// and those sums are added in ascending order; they depend on neither n_tokens nor the split.
//
// Never run on a processor with AMX, as none was at hand, only on an emulated one (tools/emulator). All but
// the one function with tile instructions, amx_multiply_tiles, is tested with a scalar model of the
// instruction in its place; amx_works() compares it with known products before the instruction set is
// offered. Ownership and threads: pure functions over borrowed memory; a thread's tiles are configured and
// released within a call. Source: Intel SDM volume 2, TDPBF16PS, LDTILECFG; kernels specification 3.1 to 3.3.
#pragma once

#include "kernels/matrix.h"

namespace exa {

inline constexpr std::size_t kTileRegister = 1024;  // bytes
inline constexpr std::int64_t kAmxTokens = 256;     // tokens a group
inline constexpr std::int64_t kAmxChunk = 2048;     // k
inline constexpr std::size_t kAmxScratchBytes =
    static_cast<std::size_t>((kAmxTokens + 32) * kAmxChunk * 2) + 4 * kTileRegister;

// C tiles [2 of tokens][2 of rows][16][16] = sums over n_steps of A tiles [n_steps][2 of tokens] times B
// tiles [n_steps][2 of rows].
using MultiplyTiles = void (*)(const std::byte* a, const std::byte* b, std::int64_t n_steps, float* c);

// y of the fp32 rows `activations`, as MatmulKernels::matmul_prompt; scratch has kAmxScratchBytes.
void multiply_in_tiles(MultiplyTiles multiply, const Matrix& weight, std::int64_t first_block,
                       std::int64_t last_block, const std::byte* activations, std::size_t stride,
                       std::int64_t n_tokens, float* y, std::int64_t y_stride, std::byte* scratch);

bool has_tiles(DType weight_type);

// The same with the tile registers. Call only where is_supported(Isa::kAmx).
void amx_matmul_prompt(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                       const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                       std::int64_t y_stride, std::byte* scratch);

// This thread's eight tile registers as 16 rows × 64 bytes each; unused again.
void configure_tiles();
void release_tiles();

// C tiles [2 of tokens][2 of row blocks][16][16] of up to 32 tokens to y [n_tokens, y_stride], or added to
// it; rows from n_rows on are not written.
void store_tiles(const float* c, std::int64_t n_tokens, std::int64_t first_row, std::int64_t n_rows,
                 bool adds, float* y, std::int64_t y_stride);

// Whether `multiply` gives known products of small integers.
bool multiplies_tiles(MultiplyTiles multiply);

// Whether the tile registers do. Call only where processor and system have them.
bool amx_works();

}  // namespace exa
