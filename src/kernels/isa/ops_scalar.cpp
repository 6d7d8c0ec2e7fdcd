#include <cstddef>
#include <cstdint>

#include "kernels/isa/ops.h"
#include "kernels/isa/ops_units.h"

namespace exa {
namespace {

#include "kernels/isa/lanes_scalar.inl"
#include "kernels/isa/ops_body.inl"

}  // namespace

const OpsKernels& ops_kernels_scalar() {
  return kKernels;
}

}  // namespace exa
