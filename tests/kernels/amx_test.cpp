// The tiles of bf16 without the registers: everything but the tile instructions, with a scalar model in their
// place.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/isa/isa.h"
#include "kernels/isa/matmul_amx.h"
#include "kernels/isa_under_test.h"
#include "kernels/random_weights.h"
#include "kernels/tile_calls.h"
#include "sanitized.h"

namespace exa {
namespace {

float bf16_at(const std::byte* p) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, p, 2);
  return bf16_to_f32(bits);
}

// TDPBF16PS as Intel's manual writes it, on the four C tiles: C[m][n] += A[m][2k + i] · B[k][2n + i].
void multiply_scalar(const std::byte* a, const std::byte* b, std::int64_t n_steps, float* c) {
  std::fill_n(c, 4 * 256, 0.0F);
  for (std::int64_t step = 0; step < n_steps; ++step) {
    for (int tile = 0; tile < 4; ++tile) {
      const std::byte* a_tile = a + (step * 2 + tile / 2) * 1024;
      const std::byte* b_tile = b + (step * 2 + tile % 2) * 1024;
      for (int m = 0; m < 16; ++m) {
        for (int k = 0; k < 16; ++k) {
          for (int n = 0; n < 16; ++n) {
            for (int i = 0; i < 2; ++i) {
              c[tile * 256 + m * 16 + n] +=
                  bf16_at(a_tile + m * 64 + (2 * k + i) * 2) * bf16_at(b_tile + k * 64 + (2 * n + i) * 2);
            }
          }
        }
      }
    }
  }
}

void multiply_wrongly(const std::byte* a, const std::byte* b, std::int64_t n_steps, float* c) {
  multiply_scalar(b, a, n_steps, c);
}

class TilesTest : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    __builtin_cpu_init();
    if (!is_supported(Isa::kAvx512) || __builtin_cpu_supports("avx512bf16") == 0) {
      GTEST_SKIP() << "this machine lacks AVX512-BF16";
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Types, TilesTest,
                         ::testing::Values(DType::kQ4_0, DType::kQ8_0, DType::kQ4_K, DType::kQ5_K,
                                           DType::kQ6_K, DType::kBF16, DType::kF16),
                         [](const auto& type) { return std::string(name(type.param)); });

void multiply_in_model(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                       const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                       std::int64_t y_stride, std::byte* scratch) {
  multiply_in_tiles(multiply_scalar, weight, first_block, last_block, activations, stride, n_tokens, y,
                    y_stride, scratch);
}

TEST_P(TilesTest, WeightsAndActivationsRoundToBf16AndNothingElse) {
  const auto rounded = [](float value) { return bf16_to_f32(f32_to_bf16(value)); };
  const bool pairs = traits(GetParam()).block_size == 1;
  for (std::int64_t n_cols :
       pairs ? std::vector<std::int64_t>{1, 5, 96, 2085} : std::vector<std::int64_t>{256, 2304}) {
    for (std::int64_t n_rows : {1, 17, 40}) {
      constexpr std::int64_t kTokens = 37;
      const test::StoredRows rows = test::random_rows(GetParam(), n_rows, n_cols, 31);
      const Matrix w = test::pack(rows);
      const std::vector<float> x = random_floats(static_cast<std::size_t>(kTokens * n_cols), 32);
      const std::vector<float> y = test::multiply(multiply_in_model, w, x, kTokens, kTokens, 1 << 20);
      std::vector<float> values(static_cast<std::size_t>(n_cols));
      for (std::int64_t r = 0; r < n_rows; ++r) {
        decode_row(GetParam(), rows.row(r), values.size(), values.data());
        for (std::int64_t t = 0; t < kTokens; ++t) {
          double expected = 0;
          double magnitude = 1e-30;
          for (std::size_t k = 0; k < values.size(); ++k) {
            const double product = static_cast<double>(rounded(values[k])) *
                                   static_cast<double>(rounded(x[static_cast<std::size_t>(t * n_cols) + k]));
            expected += product;
            magnitude += std::fabs(product);
          }
          const double found = static_cast<double>(y[static_cast<std::size_t>(t * n_rows + r)]);
          ASSERT_LE(std::fabs(found - expected), 1e-5 * magnitude)
              << n_rows << 'x' << n_cols << ", row " << r << ", token " << t;
        }
      }
    }
  }
}

TEST_P(TilesTest, RowsDoNotDependOnTheirNeighboursOrTheSplit) {
  const Matrix w = test::pack(test::random_rows(GetParam(), 72, 256, 33));
  constexpr std::int64_t kTokens = test::kSanitized ? 70 : 300;
  const std::vector<float> x = random_floats(kTokens * 256, 34);
  const std::vector<float> together = test::multiply(multiply_in_model, w, x, kTokens, kTokens, 1 << 20);
  for (std::int64_t tokens : {1, 33, 256})
    EXPECT_EQ(test::multiply(multiply_in_model, w, x, kTokens, tokens, 1 << 20), together) << tokens;
  for (std::int64_t blocks : {1, 3})
    EXPECT_EQ(test::multiply(multiply_in_model, w, x, kTokens, kTokens, blocks), together) << blocks;
}

TEST(Tiles, TheCheckTellsRightFromWrong) {
  if (!is_supported(Isa::kAvx512)) GTEST_SKIP() << "this machine lacks AVX-512";
  EXPECT_TRUE(multiplies_tiles(multiply_scalar));
  EXPECT_FALSE(multiplies_tiles(multiply_wrongly));
}

TEST(Tiles, TheRegistersMultiply) {
  if (!is_supported(Isa::kAmx)) GTEST_SKIP() << "this machine lacks AMX";
  EXPECT_TRUE(amx_works());
}

}  // namespace
}  // namespace exa
