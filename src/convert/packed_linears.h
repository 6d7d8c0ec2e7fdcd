// Linear layers as quantized checkpoints store them, decoded to the numbers their own libraries decode them
// to.
//
// Ownership and threads: the sources borrow the checkpoint; immutable.
// Source: compressed-tensors' pack-quantized and float-quantized formats, transformers' fine-grained FP8,
// AutoAWQ's GEMM layout; rounding as exaone-models specification 11 says.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "convert/tensor_plan.h"

namespace exa {

// The 256 values of F8 E4M3 (finite and NaN only), by bit pattern.
const std::array<float, 256>& f8_e4m3_values();

// How many groups of `size` (at least 1) hold `total`, the last perhaps in part.
inline constexpr std::uint64_t groups_of(std::uint64_t total, std::uint64_t size) {
  return (total + size - 1) / size;
}

struct PackedShape {
  std::uint64_t n_out;
  std::uint64_t n_in;
};

// weight F8_E4M3 [n_out, n_in] times scale [n_out, 1], product in fp32.
std::shared_ptr<const RowSource> fp8_channel_rows(const Checkpoint& checkpoint, PackedShape shape,
                                                  const TensorInfo& weight, const TensorInfo& scale);
// weight F8_E4M3 [n_out, n_in] times scale [n_out / block_rows, n_in / block_cols] (rounded up), in fp32.
std::shared_ptr<const RowSource> fp8_block_rows(const Checkpoint& checkpoint, PackedShape shape,
                                                const TensorInfo& weight, const TensorInfo& scale,
                                                std::uint64_t block_rows, std::uint64_t block_cols);
// packed I32 [n_out, n_in / 8], low nibble first, value nibble - 8; scale [n_out, n_in / group]; the product
// is rounded to bf16.
std::shared_ptr<const RowSource> int4_group_rows(const Checkpoint& checkpoint, PackedShape shape,
                                                 const TensorInfo& packed, const TensorInfo& scale,
                                                 std::uint64_t group);
// qweight I32 [n_in, n_out / 8] and qzeros I32 [n_in / group, n_out / 8], nibbles in the order 0 2 4 6 1 3 5
// 7; scales F16 [n_in / group, n_out]; (q - zero) * scale rounded to f16.
std::shared_ptr<const RowSource> awq_gemm_rows(const Checkpoint& checkpoint, PackedShape shape,
                                               const TensorInfo& qweight, const TensorInfo& qzeros,
                                               const TensorInfo& scales, std::uint64_t group);

}  // namespace exa
