#include "kernels/quantize.h"
#include "kernels/isa/quantize_units.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/golden_file.h"
#include "kernels/isa_under_test.h"
#include "kernels/quant.h"
#include "kernels/random_weights.h"

namespace exa {
namespace {

const QuantizeKernels& scalar() {
  return quantize_kernels(Isa::kScalar);
}

std::vector<std::byte> encoded(const QuantizeKernels& kernels, DType type, const std::vector<float>& values,
                               std::size_t n_cols, const float* importance = nullptr) {
  const std::size_t n_rows = values.size() / n_cols;
  std::vector<std::byte> out(n_rows * row_bytes(type, n_cols) + 1, std::byte{0xa5});
  kernels.encode(type, values.data(), n_rows, n_cols, importance, out.data());
  EXPECT_EQ(out.back(), std::byte{0xa5}) << name(type) << " writes past its end";
  out.pop_back();
  return out;
}

std::vector<float> decoded(DType type, const std::vector<std::byte>& blocks, std::size_t n) {
  std::vector<float> out(n);
  decode_row(type, blocks.data(), n, out.data());
  return out;
}

double squared_error(const float* a, const float* b, std::size_t n, const float* weights = nullptr) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double off = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += off * off * (weights != nullptr ? static_cast<double>(weights[i]) : 1.0);
  }
  return sum;
}

double rmse(const std::vector<float>& a, const std::vector<float>& b) {
  return std::sqrt(squared_error(a.data(), b.data(), a.size()) / static_cast<double>(a.size()));
}

const std::vector<DType>& block_types() {
  static const std::vector<DType> types = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,   DType::kQ5_0,
                                           DType::kQ5_1, DType::kQ2_K, DType::kQ3_K,   DType::kQ4_K,
                                           DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS};
  return types;
}

bool is_searched(DType type) {
  return type != DType::kQ8_0 && type != DType::kQ4_0 && type != DType::kQ4_1 && type != DType::kQ5_0 &&
         type != DType::kQ5_1;
}

// Rows of many characters: normal, wide, one-sided, constant, ramps, zeros, tiny, with outliers.
std::vector<float> awkward_rows(std::size_t n_rows, std::size_t n_cols, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.02F);
  std::vector<float> out(n_rows * n_cols);
  for (std::size_t r = 0; r < n_rows; ++r) {
    for (std::size_t i = 0; i < n_cols; ++i) {
      const float x = normal(random);
      const float at = static_cast<float>(i) / static_cast<float>(n_cols);
      const std::array<float, 10> kinds = {x,
                                           x * std::fabs(x) * 100,
                                           std::fabs(x),
                                           -std::fabs(x),
                                           0.25F,
                                           2 * at - 1,
                                           0.0F,
                                           x * 1e-6F,
                                           i % 97 == 5 ? 30.0F : x,
                                           i % 3 == 0 ? -0.0F : x * 1e4F};
      out[r * n_cols + i] = kinds[r % kinds.size()];
    }
  }
  return out;
}

TEST(Quantize, GgmlsBytesForSimpleBlocks) {
  const std::filesystem::path path =
      std::filesystem::path(EXAONE_SHARED_DIR) / "golden/quant_blocks.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no golden data at " << path;
  const GoldenFile golden(path);
  const std::vector<std::byte> bytes = golden.tensor("source");
  std::vector<float> source(bytes.size() / sizeof(float));
  ASSERT_EQ(source.size(), 16U * 1024U);
  std::memcpy(source.data(), bytes.data(), bytes.size());
  for (const Isa isa : supported_isas()) {
    for (const DType type :
         {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kF16, DType::kBF16}) {
      EXPECT_EQ(encoded(quantize_kernels(isa), type, source, 1024),
                golden.tensor(std::string(name(type)) + ".bytes"))
          << name(type) << ", " << name(isa);
    }
  }
}

TEST(Quantize, SearchedBlocksAreAsAccurateAsGgmlsInEveryRow) {
  const std::filesystem::path path =
      std::filesystem::path(EXAONE_SHARED_DIR) / "golden/quant_blocks.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no golden data at " << path;
  const GoldenFile golden(path);
  const std::vector<std::byte> bytes = golden.tensor("source");
  std::vector<float> source(bytes.size() / sizeof(float));
  std::memcpy(source.data(), bytes.data(), bytes.size());
  for (const DType type : block_types()) {
    if (!is_searched(type)) continue;
    const std::vector<std::byte> stored = golden.tensor(std::string(name(type)) + ".values");
    std::vector<float> theirs(stored.size() / sizeof(float));
    ASSERT_EQ(theirs.size(), source.size());
    std::memcpy(theirs.data(), stored.data(), stored.size());
    const std::vector<float> ours = decoded(type, encoded(scalar(), type, source, 1024), source.size());
    for (std::size_t row = 0; row < 16; ++row) {
      const std::size_t at = row * 1024;
      const double our_rmse = std::sqrt(squared_error(&ours[at], &source[at], 1024) / 1024);
      const double their_rmse = std::sqrt(squared_error(&theirs[at], &source[at], 1024) / 1024);
      EXPECT_LE(our_rmse, 1.005 * their_rmse) << name(type) << ", row " << row;
    }
  }
}

TEST(Quantize, EveryInstructionSetWritesTheSameBytes) {
  for (const DType type : test::weight_types()) {
    for (const std::size_t n_cols : {256U, 768U, 2304U}) {  // one, three and nine super-blocks: odd groups
      const std::vector<float> values = awkward_rows(11, n_cols, 5);
      std::vector<float> importance = random_floats(n_cols, 9);
      for (float& x : importance) x = x * x;
      importance[3] = 0;
      for (const float* weights :
           {static_cast<const float*>(nullptr), static_cast<const float*>(importance.data())}) {
        const std::vector<std::byte> expected = encoded(scalar(), type, values, n_cols, weights);
        for (const Isa isa : supported_isas()) {
          EXPECT_EQ(encoded(quantize_kernels(isa), type, values, n_cols, weights), expected)
              << name(type) << ", " << name(isa) << ", " << n_cols
              << (weights != nullptr ? ", weighted" : "");
        }
      }
    }
  }
}

TEST(Quantize, ARowsBytesDoNotDependOnItsNeighbours) {
  constexpr std::size_t kCols = 768;
  const std::vector<float> values = awkward_rows(10, kCols, 6);
  std::vector<float> importance = random_floats(kCols, 2);
  for (float& x : importance) x = std::fabs(x);
  for (const DType type : block_types()) {
    for (const float* weights :
         {static_cast<const float*>(nullptr), static_cast<const float*>(importance.data())}) {
      std::vector<std::byte> one_by_one;
      for (std::size_t row = 0; row < 10; ++row) {
        const std::vector<float> alone(values.begin() + static_cast<std::ptrdiff_t>(row * kCols),
                                       values.begin() + static_cast<std::ptrdiff_t>((row + 1) * kCols));
        const std::vector<std::byte> bytes = encoded(scalar(), type, alone, kCols, weights);
        one_by_one.insert(one_by_one.end(), bytes.begin(), bytes.end());
      }
      EXPECT_EQ(encoded(scalar(), type, values, kCols, weights), one_by_one) << name(type);
    }
  }
}

TEST(Quantize, SmallBlocksByHand) {
  std::vector<float> x(32, 0.0F);
  x[0] = -8;
  x[1] = 7;
  x[17] = 3.4F;
  std::vector<std::byte> q4 = encoded(scalar(), DType::kQ4_0, x, 32);
  EXPECT_EQ(q4[0], std::byte{0x00});  // 1.0
  EXPECT_EQ(q4[1], std::byte{0x3c});
  EXPECT_EQ(q4[2], std::byte{0x80});      // codes 0 and 8
  EXPECT_EQ(q4[2 + 1], std::byte{0xbf});  // codes 15 and 11
  x[0] = -254;
  x[1] = 3;  // 1.5 steps: away from zero
  x[2] = -3;
  x[17] = 0.9F;
  std::vector<std::byte> q8 = encoded(scalar(), DType::kQ8_0, x, 32);
  EXPECT_EQ(q8[1], std::byte{0x40});  // 2.0
  EXPECT_EQ(static_cast<std::int8_t>(q8[2]), -127);
  EXPECT_EQ(static_cast<std::int8_t>(q8[3]), 2);
  EXPECT_EQ(static_cast<std::int8_t>(q8[4]), -2);
  EXPECT_EQ(static_cast<std::int8_t>(q8[2 + 17]), 0);
  // Of extremes alike, the first decides the sign of the scale.
  std::vector<float> alike(32, 0.0F);
  alike[4] = 8;
  alike[9] = -8;
  q4 = encoded(scalar(), DType::kQ4_0, alike, 32);
  EXPECT_EQ(q4[1], std::byte{0xbc});
}

TEST(Quantize, WhatABlockCanHoldComesBack) {
  // Numbers that lie on the grid of some scales come back nearly exactly.
  std::mt19937 random(3);
  for (const DType type : block_types()) {
    const int levels = type == DType::kQ2_K ? 4 : type == DType::kQ3_K ? 8 : type == DType::kQ5_1 ? 32 : 16;
    if (type == DType::kIQ4_NL || type == DType::kIQ4_XS) continue;
    std::vector<float> values(2048);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const int code = static_cast<int>(random() % static_cast<unsigned>(levels)) - levels / 2;
      values[i] = static_cast<float>(i % 16 == 0   ? -levels / 2
                                     : i % 16 == 1 ? levels / 2 - 1
                                                   : code) *
                  0.125F;
    }
    const std::vector<float> back = decoded(type, encoded(scalar(), type, values, 2048), values.size());
    EXPECT_LT(rmse(back, values), type == DType::kQ2_K ? 0.008 : 0.004) << name(type);
  }
}

// Errors of normal numbers in units of their deviation: what the bits allow, not merely "small".
TEST(Quantize, ErrorsOfNormalNumbers) {
  const std::vector<float> values = random_floats(64 * 1024, 11);
  const std::vector<std::pair<DType, double>> limits = {
      {DType::kQ8_0, 0.0057},  {DType::kQ6_K, 0.0172},  {DType::kQ5_K, 0.036}, {DType::kQ5_1, 0.042},
      {DType::kQ5_0, 0.044},   {DType::kQ4_K, 0.0735},  {DType::kQ4_1, 0.087}, {DType::kQ4_0, 0.092},
      {DType::kIQ4_NL, 0.076}, {DType::kIQ4_XS, 0.077}, {DType::kQ3_K, 0.144}, {DType::kQ2_K, 0.285}};
  for (const auto& [type, limit] : limits) {
    const double error = rmse(decoded(type, encoded(scalar(), type, values, 1024), values.size()), values);
    EXPECT_LT(error, limit) << name(type);
    EXPECT_GT(error, limit / 1.5) << name(type) << ": the limit is loose";
  }
}

TEST(Quantize, ImportanceMovesErrorsToWhereTheyMatterLess) {
  constexpr std::size_t kCols = 1024;
  const std::vector<float> values = random_floats(32 * kCols, 12);
  std::vector<float> importance(kCols);
  for (std::size_t i = 0; i < kCols; ++i) importance[i] = i % 7 == 0 ? 10.0F : 0.1F;
  std::vector<float> weights;
  for (int row = 0; row < 32; ++row) weights.insert(weights.end(), importance.begin(), importance.end());
  for (const DType type : block_types()) {
    if (type == DType::kQ8_0) continue;
    const std::vector<float> plain = decoded(type, encoded(scalar(), type, values, kCols), values.size());
    const std::vector<float> aware =
        decoded(type, encoded(scalar(), type, values, kCols, importance.data()), values.size());
    const double before = squared_error(plain.data(), values.data(), values.size(), weights.data());
    const double after = squared_error(aware.data(), values.data(), values.size(), weights.data());
    EXPECT_LT(after, 0.95 * before) << name(type);
    EXPECT_EQ(encoded(scalar(), DType::kQ8_0, values, kCols, importance.data()),
              encoded(scalar(), DType::kQ8_0, values, kCols));
  }
}

TEST(Quantize, EvenImportanceIsNearlyNone) {
  const std::vector<float> values = random_floats(16 * 512, 13);
  const std::vector<float> even(512, 3.0F);
  for (const DType type : block_types()) {
    const double plain = rmse(decoded(type, encoded(scalar(), type, values, 512), values.size()), values);
    const double weighted =
        rmse(decoded(type, encoded(scalar(), type, values, 512, even.data()), values.size()), values);
    EXPECT_LE(weighted, 1.002 * plain) << name(type);
  }
}

TEST(Quantize, ExtremeNumbersStayFinite) {
  const float subnormal = std::numeric_limits<float>::denorm_min();
  for (const float size : {0.0F, -0.0F, subnormal, 1e-38F, 1e-30F, 1e-12F, 6e-8F, 1e-4F, kLargestEncodable}) {
    for (const DType type : block_types()) {
      std::vector<float> values = random_floats(512, 17);
      for (float& x : values) x = size * std::fmax(-1.0F, std::fmin(1.0F, x));
      const std::vector<float> back = decoded(type, encoded(scalar(), type, values, 512), values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        ASSERT_TRUE(std::isfinite(back[i])) << name(type) << ", " << size;
        // Below half precision, zero is the best there is; the simple types round as ggml does.
        const float limit = std::fabs(size) >= 1e-4F ? 0.4F : is_searched(type) ? 1.0F : 2.0F;
        ASSERT_LE(std::fabs(back[i] - values[i]), limit * std::fabs(size)) << name(type) << ", " << size;
      }
    }
  }
}

TEST(Quantize, NumbersBelowHalfPrecisionStillCount) {
  // 1e-6 is below the smallest half that 63 of would reach it: the unit is subnormal, the integers carry the
  // rest.
  std::vector<float> values = random_floats(1024, 18);
  for (float& x : values) x *= 1e-6F;
  for (const DType type : {DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kQ3_K, DType::kIQ4_XS}) {
    const std::vector<float> back = decoded(type, encoded(scalar(), type, values, 1024), values.size());
    EXPECT_LT(rmse(back, values), 0.25e-6) << name(type);
  }
}

TEST(Quantize, HalvesWidenAndNarrowLikeTheDecoder) {
  std::vector<std::byte> stored(2 * 65536 + 1);
  for (std::size_t i = 0; i < 65536; ++i) {
    const auto half = static_cast<std::uint16_t>(i);
    std::memcpy(stored.data() + 1 + 2 * i, &half, 2);  // unaligned
  }
  std::vector<float> expected(65536);
  std::vector<float> actual(65536);
  const std::vector<float> all = random_floats(4099, 21);
  for (const Isa isa : supported_isas()) {
    const QuantizeKernels& kernels = quantize_kernels(isa);
    decode_row(DType::kF16, stored.data() + 1, 65536, expected.data());
    kernels.widen_f16(stored.data() + 1, 65536, actual.data());
    for (std::size_t i = 0; i < 65536; ++i) {
      if (std::isnan(expected[i])) {
        ASSERT_TRUE(std::isnan(actual[i])) << i;
      } else {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(actual[i]), std::bit_cast<std::uint32_t>(expected[i])) << i;
      }
    }
    decode_row(DType::kBF16, stored.data() + 1, 65536, expected.data());
    kernels.widen_bf16(stored.data() + 1, 65536, actual.data());
    EXPECT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)), 0) << name(isa);
    for (const DType type : {DType::kF16, DType::kBF16}) {
      std::vector<float> values = all;
      values[0] = std::numeric_limits<float>::quiet_NaN();
      values[1] = std::numeric_limits<float>::infinity();
      values[2] = 1e-8F;
      values[3] = 65520.0F;
      const std::vector<std::byte> bytes = encoded(kernels, type, values, values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        std::uint16_t half;
        std::memcpy(&half, bytes.data() + 2 * i, 2);
        ASSERT_EQ(half, type == DType::kF16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]))
            << i << name(isa);
      }
    }
  }
}

TEST(Quantize, LargestMagnitudeSeesWhatIsNoNumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Isa isa : supported_isas()) {
    const QuantizeKernels& kernels = quantize_kernels(isa);
    EXPECT_EQ(kernels.largest_magnitude(nullptr, 0), 0.0F);
    for (const std::size_t n : {1U, 15U, 16U, 17U, 100U}) {
      for (std::size_t at = 0; at < n; ++at) {
        std::vector<float> values(n, -1.5F);
        EXPECT_EQ(kernels.largest_magnitude(values.data(), n), 1.5F);
        for (const float odd : {nan, -nan, infinity, -infinity}) {
          values[at] = odd;
          ASSERT_EQ(kernels.largest_magnitude(values.data(), n), infinity)
              << n << ", " << at << ", " << name(isa);
        }
      }
    }
  }
}

TEST(Quantize, KnowsEveryTypeItCanDecode) {
  for (const DType type : test::weight_types()) EXPECT_TRUE(can_encode(type));
  EXPECT_FALSE(can_encode(DType::kI8));
}

}  // namespace
}  // namespace exa
