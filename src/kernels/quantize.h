// Numbers into the block formats of stored weights: the other direction of quant.h.
//
// Without importance, Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 are what ggml's reference quantizer writes, bit for
// bit. The other formats, and the last four with importance, are searched for the least (weighted) sum of
// squared errors, so they agree with ggml's in format, not in bits. Results are the same bits in every
// instruction set and do not depend on which rows are encoded together.
//
// Ownership and threads: pure functions over borrowed memory.
// Source: the block formats of quant.h; ggml's reference rounding for the simple ones.
#pragma once

#include <cstddef>
#include <span>

#include "base/dtype.h"

namespace exa {

// Numbers of larger magnitude fit neither F16 nor the half-precision scale of a block.
inline constexpr float kLargestEncodable = 65504.0F;

struct QuantizeKernels {
  // Rows [n_rows, n_cols] as F32, F16, BF16 or blocks into out[n_rows * row_bytes(type, n_cols)]; n_cols is a
  // multiple of the block size; out needs no alignment. importance: n_cols weights >= 0 of the squared
  // errors, or nullptr for equal ones. Values of block types must be finite and within kLargestEncodable.
  void (*encode)(DType type, const float* values, std::size_t n_rows, std::size_t n_cols,
                 const float* importance, std::byte* out);
  // n numbers stored as BF16 or F16, at any alignment, widened exactly.
  void (*widen_bf16)(const std::byte* stored, std::size_t n, float* out);
  void (*widen_f16)(const std::byte* stored, std::size_t n, float* out);
  // The largest magnitude; infinite where a value is infinite or no number. 0 of none.
  float (*largest_magnitude)(const float* values, std::size_t n);
};

// True for the types that encode() knows: F32, F16, BF16 and all block types of quant.h.
bool can_encode(DType type);

// The functions of this machine.
const QuantizeKernels& quantize_kernels();

}  // namespace exa
