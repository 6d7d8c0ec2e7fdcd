#include "kernels/isa/isa.h"

#include <cstdlib>
#include <string>

#include "base/error.h"

namespace exa {

// __builtin_cpu_supports also reads XCR0: it says no where the operating system does not save the registers.
bool is_supported(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return true;
#if defined(__x86_64__)
    case Isa::kAvx2:
      __builtin_cpu_init();
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("f16c");
    case Isa::kAvx512:
      return is_supported(Isa::kAvx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
#endif
    default:
      return false;
  }
}

std::string_view name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

Isa choose_isa() {
  if (const char* wanted = std::getenv("EXAONE_ISA"); wanted != nullptr && *wanted != '\0') {
    for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
      if (name(isa) != wanted) continue;
      if (!is_supported(isa)) {
        throw Error(ErrorKind::kUnsupported,
                    "this machine lacks the instruction set " + std::string(name(isa)), "EXAONE_ISA");
      }
      return isa;
    }
    throw Error(ErrorKind::kUsage, "expected scalar, avx2 or avx512, found \"" + std::string(wanted) + "\"",
                "EXAONE_ISA");
  }
  for (Isa isa : {Isa::kAvx512, Isa::kAvx2}) {
    if (is_supported(isa)) return isa;
  }
  return Isa::kScalar;
}

}  // namespace exa
