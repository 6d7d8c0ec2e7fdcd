#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/ops.h"
#include "kernels/isa/ops_units.h"

namespace exa {
namespace {

#include "kernels/isa/lanes_avx2.inl"
#include "kernels/isa/ops_body.inl"

}  // namespace

const OpsKernels& ops_kernels_avx2() {
  return kKernels;
}

}  // namespace exa
