#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/quantize_units.h"
#include "kernels/quant.h"

// Vectors are passed between inlined functions of this unit alone.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace exa {
namespace {

constexpr int kWidth = 4;

#include "kernels/isa/quantize_body.inl"

}  // namespace

const QuantizeKernels& quantize_kernels_scalar() {
  return kKernels;
}

}  // namespace exa
