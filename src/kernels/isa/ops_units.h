// The units behind ops_kernels(), one an instruction set.
//
// Ownership and threads: constants.
// Source: kernels specification 3.10.
#pragma once

#include "kernels/isa/ops.h"

namespace exa {

const OpsKernels& ops_kernels_scalar();
const OpsKernels& ops_kernels_avx2();
const OpsKernels& ops_kernels_avx512();

}  // namespace exa
