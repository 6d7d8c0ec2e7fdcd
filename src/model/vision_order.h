// The order in which the tower computes patches: window by window, so that each window and each frame is a
// run of rows; and where each cell belongs in the output.
//
// Ownership and threads: a value.
// Source: exaone-models specification 4.2 (window partition).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "model/vision_input.h"

namespace exa {

struct VisionOrder {
  struct Cell {
    std::int64_t input;
    std::int64_t index;  // among the input's cells: frame pair, row, column
    std::int64_t row;    // of the cell in its frame
    std::int64_t column;
  };
  std::vector<Cell> cells;  // in the order of computation; cell i is rows [i · patches_a_cell, …)
  std::vector<AttentionSegment> windows;  // all rows, ascending
  std::vector<AttentionSegment> frames;   // all rows, ascending
};

VisionOrder vision_order(std::span<const VisionInput> inputs, const VisionConfig& config);

}  // namespace exa
