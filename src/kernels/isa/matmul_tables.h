// The tables of matmul functions that the instruction sets' files define, and the scratch they may use.
//
// Ownership and threads: constants.
// Source: isa/matmul.h.
#pragma once

#include "kernels/isa/matmul.h"

namespace exa {

extern const MatmulKernels kScalarMatmul;
extern const MatmulKernels kAvx2Matmul;
extern const MatmulKernels kAvx512Matmul;

inline constexpr std::size_t kQuantizedScratchBytes = 128 * 1024;
inline constexpr std::size_t kFloatScratchBytes = 1024 * 1024;

}  // namespace exa
