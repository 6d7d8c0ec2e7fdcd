#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/ops.h"
#include "kernels/isa/ops_units.h"

// False for the _mm512_undefined_* of g++ 12's own headers.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace exa {
namespace {

#include "kernels/isa/lanes_avx512.inl"
#include "kernels/isa/ops_body.inl"

}  // namespace

const OpsKernels& ops_kernels_avx512() {
  return kKernels;
}

}  // namespace exa
