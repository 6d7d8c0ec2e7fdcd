#include "kernels/isa/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <string>

#include "base/error.h"
#include "kernels/isa/matmul_amx_int8.h"

namespace exa {
#if defined(__x86_64__)
namespace {

// Linux grants a process its tile registers on request only.
bool has_tile_registers() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kOsSavesRegisters = 1U << 27;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kOsSavesRegisters) == 0) return false;
  constexpr unsigned kAmxBf16 = 1U << 22, kAmxTile = 1U << 24, kAmxInt8 = 1U << 25;
  constexpr unsigned kAll = kAmxBf16 | kAmxTile | kAmxInt8;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kAll) != kAll) return false;
  std::uint32_t enabled = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(enabled), "=d"(high) : "c"(0));
  constexpr std::uint32_t kTileState = 3U << 17;
  if ((enabled & kTileState) != kTileState) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace
#endif

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
    case Isa::kAmx: {
      static const bool supported = is_supported(Isa::kAvx512) && __builtin_cpu_supports("avx512bf16") &&
                                    has_tile_registers() && amx_works() && amx_int8_works();
      return supported;
    }
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
    case Isa::kAmx:
      return "amx";
  }
  return "unknown";
}

Isa choose_isa() {
  if (const char* wanted = std::getenv("EXAONE_ISA"); wanted != nullptr && *wanted != '\0') {
    for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
      if (name(isa) != wanted) continue;
      if (!is_supported(isa)) {
        throw Error(ErrorKind::kUnsupported,
                    "this machine lacks the instruction set " + std::string(name(isa)), "EXAONE_ISA");
      }
      return isa;
    }
    throw Error(ErrorKind::kUsage,
                "expected scalar, avx2, avx512 or amx, found \"" + std::string(wanted) + "\"", "EXAONE_ISA");
  }
  for (Isa isa : {Isa::kAmx, Isa::kAvx512, Isa::kAvx2}) {
    if (is_supported(isa)) return isa;
  }
  return Isa::kScalar;
}

}  // namespace exa
