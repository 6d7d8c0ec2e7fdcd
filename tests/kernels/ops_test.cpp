#include "kernels/isa/ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/isa_under_test.h"
#include "kernels/quant.h"

namespace exa {
namespace {

constexpr std::int64_t kWidths[] = {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 80, 100, 128, 1000, 2048, 5120, 5121};
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::size_t n_of(std::int64_t width) {
  return static_cast<std::size_t>(width);
}

// One float more than asked for, so that a store past the end shows.
std::vector<float> guarded(std::int64_t width, unsigned seed, float sigma = 1.0F) {
  std::vector<float> x = random_floats(n_of(width), seed, sigma);
  x.push_back(12345.0F);
  return x;
}

TEST(Rmsnorm, EveryInstructionSetEqualsScalar) {
  for (const std::int64_t width : kWidths) {
    for (const float sigma : {1e-20F, 1e-3F, 1.0F, 1e4F, 1e20F}) {
      const std::vector<float> x = guarded(width, 1, sigma);
      const std::vector<float> w = guarded(width, 2);
      const std::vector<float> residual = guarded(width, 3);
      std::vector<float> expected(x.size(), 12345.0F);
      std::vector<float> expected_sum = residual;
      ops_kernels(Isa::kScalar).rmsnorm(x.data(), width, w.data(), 1e-5F, expected.data());
      ops_kernels(Isa::kScalar).rmsnorm_add(x.data(), width, w.data(), 1e-5F, expected_sum.data());
      EXPECT_EQ(expected.back(), 12345.0F);
      for (const Isa isa : supported_isas()) {
        const std::string what = std::string(name(isa)) + " width " + std::to_string(width);
        std::vector<float> y(x.size(), 12345.0F);
        ops_kernels(isa).rmsnorm(x.data(), width, w.data(), 1e-5F, y.data());
        expect_same_bits(y, expected, what);
        std::vector<float> in_place = x;
        ops_kernels(isa).rmsnorm(in_place.data(), width, w.data(), 1e-5F, in_place.data());
        expect_same_bits(in_place, expected, what + " in place");
        std::vector<float> sum = residual;
        ops_kernels(isa).rmsnorm_add(x.data(), width, w.data(), 1e-5F, sum.data());
        expect_same_bits(sum, expected_sum, what + " add");
      }
    }
  }
}

TEST(Rmsnorm, MatchesTheFormulaInDoublePrecision) {
  for (const std::int64_t width : kWidths) {
    const std::vector<float> x = random_floats(n_of(width), 4, 3.0F);
    const std::vector<float> w = random_floats(n_of(width), 5);
    std::vector<float> y(x.size());
    ops_kernels(Isa::kScalar).rmsnorm(x.data(), width, w.data(), 1e-5F, y.data());
    double squares = 0;
    for (const float v : x) squares += double{v} * double{v};
    const double r = 1.0 / std::sqrt(squares / static_cast<double>(width) + 1e-5);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = double{x[i]} * r * double{w[i]};
      ASSERT_NEAR(double{y[i]}, expected, 6e-7 * std::abs(expected)) << width;
    }
  }
}

// With values this small eps decides: 1e-6 instead of 1e-5 changes the result by more than half.
TEST(Rmsnorm, AddsEpsToTheMeanOfSquares) {
  const std::vector<float> x = {1e-3F, -2e-3F, 1e-3F, 2e-3F};
  const std::vector<float> w = {1.0F, 1.0F, 1.0F, 2.0F};
  std::vector<float> y(4);
  for (const Isa isa : supported_isas()) {
    ops_kernels(isa).rmsnorm(x.data(), 4, w.data(), 1e-5F, y.data());
    // mean of squares 2.5e-6, plus 1e-5: 1 / sqrt(1.25e-5) = 282.8427
    EXPECT_NEAR(y[0], 0.2828427F, 1e-6F);
    EXPECT_NEAR(y[1], -0.5656854F, 1e-6F);
    EXPECT_NEAR(y[3], 1.1313708F, 2e-6F);
  }
}

TEST(Rmsnorm, ZeroRowStaysZeroAndNanSpreads) {
  for (const Isa isa : supported_isas()) {
    std::vector<float> x(37, 0.0F);
    const std::vector<float> w(37, 1.5F);
    std::vector<float> y(37, 1.0F);
    ops_kernels(isa).rmsnorm(x.data(), 37, w.data(), 1e-5F, y.data());
    for (const float v : y) EXPECT_EQ(v, 0.0F);
    x[36] = kNan;
    ops_kernels(isa).rmsnorm(x.data(), 37, w.data(), 1e-5F, y.data());
    for (const float v : y) EXPECT_TRUE(std::isnan(v));
  }
}

TEST(Add, EveryInstructionSetEqualsPlainAddition) {
  for (const std::int64_t width : kWidths) {
    const std::vector<float> x = guarded(width, 6);
    const std::vector<float> residual = guarded(width, 7);
    std::vector<float> expected = residual;
    for (std::size_t i = 0; i < n_of(width); ++i) expected[i] += x[i];
    for (const Isa isa : supported_isas()) {
      std::vector<float> sum = residual;
      ops_kernels(isa).add(x.data(), width, sum.data());
      expect_same_bits(sum, expected, std::string(name(isa)));
    }
  }
}

TEST(Rope, RotatesPairsHalfAHeadApart) {
  for (const int head_dim : {2, 16, 32, 64, 80, 96, 128, 256}) {
    const auto half = static_cast<std::size_t>(head_dim / 2);
    const std::vector<float> x = guarded(head_dim, 8);
    std::vector<float> cos;
    std::vector<float> sin;
    for (std::size_t j = 0; j < half; ++j) {
      cos.push_back(std::cos(static_cast<float>(j) + 0.3F));
      sin.push_back(std::sin(static_cast<float>(j) + 0.3F));
    }
    std::vector<float> expected = x;
    for (std::size_t j = 0; j < half; ++j) {
      const float a = x[j] * cos[j];
      const float b = x[j + half] * sin[j];
      const float c = x[j + half] * cos[j];
      const float d = x[j] * sin[j];
      expected[j] = a - b;
      expected[j + half] = c + d;
    }
    for (const Isa isa : supported_isas()) {
      std::vector<float> y = x;
      ops_kernels(isa).rope(y.data(), head_dim, cos.data(), sin.data());
      expect_same_bits(y, expected, std::string(name(isa)) + " head_dim " + std::to_string(head_dim));
    }
  }
}

TEST(SiluMul, IsWithinThreeTenMillionthsOfTheTruth) {
  std::vector<float> gate;
  for (float x = -87.0F; x < 110.0F; x += 0.00731F) gate.push_back(x);
  for (float x = 1e-30F; x < 1.0F; x *= 1.7F) {
    gate.push_back(x);
    gate.push_back(-x);
  }
  const std::vector<float> inputs = gate;
  const std::vector<float> up(gate.size(), 1.0F);
  ops_kernels(Isa::kScalar).silu_mul(gate.data(), up.data(), static_cast<std::int64_t>(gate.size()));
  double worst = 0;
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const double x = inputs[i];
    const double expected = x / (1.0 + std::exp(-x));
    worst = std::max(worst, std::abs(double{gate[i]} - expected) / std::abs(expected));
  }
  EXPECT_LT(worst, 3e-7);
  RecordProperty("worst_relative_error", std::to_string(worst * 1e9) + "e-9");
}

TEST(SiluMul, HasTheRightLimits) {
  for (const Isa isa : supported_isas()) {
    std::vector<float> x = {0.0F,   -0.0F, kInfinity, -kInfinity, kNan,    3e38F,
                            -3e38F, 87.5F, -87.5F,    1e-40F,     -1e-40F, -1000.0F};
    const std::vector<float> up(x.size(), 1.0F);
    ops_kernels(isa).silu_mul(x.data(), up.data(), static_cast<std::int64_t>(x.size()));
    EXPECT_EQ(x[0], 0.0F);
    EXPECT_EQ(x[1], 0.0F);
    EXPECT_EQ(x[2], kInfinity);
    EXPECT_EQ(x[3], 0.0F);
    EXPECT_TRUE(std::isnan(x[4]));
    EXPECT_EQ(x[5], 3e38F);
    EXPECT_EQ(x[6], 0.0F);
    EXPECT_EQ(x[7], 87.5F);
    EXPECT_NEAR(x[8], 0.0F, 2e-36F);
    EXPECT_NEAR(x[9], 0.5e-40F, 1e-44F);
    EXPECT_NEAR(x[10], -0.5e-40F, 1e-44F);
    EXPECT_EQ(x[11], 0.0F);
  }
}

TEST(SiluMul, EveryInstructionSetEqualsScalar) {
  for (const std::int64_t width : kWidths) {
    std::vector<float> gate = guarded(width, 9, 20.0F);
    if (width > 20) {
      gate[3] = kNan;
      gate[5] = kInfinity;
      gate[7] = -kInfinity;
      gate[9] = -87.0F;
      gate[11] = -0.0F;
      gate[13] = 1e-42F;
    }
    const std::vector<float> up = guarded(width, 10);
    std::vector<float> expected = gate;
    ops_kernels(Isa::kScalar).silu_mul(expected.data(), up.data(), width);
    EXPECT_EQ(expected.back(), 12345.0F);
    for (const Isa isa : supported_isas()) {
      std::vector<float> y = gate;
      ops_kernels(isa).silu_mul(y.data(), up.data(), width);
      expect_same_bits(y, expected, std::string(name(isa)) + " width " + std::to_string(width));
    }
  }
}

}  // namespace
}  // namespace exa
