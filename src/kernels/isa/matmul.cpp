#include "kernels/isa/matmul.h"

#include "kernels/isa/lanes.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {

bool uses_int8_activations(DType weight_type) {
  return is_quantized(weight_type) && has_lanes(weight_type);
}

std::size_t quantized_row_bytes(std::int64_t n_cols) {
  // 8 blocks more than a multiple of 16: the same 256 k of eight tokens then fill distinct cache sets.
  const std::size_t blocks = static_cast<std::size_t>(n_cols) / 32;
  return (blocks + (24 - blocks % 16) % 16) * sizeof(ActivationBlock);
}

std::size_t matmul_scratch_bytes(const Matrix& weight) {
  return uses_int8_activations(weight.type) ? kQuantizedScratchBytes : kFloatScratchBytes;
}

const MatmulKernels& matmul_kernels(Isa isa) {
  switch (isa) {
    default:
      return kScalarMatmul;
  }
}

}  // namespace exa
