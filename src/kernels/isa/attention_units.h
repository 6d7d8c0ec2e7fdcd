// The units behind attention_kernels(), one an instruction set.
//
// Ownership and threads: constants.
// Source: kernels specification 3.10.
#pragma once

#include "kernels/isa/attention.h"

namespace exa {

const AttentionKernels& attention_kernels_scalar();
const AttentionKernels& attention_kernels_avx2();
const AttentionKernels& attention_kernels_avx512();
// Only where the processor has AVX512_BF16.
void attend_bf16_avx512_dot(const AttentionTile& tile, std::int64_t span, std::byte* scratch, float* state);

}  // namespace exa
