// A picture as the vision tower takes it: stretched to whole cells, then cut into patches of normalized
// values.
//
// Sizes follow transformers' smart_resize (half-to-even rounding), the resampling is Pillow's antialiased
// bicubic with its fixed-point coefficients, bit for bit. No letterbox: both axes are stretched. Ownership
// and threads: values; pure functions. Source: exaone-models specification 4.1, 4.4; Pillow's resampling
// (22-bit coefficients, uint8 between the passes).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "images/image.h"
#include "model/vision_config.h"

namespace exa {

// How many patches a picture becomes: frames (pairs of them), rows, columns.
struct VisionGrid {
  std::int64_t t = 0;
  std::int64_t h = 0;
  std::int64_t w = 0;

  std::int64_t n_patches() const { return t * h * w; }
  bool operator==(const VisionGrid&) const = default;
};

// Tokens of the text model that the grid becomes.
inline std::int64_t n_vision_tokens(const VisionGrid& grid, const VisionConfig& config) {
  return grid.n_patches() / config.patches_a_cell();
}

// The grid of a picture of width x height pixels. Errors: kBadInput where one side is over 200 times the
// other.
VisionGrid image_grid(std::int64_t width, std::int64_t height, const VisionConfig& config,
                      const std::string& where);

// The picture stretched to width x height (each at least 1), as Pillow's resize(…, BICUBIC) does.
Image resize_bicubic(const Image& image, std::int64_t width, std::int64_t height);

// One picture, or the frames of one video: all of grid.h x grid.w patches; 1 frame, or 2 grid.t of them.
struct VisionInput {
  VisionGrid grid;
  std::vector<Image> frames;
};

// Resizes to the grid's size. Errors: as image_grid.
VisionInput vision_input(Image image, const VisionConfig& config, const std::string& where);
// Frames of one size, in time; an odd one at the end is doubled. Errors: kBadInput where sizes differ or
// there are none; as image_grid.
VisionInput vision_input(std::vector<Image> frames, const VisionConfig& config, const std::string& where);

// Values of patches [first, first + n) in the tower's order: for each frame pair, cell row, cell column, the
// cell's patches row by row. out [n, patch_values]: channel, frame of the pair, row, column.
class Patches {
 public:
  Patches(const VisionInput& input, const VisionConfig& config);
  void read(std::int64_t patch, float* out) const;  // one patch

 private:
  const VisionInput& input_;
  std::int64_t patch_px_;
  std::int64_t merge_;
  std::vector<float> normalized_;  // [3, 256]
};

}  // namespace exa
