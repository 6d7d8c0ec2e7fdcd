#include "kernels/quantize.h"

#include "kernels/isa/quantize_units.h"
#include "kernels/quant.h"

namespace exa {

bool can_encode(DType type) {
  return can_decode(type);
}

const QuantizeKernels& quantize_kernels() {
  return quantize_kernels(choose_isa());
}

const QuantizeKernels& quantize_kernels(Isa isa) {
  switch (isa) {
    case Isa::kAmx:
    case Isa::kAvx512:
      return quantize_kernels_avx512();
    case Isa::kAvx2:
      return quantize_kernels_avx2();
    case Isa::kScalar:
      break;
  }
  return quantize_kernels_scalar();
}

}  // namespace exa
