#include "kernels/isa/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/activations.h"
#include "kernels/guarded_rows.h"
#include "kernels/random_weights.h"

namespace exa {
namespace {

std::vector<Isa> supported() {
  std::vector<Isa> out;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    if (is_supported(isa)) out.push_back(isa);
  }
  return out;
}

enum class Inputs { kGaussian, kOutliers, kTiny };

// [n_tokens, n_cols]; every third token has a zero block, and tokens differ in magnitude.
std::vector<float> activations(std::int64_t n_tokens, std::int64_t n_cols, Inputs inputs, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(n_tokens * n_cols));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t t = i / static_cast<std::size_t>(n_cols);
    const std::size_t k = i % static_cast<std::size_t>(n_cols);
    x[i] = normal(random) * static_cast<float>(t % 5 + 1);
    if (inputs == Inputs::kOutliers && random() % 97 == 0) x[i] *= 300.0F;
    if (inputs == Inputs::kTiny) x[i] *= k / 32 % 2 == 0 ? 1e-30F : 1e-41F;
    if (t % 3 == 2 && k < 32) x[i] = 0.0F;
  }
  return x;
}

// y [n_tokens, n_rows] of one call of `isa` a range of row blocks.
std::vector<float> multiply(Isa isa, const Matrix& w, const std::vector<float>& x, std::int64_t n_tokens,
                            std::int64_t blocks_a_call = 1 << 20) {
  const MatmulKernels& kernels = matmul_kernels(isa);
  test::GuardedRows y(n_tokens, w.n_rows);
  const test::Activations rows = test::activations_of(kernels, w.type, w.n_cols, x.data(), n_tokens);
  Buffer scratch(matmul_scratch_bytes(w));
  for (std::int64_t b = 0; b < w.n_row_blocks(); b += blocks_a_call) {
    kernels.matmul(w, b, std::min(b + blocks_a_call, w.n_row_blocks()), rows.bytes.data(), rows.stride,
                   n_tokens, y.y.data(), y.stride, scratch.data());
  }
  return y.take();
}

// Bits equal, any two NaN counting as equal.
::testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size())
    return ::testing::AssertionFailure() << a.size() << " and " << b.size() << " values";
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::memcmp(&a[i], &b[i], 4) != 0)
      return ::testing::AssertionFailure() << "value " << i << ": " << a[i] << " and " << b[i];
  }
  return ::testing::AssertionSuccess();
}

std::vector<std::int64_t> widths(DType type) {
  switch (traits(type).block_size) {
    case 1:
      return {1, 5, 32, 96, 300};
    case 32:
      return {32, 64, 96, 256, 544};
    default:
      return {256, 512, 768};
  }
}

class MatmulTest : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, MatmulTest, ::testing::ValuesIn(test::weight_types()),
                         [](const auto& type) { return std::string(name(type.param)); });

TEST_P(MatmulTest, EveryInstructionSetGivesTheBitsOfScalar) {
  constexpr std::int64_t kMostTokens = 70;
  for (std::int64_t n_cols : widths(GetParam())) {
    for (std::int64_t n_rows : {1, 15, 16, 17, 40}) {
      const Matrix w = test::pack(test::random_rows(GetParam(), n_rows, n_cols, 11));
      for (Inputs inputs : {Inputs::kGaussian, Inputs::kOutliers, Inputs::kTiny}) {
        const std::vector<float> x = activations(kMostTokens, n_cols, inputs, 5);
        const std::vector<float> scalar = multiply(Isa::kScalar, w, x, kMostTokens);
        for (std::int64_t n_tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 33, 70}) {
          const std::vector<float> expected(scalar.begin(), scalar.begin() + n_tokens * n_rows);
          for (Isa isa : supported()) {
            if (isa == Isa::kScalar && n_tokens > 2) continue;
            ASSERT_TRUE(same_bits(multiply(isa, w, x, n_tokens), expected))
                << name(isa) << ' ' << n_rows << 'x' << n_cols << ", " << n_tokens << " tokens";
          }
        }
      }
    }
  }
}

TEST_P(MatmulTest, RowsDoNotDependOnTheirNeighboursOrTheSplit) {
  const std::int64_t n_cols = widths(GetParam()).back();
  const Matrix w = test::pack(test::random_rows(GetParam(), 200, n_cols, 12));
  const std::vector<float> x = activations(70, n_cols, Inputs::kOutliers, 6);
  for (Isa isa : supported()) {
    const std::vector<float> together = multiply(isa, w, x, 70);
    for (std::int64_t blocks : {1, 2, 3, 5})
      EXPECT_TRUE(same_bits(multiply(isa, w, x, 70, blocks), together)) << name(isa);
    for (std::int64_t n : {1, 2, 3, 5, 8, 9, 13, 40}) {
      std::vector<float> pieces;
      for (std::int64_t t = 0; t < 70; t += n) {
        const std::int64_t count = std::min(n, 70 - t);
        const std::vector<float> some(x.begin() + t * n_cols, x.begin() + (t + count) * n_cols);
        const std::vector<float> y = multiply(isa, w, some, count);
        pieces.insert(pieces.end(), y.begin(), y.end());
      }
      EXPECT_TRUE(same_bits(pieces, together)) << name(isa) << ' ' << n << " tokens a call";
    }
  }
}

// More k than a panel holds and more tokens than a group.
TEST_P(MatmulTest, LongRowsAndManyTokensGiveTheBitsOfScalar) {
  constexpr std::int64_t kTokens = 261;
  const Matrix w = test::pack(test::random_rows(GetParam(), 33, 4608, 22));
  const std::vector<float> x = activations(kTokens, 4608, Inputs::kGaussian, 23);
  const std::vector<float> scalar = multiply(Isa::kScalar, w, x, kTokens);
  for (Isa isa : supported()) EXPECT_TRUE(same_bits(multiply(isa, w, x, kTokens), scalar)) << name(isa);
}

TEST_P(MatmulTest, ErrorStaysWithinThatOfTheActivations) {
  const std::int64_t n_cols = traits(GetParam()).block_size == 256 ? 4096 : 4096 - 32;
  const std::int64_t n_rows = 48;
  const std::int64_t n_tokens = 9;
  const test::StoredRows rows = test::random_rows(GetParam(), n_rows, n_cols, 13);
  const Matrix w = test::pack(rows);
  const std::vector<float> x = activations(n_tokens, n_cols, Inputs::kGaussian, 8);
  // Rounding to a step of amax / 127 adds noise of variance step² / 12 to every activation.
  std::vector<double> noise(x.size(), 0.0);
  if (uses_int8_activations(GetParam())) {
    for (std::size_t i = 0; i < x.size(); i += 32) {
      float amax = 0;
      for (std::size_t k = 0; k < 32; ++k) amax = std::max(amax, std::fabs(x[i + k]));
      for (std::size_t k = 0; k < 32; ++k)
        noise[i + k] = static_cast<double>(amax) / 127.0 * static_cast<double>(amax) / 127.0 / 12.0;
    }
  }
  const std::vector<float> y = multiply(choose_isa(), w, x, n_tokens);
  double error = 0;
  double expected_error = 0;
  double signal = 0;
  std::vector<float> values(static_cast<std::size_t>(n_cols));
  for (std::int64_t r = 0; r < n_rows; ++r) {
    decode_row(GetParam(), rows.row(r), values.size(), values.data());
    for (std::int64_t t = 0; t < n_tokens; ++t) {
      double exact = 0;
      double variance = 0;
      for (std::size_t k = 0; k < values.size(); ++k) {
        const std::size_t i = static_cast<std::size_t>(t * n_cols) + k;
        const double weight = static_cast<double>(values[k]);
        exact += weight * static_cast<double>(x[i]);
        variance += weight * weight * noise[i];
      }
      const double difference = static_cast<double>(y[static_cast<std::size_t>(t * n_rows + r)]) - exact;
      error += difference * difference;
      expected_error += variance;
      signal += exact * exact;
    }
  }
  if (uses_int8_activations(GetParam())) {
    EXPECT_LE(std::sqrt(error), 1.2 * std::sqrt(expected_error));
    EXPECT_GE(std::sqrt(error), 0.5 * std::sqrt(expected_error));
  }
  EXPECT_LE(std::sqrt(error / signal), uses_int8_activations(GetParam()) ? 0.01 : 3e-6);
}

TEST_P(MatmulTest, NanAndInfinityMakeTheRowNan) {
  const std::int64_t n_cols = widths(GetParam()).back();
  const Matrix w = test::pack(test::random_rows(GetParam(), 33, n_cols, 14));
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    if (!uses_int8_activations(GetParam()) && std::isinf(bad)) continue;
    std::vector<float> x = activations(12, n_cols, Inputs::kGaussian, 9);
    const std::vector<float> clean = multiply(Isa::kScalar, w, x, 12);
    x[static_cast<std::size_t>(4 * n_cols + n_cols / 2)] = bad;
    for (Isa isa : supported()) {
      const std::vector<float> y = multiply(isa, w, x, 12);
      for (std::size_t i = 0; i < y.size(); ++i) {
        if (i / 33 == 4) {
          EXPECT_TRUE(std::isnan(y[i])) << name(isa) << ' ' << i % 33;
        } else {
          EXPECT_EQ(std::memcmp(&y[i], &clean[i], 4), 0) << name(isa) << ' ' << i;
        }
      }
    }
  }
}

// y [n_tokens, n_rows] of matmul_prompt, `tokens_a_call` and `blocks_a_call` at a time.
std::vector<float> multiply_prompt(Isa isa, const Matrix& w, const std::vector<float>& x,
                                   std::int64_t n_tokens, std::int64_t tokens_a_call = 1 << 20,
                                   std::int64_t blocks_a_call = 1 << 20) {
  test::GuardedRows y(n_tokens, w.n_rows);
  const std::size_t scratch_bytes = matmul_scratch_bytes(w);
  Buffer scratch(scratch_bytes + (std::size_t{1} << 17));
  std::memset(scratch.data() + scratch_bytes, 0x5a, scratch.size_bytes() - scratch_bytes);
  const MatmulKernels& kernels = matmul_kernels(isa);
  for (std::int64_t t = 0; t < n_tokens; t += tokens_a_call) {
    const std::int64_t n = std::min(tokens_a_call, n_tokens - t);
    const float* const rows = x.data() + t * w.n_cols;
    Buffer prepared(kernels.prompt_bytes ? kernels.prompt_bytes(n, w.n_cols) : 0);
    std::fill_n(prepared.data(), prepared.size_bytes(), std::byte{0xff});
    for (std::int64_t i = 0; kernels.prepare_prompt && i < n; ++i) {
      kernels.prepare_prompt(rows + i * w.n_cols, w.n_cols, i, prepared.data());
    }
    const auto* activations =
        kernels.prepare_prompt ? prepared.data() : reinterpret_cast<const std::byte*>(rows);
    for (std::int64_t b = 0; b < w.n_row_blocks(); b += blocks_a_call) {
      kernels.matmul_prompt(w, b, std::min(b + blocks_a_call, w.n_row_blocks()), activations,
                            static_cast<std::size_t>(w.n_cols) * sizeof(float), n, y.y.data() + t * y.stride,
                            y.stride, scratch.data());
    }
  }
  std::byte* const end = scratch.data() + scratch.size_bytes();
  EXPECT_EQ(std::count(scratch.data() + scratch_bytes, end, std::byte{0x5a}), 1 << 17) << "scratch overrun";
  return y.take();
}

class PromptPathTest : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    for (Isa isa : supported()) {
      if (matmul_kernels(isa).has_prompt_path(GetParam())) isas_.push_back(isa);
    }
    if (isas_.empty()) GTEST_SKIP() << "this machine has no path of its own for prompt rows";
  }
  std::vector<Isa> isas_;
};
INSTANTIATE_TEST_SUITE_P(Types, PromptPathTest, ::testing::Values(DType::kBF16, DType::kF16),
                         [](const auto& type) { return std::string(name(type.param)); });

TEST_P(PromptPathTest, RoundsToBf16AndNothingElse) {
  const auto rounded = [](float value) { return static_cast<double>(bf16_to_f32(f32_to_bf16(value))); };
  for (std::int64_t n_cols : {1, 5, 32, 300, 4096}) {
    for (std::int64_t n_rows : {1, 17, 40}) {
      constexpr std::int64_t kTokens = 115;
      const test::StoredRows rows = test::random_rows(GetParam(), n_rows, n_cols, 15);
      const Matrix w = test::pack(rows);
      const std::vector<float> x = activations(kTokens, n_cols, Inputs::kOutliers, 16);
      for (Isa isa : isas_) {
        const std::vector<float> y = multiply_prompt(isa, w, x, kTokens);
        double error = 0;
        double signal = 0;
        std::vector<float> values(static_cast<std::size_t>(n_cols));
        for (std::int64_t r = 0; r < n_rows; ++r) {
          decode_row(GetParam(), rows.row(r), values.size(), values.data());
          for (std::int64_t t = 0; t < kTokens; ++t) {
            double exact = 0;
            double expected = 0;
            double magnitude = 1e-30;
            for (std::size_t k = 0; k < values.size(); ++k) {
              const float activation = x[static_cast<std::size_t>(t * n_cols) + k];
              const double product = rounded(values[k]) * rounded(activation);
              exact += static_cast<double>(values[k]) * static_cast<double>(activation);
              expected += product;
              magnitude += std::fabs(product);
            }
            const double found = static_cast<double>(y[static_cast<std::size_t>(t * n_rows + r)]);
            ASSERT_LE(std::fabs(found - expected), 4e-6 * magnitude)
                << name(isa) << ' ' << n_rows << 'x' << n_cols << ", row " << r << ", token " << t;
            error += (found - exact) * (found - exact);
            signal += exact * exact;
          }
        }
        if (n_cols == 4096) {
          EXPECT_LE(std::sqrt(error / signal), 0.003) << name(isa);
        }
      }
    }
  }
}

TEST_P(PromptPathTest, RowsDoNotDependOnTheirNeighboursOrTheSplit) {
  const Matrix w = test::pack(test::random_rows(GetParam(), 200, 544, 17));
  const std::vector<float> x = activations(130, 544, Inputs::kOutliers, 18);
  for (Isa isa : isas_) {
    const std::vector<float> together = multiply_prompt(isa, w, x, 130);
    for (std::int64_t blocks : {1, 3}) {
      EXPECT_TRUE(same_bits(multiply_prompt(isa, w, x, 130, 130, blocks), together)) << name(isa);
    }
    for (std::int64_t tokens : {1, 2, 7, 13, 40, 112}) {
      EXPECT_TRUE(same_bits(multiply_prompt(isa, w, x, 130, tokens), together)) << name(isa) << ' ' << tokens;
    }
  }
}

TEST_P(PromptPathTest, NanMakesTheRowNan) {
  const Matrix w = test::pack(test::random_rows(GetParam(), 33, 96, 19));
  std::vector<float> x = activations(5, 96, Inputs::kGaussian, 20);
  x[2 * 96 + 50] = std::numeric_limits<float>::quiet_NaN();
  for (Isa isa : isas_) {
    const std::vector<float> y = multiply_prompt(isa, w, x, 5);
    for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i / 33 == 2) << name(isa);
  }
}

TEST(QuantizeRow, EveryInstructionSetWritesTheSameBytes) {
  for (Inputs inputs : {Inputs::kGaussian, Inputs::kOutliers, Inputs::kTiny}) {
    std::vector<float> x = activations(1, 8192, inputs, 21);
    // Exact ties: with amax 127 the quotient is x itself.
    x[0] = 127.0F;
    for (std::size_t k = 1; k < 32; ++k) x[k] = static_cast<float>(k) - 16.5F;
    Buffer expected(quantized_row_bytes(8192));
    matmul_kernels(Isa::kScalar).quantize_row(x.data(), 8192, expected.data());
    for (Isa isa : supported()) {
      Buffer found(expected.size_bytes());
      matmul_kernels(isa).quantize_row(x.data(), 8192, found.data());
      EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size_bytes()), 0) << name(isa);
    }
  }
}

TEST(ChooseIsa, EnvironmentDecides) {
  setenv("EXAONE_ISA", "scalar", 1);
  EXPECT_EQ(choose_isa(), Isa::kScalar);
  setenv("EXAONE_ISA", "mmx", 1);
  EXPECT_ANY_THROW(choose_isa());
  setenv("EXAONE_ISA", "amx", 1);
  if (is_supported(Isa::kAmx)) {
    EXPECT_EQ(choose_isa(), Isa::kAmx);
  } else {
    EXPECT_ANY_THROW(choose_isa());
  }
  unsetenv("EXAONE_ISA");
  EXPECT_TRUE(is_supported(choose_isa()));
  EXPECT_TRUE(is_supported(Isa::kScalar));
}

}  // namespace
}  // namespace exa
