#include "kernels/isa/ops.h"

#include "kernels/isa/ops_units.h"

namespace exa {

const OpsKernels& ops_kernels(Isa isa) {
  switch (isa) {
    case Isa::kAmx:
    case Isa::kAvx512:
      return ops_kernels_avx512();
    case Isa::kAvx2:
      return ops_kernels_avx2();
    case Isa::kScalar:
      break;
  }
  return ops_kernels_scalar();
}

}  // namespace exa
