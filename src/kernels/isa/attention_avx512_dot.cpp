#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/attention.h"
#include "kernels/isa/attention_units.h"

// False for the _mm512_undefined_* of g++ 12's own headers.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace exa {
namespace {

#include "kernels/isa/lanes_avx512.inl"

constexpr int kPairs = 8;
constexpr int kLines = 2;

#include "kernels/isa/attention_body.inl"

inline __m512 dot(__m512 sums, __m512i a, __m512i b) {
  return _mm512_dpbf16_ps(sums, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

// Operands are pairs of bf16.
struct Bf16DotForm {
  using Line = __m512i;
  using Sums = Lanes;
  static constexpr KvType kType = KvType::kBF16;
  static constexpr int kStep = 2;
  static constexpr int kOperands = 1;
  static constexpr int kLineBytes = 64;
  static Line line(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Line part(const std::byte* p, bool even, bool odd) {
    const std::uint32_t kept = (even ? 0xFFFFU : 0U) | (odd ? 0xFFFF0000U : 0U);
    return _mm512_and_si512(line(p), _mm512_set1_epi32(static_cast<int>(kept)));
  }
  static Sums step(const float* a, Line b, Sums sums) {
    return {dot(sums.v, _mm512_castps_si512(_mm512_set1_ps(*a)), b)};
  }
  static void set_query(Lanes q, float* to) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(q.v)));
  }
  static Lanes set_weights(Lanes first, Lanes second, float* weights, int t, Lanes total) {
    const auto both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second.v, first.v));
    _mm512_storeu_si512(weights + t / 2, both);
    return {dot(total.v, both, _mm512_set1_epi32(0x3F803F80))};
  }
};

}  // namespace

void attend_bf16_avx512_dot(const AttentionTile& tile, std::int64_t span, std::byte* scratch, float* state) {
  attend<Bf16DotForm>(tile, span, scratch, state);
}

}  // namespace exa
