// The instruction sets of this machine, and equality of floats bit for bit, for the kernel tests.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/isa/isa.h"

namespace exa {

inline std::vector<Isa> supported_isas() {
  std::vector<Isa> out;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (is_supported(isa)) out.push_back(isa);
  }
  return out;
}

// Equal bits; any NaN equals any NaN.
inline void expect_same_bits(const std::vector<float>& actual, const std::vector<float>& expected,
                             const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (std::isnan(actual[i]) && std::isnan(expected[i])) continue;
    ASSERT_EQ(std::bit_cast<std::uint32_t>(actual[i]), std::bit_cast<std::uint32_t>(expected[i]))
        << what << ", element " << i << ": " << actual[i] << " and " << expected[i];
  }
}

inline std::vector<float> random_floats(std::size_t n, unsigned seed, float sigma = 1.0F) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0F, sigma);
  std::vector<float> out(n);
  for (float& x : out) x = normal(engine);
  return out;
}

}  // namespace exa
