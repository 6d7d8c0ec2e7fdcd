// What the machine gives at this moment: bytes read a second, operations a second. Figures of a bench mean
// little without them, because clocks and neighbours change within minutes.
//
// Ownership and threads: measured on the caller's pool.
// Source: kernels specification 1.1, 1.2 and 4.
#pragma once

#include <cstddef>
#include <span>

#include "base/threads.h"

namespace exa {

// All threads of the pool together; 10⁹ a second. A multiplication and an addition are two operations.
struct Canary {
  double read_gb_s = 0;    // a plain sequential read of memory
  double int8_gops = 0;    // vpdpbusd in registers, or what stands in for it (maddubs, pmaddwd)
  double fp32_gflops = 0;  // fused multiply-add
  double bf16_gflops = 0;  // vdpbf16ps; 0 where the processor has none
  // tdpbf16ps and tdpbssd; 0 where the process may not use tile registers
  double tile_bf16_gflops = 0;
  double tile_int8_gops = 0;
};

Canary mean(const Canary& a, const Canary& b);

// memory: touched, larger than the caches; it is read a few times.
Canary measure_canary(ThreadPool& pool, std::span<const std::byte> memory);

}  // namespace exa
