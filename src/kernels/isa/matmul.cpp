#include "kernels/isa/matmul.h"

#include <algorithm>
#include <cstring>

#include "kernels/isa/lanes.h"
#include "kernels/isa/matmul_amx.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {

std::size_t quantized_row_bytes(std::int64_t n_cols) {
  // 8 blocks more than a multiple of 16: the same 256 k of eight tokens then fill distinct cache sets.
  const std::size_t blocks = static_cast<std::size_t>(n_cols) / 32;
  return (blocks + (24 - blocks % 16) % 16) * sizeof(ActivationBlock);
}

std::size_t chunk_bytes(std::int64_t n_tokens) {
  return static_cast<std::size_t>(n_tokens * kChunkStride) * sizeof(float);
}

std::size_t chunked_bytes(std::int64_t n_tokens, std::int64_t n_cols) {
  return static_cast<std::size_t>((n_cols + kChunkDepth - 1) / kChunkDepth) * chunk_bytes(n_tokens);
}

void copy_to_chunks(const float* x, std::int64_t n_cols, std::int64_t token, std::int64_t n_tokens,
                    float* chunks) {
  float* out = chunks + token * kChunkStride;
  for (std::int64_t k = 0; k < n_cols; k += kChunkDepth, out += n_tokens * kChunkStride) {
    std::memcpy(out, x + k, static_cast<std::size_t>(std::min(kChunkDepth, n_cols - k)) * sizeof(float));
  }
}

std::size_t matmul_scratch_bytes(const Matrix& weight) {
  const std::size_t tiles = is_supported(Isa::kAmx) && has_tiles(weight.type) ? kAmxScratchBytes : 0;
  std::size_t bytes = kPanelBytes + kTileBytes;
  if (!uses_int8_activations(weight.type)) {
    // In steps of 256 k, which hold a chunk of the bf16 path too: half as wide, four times as long.
    const std::int64_t chunks = (weight.n_cols + 255) / 256 * (256 / kFloatChunk);
    const std::int64_t copies = chunks * float_token_group(weight.n_cols) * kFloatStride;
    bytes += kSpareBytes + static_cast<std::size_t>(copies) * sizeof(float);
    bytes = std::max(bytes, kAvx2FloatScratchBytes);
  }
  return bytes > tiles ? bytes : tiles;
}

bool fetches_ahead() {
#if defined(__x86_64__)
  static const bool is_amd = [] {
    __builtin_cpu_init();
    return __builtin_cpu_is("amd") != 0;
  }();
  return !is_amd;
#else
  return false;
#endif
}

bool prefers_bf16() {
#if defined(__x86_64__)
  static const bool prefers = [] {
    __builtin_cpu_init();
    return __builtin_cpu_is("amd") != 0 && __builtin_cpu_supports("avx512bf16") != 0;
  }();
  return prefers;
#else
  return false;
#endif
}

const MatmulKernels& matmul_kernels(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAmx:
      return kAmxMatmul;
    case Isa::kAvx512:
      return kAvx512Matmul;
    case Isa::kAvx2:
      return kAvx2Matmul;
#endif
    default:
      return kScalarMatmul;
  }
}

}  // namespace exa
