#include "cli/bench_canary.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace exa {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 5;
constexpr int kAccumulators = 12;  // enough for a latency of 5 at two a cycle
constexpr std::int64_t kRepeats = 2'000'000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The median of some rounds of f(worker, n_workers) on all threads. The best would be a moment's luck, where
// neighbours come and go; what is compared with it takes seconds.
template <typename F>
double median_seconds(ThreadPool& pool, F&& f) {
  std::array<double, kRounds> seconds{};
  for (double& s : seconds) {
    const Clock::time_point start = Clock::now();
    pool.parallel(f);
    s = seconds_since(start);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[kRounds / 2];
}

__attribute__((target("avx512f"))) void read_avx512(const std::byte* p, std::size_t n_bytes) {
  __m512i sum[4] = {};
  for (std::size_t i = 0; i + 256 <= n_bytes; i += 256) {
    for (std::size_t j = 0; j < 4; ++j) {
      sum[j] = _mm512_xor_si512(sum[j], _mm512_loadu_si512(p + i + 64 * j));
    }
  }
  for (__m512i& s : sum) asm volatile("" : : "v"(s));
}

void read_sse2(const std::byte* p, std::size_t n_bytes) {
  __m128i sum[8] = {};
  for (std::size_t i = 0; i + 128 <= n_bytes; i += 128) {
    for (std::size_t j = 0; j < 8; ++j) {
      sum[j] = _mm_xor_si128(sum[j], _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i + 16 * j)));
    }
  }
  for (__m128i& s : sum) asm volatile("" : : "x"(s));
}

// One instruction on independent accumulators. Operands are opaque to the compiler, results are kept.
#define EXA_REGISTER_LOOP(NAME, TARGET, VECTOR, CONSTRAINT, INSTRUCTION)                                   \
  __attribute__((target(TARGET))) void NAME() {                                                            \
    VECTOR a{};                                                                                            \
    VECTOR b{};                                                                                            \
    asm volatile("" : "+" CONSTRAINT(a), "+" CONSTRAINT(b));                                               \
    VECTOR sum[kAccumulators] = {};                                                                        \
    for (std::int64_t i = 0; i < kRepeats; ++i) {                                                          \
      for (VECTOR & s : sum) asm volatile(INSTRUCTION : "+" CONSTRAINT(s) : CONSTRAINT(a), CONSTRAINT(b)); \
    }                                                                                                      \
    for (VECTOR & s : sum) asm volatile("" : : CONSTRAINT(s));                                             \
  }

EXA_REGISTER_LOOP(vnni_zmm, "avx512f,avx512vnni", __m512i, "v", "vpdpbusd %2, %1, %0")
EXA_REGISTER_LOOP(fma_zmm, "avx512f", __m512, "v", "vfmadd231ps %2, %1, %0")
EXA_REGISTER_LOOP(fma_ymm, "avx2,fma", __m256, "x", "vfmadd231ps %2, %1, %0")
EXA_REGISTER_LOOP(bf16_zmm, "avx512f,avx512bf16", __m512i, "v", "vdpbf16ps %2, %1, %0")
// The dependency is on the sum only, as in a kernel: vpmaddubsw and vpmaddwd of fresh operands, then vpaddd.
EXA_REGISTER_LOOP(maddubs_ymm, "avx2", __m256i, "x",
                  "vpmaddubsw %2, %1, %%ymm15\n\tvpmaddwd %2, %%ymm15, %%ymm15\n\tvpaddd %%ymm15, %0, %0")
EXA_REGISTER_LOOP(madd_xmm, "sse4.1", __m128i, "x", "pmaddwd %1, %0")
EXA_REGISTER_LOOP(mul_xmm, "sse4.1", __m128, "x", "mulps %1, %0\n\taddps %2, %0")
#undef EXA_REGISTER_LOOP

// Operations of one instruction of `lanes` times kAccumulators, all threads, in 10⁹ a second.
double rate(ThreadPool& pool, void (*loop)(), int operations) {
  const double seconds = median_seconds(pool, [loop](int, int) { loop(); });
  return 1e-9 * static_cast<double>(kRepeats) * kAccumulators * operations * pool.n_threads() / seconds;
}

}  // namespace

Canary mean(const Canary& a, const Canary& b) {
  return {.read_gb_s = (a.read_gb_s + b.read_gb_s) / 2,
          .int8_gops = (a.int8_gops + b.int8_gops) / 2,
          .fp32_gflops = (a.fp32_gflops + b.fp32_gflops) / 2,
          .bf16_gflops = (a.bf16_gflops + b.bf16_gflops) / 2};
}

Canary measure_canary(ThreadPool& pool, std::span<const std::byte> memory) {
  Canary canary;
  const bool zmm = __builtin_cpu_supports("avx512f");
  const double seconds = median_seconds(pool, [&](int worker, int n_workers) {
    const WorkRange range = work_range(memory.size() / 64, worker, n_workers);
    const std::byte* const begin = memory.data() + 64 * range.begin;
    const std::size_t n_bytes = 64 * (range.end - range.begin);
    zmm ? read_avx512(begin, n_bytes) : read_sse2(begin, n_bytes);
  });
  canary.read_gb_s = 1e-9 * static_cast<double>(memory.size()) / seconds;
  if (zmm && __builtin_cpu_supports("avx512vnni")) {
    canary.int8_gops = rate(pool, vnni_zmm, 128);
  } else if (__builtin_cpu_supports("avx2")) {
    canary.int8_gops = rate(pool, maddubs_ymm, 64);
  } else {
    canary.int8_gops = rate(pool, madd_xmm, 16);
  }
  canary.fp32_gflops = zmm                             ? rate(pool, fma_zmm, 32)
                       : __builtin_cpu_supports("fma") ? rate(pool, fma_ymm, 16)
                                                       : rate(pool, mul_xmm, 8);
  if (zmm && __builtin_cpu_supports("avx512bf16")) canary.bf16_gflops = rate(pool, bf16_zmm, 64);
  return canary;
}

}  // namespace exa
