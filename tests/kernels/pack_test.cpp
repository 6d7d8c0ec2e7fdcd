#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernels/random_weights.h"

namespace exa {
namespace {

TEST(RowBlockBytes, EqualTheStoredFormats) {
  for (DType type : test::weight_types()) {
    EXPECT_EQ(row_block_bytes(type, 512), 16 * row_bytes(type, 512)) << name(type);
  }
  // Half-filled units: K = 96 in units of 64, and the d line of an odd last Q6_K unit.
  EXPECT_EQ(row_block_bytes(DType::kQ4_0, 96), 2U * 576U);
  EXPECT_EQ(row_block_bytes(DType::kQ8_0, 32), 1088U);
  EXPECT_EQ(row_block_bytes(DType::kQ6_K, 768), 2U * 3328U + 64U + 3328U + 64U);
}

TEST(RowBlockBytes, RefusesColumnsThatDoNotSuit) {
  for (const auto& [type, n_cols] :
       {std::pair{DType::kQ4_K, 128}, {DType::kQ4_0, 48}, {DType::kF32, 0}, {DType::kQ6_K, -256}}) {
    try {
      row_block_bytes(type, n_cols);
      ADD_FAILURE() << name(type) << ' ' << n_cols;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    }
  }
}

TEST(Pack, UnpackRowGivesTheStoredValues) {
  for (DType type : test::weight_types()) {
    const std::int64_t block = traits(type).block_size;
    std::vector<std::int64_t> widths = {256, 512, 768};
    if (block == 32) widths = {32, 64, 96, 256};
    if (block == 1) widths = {1, 7, 32, 96};
    for (std::int64_t n_cols : widths) {
      for (std::int64_t n_rows : {1, 15, 16, 17, 40}) {
        const test::StoredRows rows = test::random_rows(type, n_rows, n_cols, 3);
        const Matrix matrix = test::pack(rows);
        ASSERT_EQ(matrix.n_row_blocks(), (n_rows + 15) / 16);
        std::vector<float> expected(static_cast<std::size_t>(n_cols));
        std::vector<float> found(expected.size());
        for (std::int64_t r = 0; r < n_rows; ++r) {
          decode_row(type, rows.row(r), expected.size(), expected.data());
          unpack_row(matrix, r, found.data());
          ASSERT_EQ(std::memcmp(found.data(), expected.data(), expected.size() * 4), 0)
              << name(type) << ' ' << n_rows << 'x' << n_cols << " row " << r;
        }
      }
    }
  }
}

TEST(Pack, LanesAreWhereTheLayoutSaysTheyAre) {
  // Q4_0, row 3, weights k: nibble t of line z, dword lane 3, holds k = 8z + t.
  std::vector<std::byte> rows(16 * 18);
  std::byte* row3 = rows.data() + 3 * 18;
  for (int j = 0; j < 16; ++j) row3[2 + j] = static_cast<std::byte>(j | (15 - j) << 4);
  std::vector<std::byte> block(576);
  pack_row_block(DType::kQ4_0, 32, rows.data(), 18, 16, block.data());
  const auto dword = [&](std::size_t line) {
    std::uint32_t value;
    std::memcpy(&value, block.data() + 64 * line + 12, 4);
    return value;
  };
  EXPECT_EQ(dword(0), 0x76543210U);
  EXPECT_EQ(dword(1), 0xfedcba98U);
  EXPECT_EQ(dword(2), 0x89abcdefU);
  EXPECT_EQ(dword(3), 0x01234567U);
  EXPECT_EQ(dword(4), 0U);
}

}  // namespace
}  // namespace exa
