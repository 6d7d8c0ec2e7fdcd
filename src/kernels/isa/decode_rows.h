// Rows of the types that keep their stored order, decoded to fp32 with vector instructions.
//
// The same bits as decode_row (kernels/quant.h) gives; types that it does not know go there.
// Ownership and threads: pure functions over borrowed memory; call only where the instruction set is
// supported. Source: ggml's block layouts, as kernels/quant.cpp reads them.
#pragma once

#include <cstddef>

#include "base/dtype.h"

namespace exa {

// n_elements is a multiple of the type's block size.
void decode_row_avx2(DType type, const std::byte* blocks, std::size_t n_elements, float* out);
void decode_row_avx512(DType type, const std::byte* blocks, std::size_t n_elements, float* out);

}  // namespace exa
