// The units behind quantize_kernels(), one an instruction set.
//
// Ownership and threads: constants.
// Source: kernels specification 3.10.
#pragma once

#include "kernels/isa/isa.h"
#include "kernels/quantize.h"

namespace exa {

// The functions of an instruction set; call only where is_supported(isa).
const QuantizeKernels& quantize_kernels(Isa isa);

const QuantizeKernels& quantize_kernels_scalar();
const QuantizeKernels& quantize_kernels_avx2();
const QuantizeKernels& quantize_kernels_avx512();

}  // namespace exa
