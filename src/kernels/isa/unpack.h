// One row's weights out of layout P16, for code that has no lanes: row look-up and the scalar kernels.
//
// Ownership and threads: pure functions over borrowed memory.
// Source: isa/lanes.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/matrix.h"

namespace exa {

// A weight is q · scale[k / 16] - min.
struct LaneBlock {
  int q[32];       // in ascending k, zero point subtracted
  float scale[2];  // of the first and second 16 k; d · sc for K-quants, exact
  float min;       // dmin · m, exact; 0 for types without
};

// 32-block `block` of lane `row` of a packed row block (types Q4_0, Q8_0, Q4_K, Q5_K, Q6_K).
LaneBlock lane_block(DType type, const std::byte* row_block, int row, std::int64_t block);
// Weight k of lane `row` (types F32, F16, BF16).
float lane_value(DType type, const std::byte* row_block, int row, std::int64_t k);

}  // namespace exa
