// The tables of matmul functions that the instruction sets' files define, and the scratch they may use.
//
// Ownership and threads: constants.
// Source: isa/matmul.h.
#pragma once

#include "kernels/isa/matmul.h"

namespace exa {

extern const MatmulKernels kScalarMatmul;
extern const MatmulKernels kAvx2Matmul;
extern const MatmulKernels kAvx512Matmul;
extern const MatmulKernels kAmxMatmul;

// Scratch of one thread: a panel of unpacked weights, a block of decoded rows, tiles of partial sums, and for
// fp32 activations copies of a group of tokens, kFloatChunk k and a gap at a time.
inline constexpr std::size_t kPanelBytes = 32 * 1024;
inline constexpr std::size_t kSpareBytes = 16 * 1024;
inline constexpr std::size_t kTileBytes = 16 * 1024;
inline constexpr std::int64_t kTokenGroup = 128;
inline constexpr std::int64_t kFloatChunk = 64;
// Floats from token to token: 5 lines, so that tokens' lines fall into different cache sets.
inline constexpr std::int64_t kFloatStride = kFloatChunk + 16;

// Tokens a group of fp32 activations: fewer for long rows, so that the copies stay within 4 MB.
static constexpr std::int64_t float_token_group(std::int64_t n_cols) {
  return n_cols <= 8192 ? 112 : n_cols <= 16384 ? 56 : 28;
}

// The AVX2 loops keep sums of kFloatTurn row blocks for a group of tokens: with the group's chunk of
// activations they fill most of a cache of 512 KB.
inline constexpr std::int64_t kFloatTurn = 8;
inline constexpr std::int64_t kFloatGroup = 252;
inline constexpr std::size_t kAvx2FloatScratchBytes =
    kPanelBytes + kSpareBytes +
    static_cast<std::size_t>(kFloatGroup * kFloatTurn * kRowBlock) * sizeof(float);

// Whether AVX-512 kernels fetch weights that stream past one token ahead. AMD's own prefetchers reach the
// speed of a plain read there (Zen 4) and less with such help; Intel's reach half of it without. With several
// tokens, where loads follow each other slowly, help pays on both, and with AVX2 always (Zen 3: a quarter
// more).
bool fetches_ahead();
// Bytes ahead of the weights in hand that go into the nearest cache, and into the one behind it.
inline constexpr std::size_t kFetchNear = 2304;
inline constexpr std::size_t kFetchFar = 6 * kFetchNear;

// As many fp32 rows meet weights of this type as they stand; more go in chunks (matmul.h).
std::int64_t avx2_direct_tokens(DType weight_type);

// The two halves of each vector table: weights with int8 activations, weights with fp32 ones.
void avx2_matmul_int8(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                      const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                      std::int64_t y_stride, std::byte* scratch);
void avx2_matmul_float(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                       const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                       std::int64_t y_stride, std::byte* scratch);
void avx512_matmul_int8(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                        const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                        std::int64_t y_stride, std::byte* scratch);
void avx512_matmul_float(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                         const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                         std::int64_t y_stride, std::byte* scratch);

// BF16 and F16 weights with bf16 activations, as avx512_prepare_bf16 writes them; call only where
// prefers_bf16().
std::size_t avx512_bf16_bytes(std::int64_t n_tokens, std::int64_t n_cols);
void avx512_prepare_bf16(const float* x, std::int64_t n_cols, std::int64_t token, std::byte* out);
void avx512_matmul_bf16(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                        const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                        std::int64_t y_stride, std::byte* scratch);
// Whether the machine has vdpbf16ps and runs it at the rate of an fma, which is twice the work: AMD does,
// Intel's issues it every other cycle.
bool prefers_bf16();

// The many-token half of weights with int8 activations.
void avx2_matmul_panels(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                        const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                        std::int64_t y_stride, std::byte* scratch);
void avx512_matmul_panels(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                          const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                          std::int64_t y_stride, std::byte* scratch);

}  // namespace exa
