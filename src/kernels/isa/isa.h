// Instruction sets this binary carries code for, and which one this machine runs.
//
// Ownership and threads: constants; the choice is made once, before the first kernel runs.
// Source: Intel SDM cpuid leaves 1 and 7 with XCR0; kernels specification 3.10.
#pragma once

#include <string_view>

namespace exa {

enum class Isa {
  kScalar,  // plain x86-64-v2: the reference every other one is tested against
  kAvx2,    // AVX2 + FMA + F16C
  kAvx512,  // AVX-512 F, BW, VL, DQ + VNNI
  kAmx,     // these with AVX512-BF16 and tiles of bf16 and int8; prompts differ from kAvx512, all else is the
            // same
};

// The best one that cpu and operating system support, or the one that EXAONE_ISA names (scalar, avx2, avx512,
// amx). Errors: kUsage for an unknown name in EXAONE_ISA, kUnsupported where the machine lacks it.
Isa choose_isa();
bool is_supported(Isa isa);
std::string_view name(Isa isa);

}  // namespace exa
