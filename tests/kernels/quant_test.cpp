#include "kernels/quant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "kernels/golden_file.h"
#include "kernels/random_weights.h"

namespace exa {
namespace {

std::uint32_t bits(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

// The nearest half by search: the oracle of f32_to_f16.
std::uint16_t nearest_half(float value) {
  const double x = std::fabs(static_cast<double>(value));
  int best = 0;
  double best_error = std::numeric_limits<double>::infinity();
  for (int h = 0; h <= 0x7c00; ++h) {
    const double candidate =
        h == 0x7c00 ? 65536.0 : static_cast<double>(f16_to_f32(static_cast<std::uint16_t>(h)));
    const double error = std::fabs(candidate - x);
    if (error < best_error || (error == best_error && h % 2 == 0)) {
      best = h;
      best_error = error;
    }
  }
  return static_cast<std::uint16_t>(best | (std::signbit(value) ? 0x8000 : 0));
}

TEST(Half, EveryHalfSurvivesTheRoundTrip) {
  for (int h = 0; h < 65536; ++h) {
    const auto half = static_cast<std::uint16_t>(h);
    const float value = f16_to_f32(half);
    if ((h & 0x7c00) == 0x7c00 && (h & 0x3ff) != 0) {
      EXPECT_TRUE(std::isnan(value)) << h;
      EXPECT_EQ(f32_to_f16(value), h | 0x200) << h;
    } else {
      EXPECT_EQ(f32_to_f16(value), half) << h;
    }
  }
  EXPECT_EQ(f16_to_f32(0x3c00), 1.0F);
  EXPECT_EQ(f16_to_f32(0x0001), 0x1p-24F);
  EXPECT_EQ(f16_to_f32(0x7bff), 65504.0F);
  EXPECT_EQ(bits(f16_to_f32(0x8000)), 0x80000000U);
  EXPECT_EQ(f16_to_f32(0xfc00), -std::numeric_limits<float>::infinity());
}

TEST(Half, RoundsToNearestEven) {
  std::vector<float> values = {65519.99F,       65520.0F,       65536.0F,       1e9F,     0x1p-25F,
                               0x1.000002p-25F, 0x1p-26F,       0x3p-25F,       0x5p-25F, 0x1.ffep-15F,
                               0x1.fffp-15F,    1.00048828125F, 1.00146484375F, -2049.0F};
  std::mt19937 random(7);
  for (int i = 0; i < 60; ++i) {
    const auto exponent = static_cast<std::uint32_t>(95 + random() % 50);
    values.push_back(
        std::bit_cast<float>((static_cast<std::uint32_t>(random()) & 0x807fffff) | exponent << 23));
  }
  for (float value : values) EXPECT_EQ(f32_to_f16(value), nearest_half(value)) << value;
}

TEST(Bfloat, RoundsToNearestEvenAndKeepsNan) {
  EXPECT_EQ(f32_to_bf16(1.0F), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000U)), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000U)), 0x3f82);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808001U)), 0x3f81);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7f7fffffU)), 0x7f80);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7f800001U)))));
  EXPECT_EQ(bits(bf16_to_f32(0x8001)), 0x80010000U);
}

TEST(DecodeRow, SmallBlocksByHand) {
  std::byte q4[18] = {};
  q4[1] = std::byte{0x40};  // d = 2
  q4[2] = std::byte{0xf0};  // k 0 is 0 - 8, k 16 is 15 - 8
  float out[32];
  decode_row(DType::kQ4_0, q4, 32, out);
  EXPECT_EQ(out[0], -16.0F);
  EXPECT_EQ(out[16], 14.0F);
  EXPECT_EQ(out[1], -16.0F);

  std::byte q8[34] = {};
  q8[1] = std::byte{0x3c};
  q8[2 + 31] = std::byte{0x80};
  decode_row(DType::kQ8_0, q8, 32, out);
  EXPECT_EQ(out[31], -128.0F);
  EXPECT_EQ(out[0], 0.0F);

  EXPECT_TRUE(can_decode(DType::kQ3_K));
  EXPECT_FALSE(can_decode(DType::kI32));
}

TEST(DecodeRow, BitEqualToGgufPy) {
  const std::filesystem::path path =
      std::filesystem::path(EXAONE_SHARED_DIR) / "golden/quant_blocks.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no golden data at " << path;
  const GoldenFile golden(path);
  int n_types = 0;
  for (DType type : test::weight_types()) {
    if (type == DType::kF32) continue;
    const std::vector<std::byte> blocks = golden.tensor(std::string(name(type)) + ".bytes");
    const std::vector<std::byte> expected = golden.tensor(std::string(name(type)) + ".values");
    ASSERT_FALSE(blocks.empty()) << name(type);
    const std::size_t n = expected.size() / sizeof(float);
    ASSERT_EQ(n, 16U * 1024U);
    ASSERT_EQ(blocks.size(), row_bytes(type, n)) << name(type);
    std::vector<float> values(n);
    decode_row(type, blocks.data(), n, values.data());
    EXPECT_EQ(std::memcmp(values.data(), expected.data(), expected.size()), 0) << name(type);
    ++n_types;
  }
  EXPECT_EQ(n_types, 14);
}

}  // namespace
}  // namespace exa
