#include "model/vision_order.h"

#include <algorithm>

namespace exa {
namespace {

// Calls f(row, column) for the cells of one window, clipped at the frame's edge.
template <typename F>
void for_window(std::int64_t top, std::int64_t left, std::int64_t side, std::int64_t rows,
                std::int64_t columns, F&& f) {
  for (std::int64_t row = top; row < std::min(top + side, rows); ++row) {
    for (std::int64_t column = left; column < std::min(left + side, columns); ++column) f(row, column);
  }
}

}  // namespace

VisionOrder vision_order(std::span<const VisionInput> inputs, const VisionConfig& config) {
  const std::int64_t side = config.cells_a_window();
  const std::int64_t patches = config.patches_a_cell();
  VisionOrder order;
  const auto n_rows = [&] { return static_cast<std::int64_t>(order.cells.size()) * patches; };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const VisionGrid& grid = inputs[i].grid;
    const std::int64_t rows = grid.h / config.merge;
    const std::int64_t columns = grid.w / config.merge;
    for (std::int64_t t = 0; t < grid.t; ++t) {
      const std::int64_t frame = n_rows();
      for (std::int64_t top = 0; top < rows; top += side) {
        for (std::int64_t left = 0; left < columns; left += side) {
          const std::int64_t window = n_rows();
          for_window(top, left, side, rows, columns, [&](std::int64_t row, std::int64_t column) {
            const std::int64_t index = (t * rows + row) * columns + column;
            order.cells.push_back({static_cast<std::int64_t>(i), index, row, column});
          });
          order.windows.push_back({window, n_rows() - window});
        }
      }
      order.frames.push_back({frame, n_rows() - frame});
    }
  }
  return order;
}

}  // namespace exa
