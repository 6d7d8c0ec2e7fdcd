// Quantized weights times int8 activations with vpmaddubsw.
#include "kernels/isa/matmul_tables.h"

namespace exa {

void avx2_matmul_int8(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                      const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                      std::int64_t y_stride, std::byte* scratch) {
  avx2_matmul_panels(weight, first_block, last_block, activations, stride, n_tokens, y, y_stride, scratch);
}

}  // namespace exa
