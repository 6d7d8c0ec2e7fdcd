#include "cli/measure/bench_canary.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

#include "kernels/isa/isa.h"
#include "kernels/isa/matmul_amx.h"

namespace exa {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 5;
constexpr int kAccumulators = 12;  // enough for a latency of 5 at two a cycle
constexpr std::int64_t kRepeats = 2'000'000;
constexpr int kTileAccumulators = 4;
constexpr std::int64_t kTileRepeats = 200'000;

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

// One instruction on independent accumulators, all in registers whatever the compiler makes of loops: with
// some of them in memory it is the stores that are measured. Operands are opaque to the compiler, results are
// kept.
#define EXA_TWELVE(I) \
  I("s0") I("s1") I("s2") I("s3") I("s4") I("s5") I("s6") I("s7") I("s8") I("s9") I("s10") I("s11")
#define EXA_REGISTER_LOOP(NAME, TARGET, VECTOR, C, I)                                                \
  __attribute__((target(TARGET))) void NAME() {                                                      \
    VECTOR a{}, b{}, t{};                                                                            \
    VECTOR s0{}, s1{}, s2{}, s3{}, s4{}, s5{}, s6{}, s7{}, s8{}, s9{}, s10{}, s11{};                 \
    for (std::int64_t i = 0; i < kRepeats; ++i) {                                                    \
      asm volatile(EXA_TWELVE(I)                                                                     \
                   : [s0] "+" C(s0), [s1] "+" C(s1), [s2] "+" C(s2), [s3] "+" C(s3), [s4] "+" C(s4), \
                     [s5] "+" C(s5), [s6] "+" C(s6), [s7] "+" C(s7), [s8] "+" C(s8), [s9] "+" C(s9), \
                     [s10] "+" C(s10), [s11] "+" C(s11), [t] "=&" C(t)                               \
                   : [a] C(a), [b] C(b));                                                            \
    }                                                                                                \
  }
#define EXA_VNNI(s) "vpdpbusd %[b], %[a], %[" s "]\n\t"
#define EXA_FMA(s) "vfmadd231ps %[b], %[a], %[" s "]\n\t"
#define EXA_BF16(s) "vdpbf16ps %[b], %[a], %[" s "]\n\t"
// The dependency is on the sum only, as in a kernel: vpmaddubsw and vpmaddwd of fresh operands, then vpaddd.
#define EXA_MADDUBS(s) \
  "vpmaddubsw %[b], %[a], %[t]\n\tvpmaddwd %[b], %[t], %[t]\n\tvpaddd %[t], %[" s "], %[" s "]\n\t"
#define EXA_MADD(s) "pmaddwd %[a], %[" s "]\n\t"
#define EXA_MUL(s) "mulps %[a], %[" s "]\n\taddps %[b], %[" s "]\n\t"

EXA_REGISTER_LOOP(vnni_zmm, "avx512f,avx512vnni", __m512i, "v", EXA_VNNI)
EXA_REGISTER_LOOP(fma_zmm, "avx512f", __m512, "v", EXA_FMA)
EXA_REGISTER_LOOP(fma_ymm, "avx2,fma", __m256, "x", EXA_FMA)
EXA_REGISTER_LOOP(bf16_zmm, "avx512f,avx512bf16", __m512i, "v", EXA_BF16)
EXA_REGISTER_LOOP(maddubs_ymm, "avx2", __m256i, "x", EXA_MADDUBS)
EXA_REGISTER_LOOP(madd_xmm, "sse4.1", __m128i, "x", EXA_MADD)
EXA_REGISTER_LOOP(mul_xmm, "sse4.1", __m128, "x", EXA_MUL)
// Four sums of two tiles by two, as in the kernels. Zeros would flatter the clock: as bf16 the bytes are
// numbers from 1/2 to 2, as int8 any.
struct alignas(64) TileBytes {
  TileBytes() {
    std::uint32_t state = 1;
    for (std::uint16_t& pair : pairs) {
      state = state * 1664525U + 1013904223U;
      pair = static_cast<std::uint16_t>(0x3f00U | (state >> 24));
    }
  }
  std::uint16_t pairs[512];
};
#define EXA_TILE_LOOP(NAME, INSTRUCTION)                                                                     \
  void NAME() {                                                                                              \
    static const TileBytes bytes;                                                                            \
    configure_tiles();                                                                                       \
    asm volatile(                                                                                            \
        "tileloadd (%0,%1,1), %%tmm4\n\ttileloadd (%0,%1,1), %%tmm5\n\t"                                     \
        "tileloadd (%0,%1,1), %%tmm6\n\ttileloadd (%0,%1,1), %%tmm7"                                         \
        :                                                                                                    \
        : "r"(bytes.pairs), "r"(std::int64_t{64})                                                            \
        : "memory");                                                                                         \
    for (std::int64_t i = 0; i < kTileRepeats; ++i) {                                                        \
      asm volatile(INSTRUCTION " %tmm4, %tmm6, %tmm0\n\t" INSTRUCTION " %tmm5, %tmm6, %tmm1\n\t" INSTRUCTION \
                               " %tmm4, %tmm7, %tmm2\n\t" INSTRUCTION " %tmm5, %tmm7, %tmm3");               \
    }                                                                                                        \
    release_tiles();                                                                                         \
  }
EXA_TILE_LOOP(tiles_bf16, "tdpbf16ps")
EXA_TILE_LOOP(tiles_int8, "tdpbssd")
#undef EXA_TILE_LOOP
#undef EXA_MUL
#undef EXA_MADD
#undef EXA_MADDUBS
#undef EXA_BF16
#undef EXA_FMA
#undef EXA_VNNI
#undef EXA_REGISTER_LOOP
#undef EXA_TWELVE

// Of a loop of so many instructions, each of so many operations, on all threads, in 10⁹ a second.
double rate(ThreadPool& pool, void (*loop)(), std::int64_t instructions, int operations) {
  const double seconds = median_seconds(pool, [loop](int, int) { loop(); });
  return 1e-9 * static_cast<double>(instructions) * operations * pool.n_threads() / seconds;
}
double rate(ThreadPool& pool, void (*loop)(), int operations) {
  return rate(pool, loop, kRepeats * kAccumulators, operations);
}
double tile_rate(ThreadPool& pool, void (*loop)(), int operations) {
  return rate(pool, loop, kTileRepeats * kTileAccumulators, operations);
}

}  // namespace

Canary mean(const Canary& a, const Canary& b) {
  return {.read_gb_s = (a.read_gb_s + b.read_gb_s) / 2,
          .int8_gops = (a.int8_gops + b.int8_gops) / 2,
          .fp32_gflops = (a.fp32_gflops + b.fp32_gflops) / 2,
          .bf16_gflops = (a.bf16_gflops + b.bf16_gflops) / 2,
          .tile_bf16_gflops = (a.tile_bf16_gflops + b.tile_bf16_gflops) / 2,
          .tile_int8_gops = (a.tile_int8_gops + b.tile_int8_gops) / 2};
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
  if (is_supported(Isa::kAmx)) {
    canary.tile_bf16_gflops = tile_rate(pool, tiles_bf16, 16 * 16 * 32 * 2);
    canary.tile_int8_gops = tile_rate(pool, tiles_int8, 16 * 16 * 64 * 2);
  }
  return canary;
}

}  // namespace exa
