// Stored weight rows for tests: random bytes that are valid blocks of a type, and the matrices packed from
// them.
//
// Ownership and threads: values; single-threaded.
// Source: block layouts of kernels/quant.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/matrix.h"
#include "kernels/quant.h"

namespace exa::test {

struct StoredRows {
  DType type;
  std::int64_t n_rows, n_cols;
  std::size_t bytes_per_row;
  std::vector<std::byte> bytes;

  const std::byte* row(std::int64_t i) const {
    return bytes.data() + static_cast<std::size_t>(i) * bytes_per_row;
  }
};

// Byte offsets of the f16 scales inside a block.
inline std::vector<std::size_t> scale_offsets(DType type) {
  switch (type) {
    case DType::kQ4_0:
    case DType::kQ5_0:
    case DType::kQ8_0:
    case DType::kIQ4_NL:
    case DType::kIQ4_XS:
      return {0};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ6_K:
      return {208};
    default:
      return {};
  }
}

// Row 1 is zero where there is one; row 2 has subnormal scales; the others scales around 0.01 with both
// signs.
inline StoredRows random_rows(DType type, std::int64_t n_rows, std::int64_t n_cols, unsigned seed) {
  std::mt19937 random(seed);
  StoredRows out{type, n_rows, n_cols, row_bytes(type, static_cast<std::uint64_t>(n_cols)), {}};
  out.bytes.resize(static_cast<std::size_t>(n_rows) * out.bytes_per_row);
  std::normal_distribution<float> normal;
  const DTypeTraits& t = traits(type);
  for (std::int64_t r = 0; r < n_rows; ++r) {
    std::byte* row = out.bytes.data() + static_cast<std::size_t>(r) * out.bytes_per_row;
    if (r == 1) continue;
    const float magnitude = r == 2 ? 1e-7F : 0.01F;
    if (t.block_size == 1) {
      for (std::size_t k = 0; k < static_cast<std::size_t>(n_cols); ++k) {
        const float value = normal(random) * magnitude;
        const std::uint16_t half = type == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
        if (type == DType::kF32)
          std::memcpy(row + 4 * k, &value, 4);
        else
          std::memcpy(row + 2 * k, &half, 2);
      }
      continue;
    }
    for (std::size_t i = 0; i < out.bytes_per_row; ++i) row[i] = static_cast<std::byte>(random() & 255);
    for (std::size_t block = 0; block < out.bytes_per_row; block += t.block_bytes) {
      for (std::size_t offset : scale_offsets(type)) {
        const std::uint16_t half = f32_to_f16(normal(random) * magnitude);
        std::memcpy(row + block + offset, &half, 2);
      }
    }
  }
  return out;
}

inline Matrix pack(const StoredRows& rows) {
  Matrix m;
  m.type = rows.type;
  m.n_rows = rows.n_rows;
  m.n_cols = rows.n_cols;
  m.row_block_bytes = row_block_bytes(rows.type, rows.n_cols);
  m.bytes = Buffer(static_cast<std::size_t>(m.n_row_blocks()) * m.row_block_bytes);
  for (std::int64_t b = 0; b < m.n_row_blocks(); ++b) {
    pack_row_block(rows.type, rows.n_cols, rows.row(b * kRowBlock), rows.bytes_per_row,
                   static_cast<int>(std::min(kRowBlock, rows.n_rows - b * kRowBlock)),
                   m.bytes.data() + static_cast<std::size_t>(b) * m.row_block_bytes);
  }
  return m;
}

inline const std::vector<DType>& weight_types() {
  static const std::vector<DType> types = {DType::kF32,  DType::kF16,    DType::kBF16,  DType::kQ4_0,
                                           DType::kQ4_1, DType::kQ5_0,   DType::kQ5_1,  DType::kQ8_0,
                                           DType::kQ2_K, DType::kQ3_K,   DType::kQ4_K,  DType::kQ5_K,
                                           DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS};
  return types;
}

}  // namespace exa::test
