// Block formats of stored weights: how many bits mean which number.
//
// Ownership and threads: pure functions.
// Source: ggml's block definitions as gguf-py decodes them; bit-equal to it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace exa {

// IEEE half and bfloat16 to fp32, exact (subnormals, infinities and NaN included), and back with
// round-to-nearest-even.
float f16_to_f32(std::uint16_t half);
std::uint16_t f32_to_f16(float value);
inline float bf16_to_f32(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}
std::uint16_t f32_to_bf16(float value);

// True for the types decode_row knows: F32, F16, BF16 and all quantized types.
bool can_decode(DType type);
// n_elements (a multiple of the block size) from `blocks` into out[n_elements]. `blocks` need no alignment.
void decode_row(DType type, const std::byte* blocks, std::size_t n_elements, float* out);

}  // namespace exa
