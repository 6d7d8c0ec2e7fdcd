// A weight matrix in the order in which kernels read it: 16 rows side by side, one row a lane (layout "P16").
//
// A row block is 16 consecutive rows as one contiguous stream over k; dword lane n of every 64-byte line
// belongs to row n. Byte counts equal the stored format's. One layout serves every instruction set and batch
// width. Types without lanes of their own keep their stored rows and are decoded into an fp32 panel on use.
// Ownership and threads: a Matrix owns its bytes and is immutable after packing.
// Source: kernels specification 3.1.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/memory.h"

namespace exa {

inline constexpr std::int64_t kRowBlock = 16;  // rows a row block

struct Matrix {
  DType type = DType::kF32;  // kF32, kF16, kBF16, kQ4_0, kQ8_0, kQ4_K, kQ5_K, kQ6_K in lanes, others as rows
  std::int64_t n_rows = 0;   // outputs; the last row block is padded with zero rows
  std::int64_t n_cols = 0;   // inputs (k)
  std::size_t row_block_bytes = 0;
  Buffer bytes;

  std::int64_t n_row_blocks() const { return (n_rows + kRowBlock - 1) / kRowBlock; }
  const std::byte* row_block(std::int64_t index) const {
    return bytes.data() + static_cast<std::size_t>(index) * row_block_bytes;
  }
};

// True where the type has a P16 lane layout.
bool has_lanes(DType type);
// True where a weight of this type multiplies int8 activations.
bool uses_int8_activations(DType type);
// Bytes of one packed row block (16 rows) of n_cols. Errors: kUnsupported where n_cols does not suit the
// type.
std::size_t row_block_bytes(DType type, std::int64_t n_cols);

// Packs 16 rows (stored order, `stored_row_bytes` apart; rows >= n_valid_rows are zero) into one row block.
void pack_row_block(DType type, std::int64_t n_cols, const std::byte* rows, std::size_t stored_row_bytes,
                    int n_valid_rows, std::byte* row_block);
// One row of a packed matrix back as fp32 [n_cols], exactly the values of the stored format.
void unpack_row(const Matrix& matrix, std::int64_t row, float* out);

}  // namespace exa
