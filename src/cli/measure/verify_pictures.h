// The cases of a reference that show pictures: the tower's rows, and prompts that hold them.
//
// Cases: imageK shows picture K, two_images shows pictures 0 and 1, video its frames_u8. Ownership and
// threads: values; pure functions. Source: the arrays that tools/reference writes from transformers' outputs.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "model/vision.h"

namespace exa {

struct PictureCase {
  std::string name;
  std::vector<VisionInput> inputs;
  std::vector<float> pixel_values;  // of all inputs; empty: the reference does not say
  std::vector<float> embeds;        // of all inputs; empty: the reference does not say
};

bool shows_pictures(std::string_view case_name);

// Pictures are images/0.png, images/1.png, … Errors: kIo for a missing one, those of decode_image; kBadInput
// where a grid differs from the reference's.
std::vector<PictureCase> read_picture_cases(const Checkpoint& reference, const std::filesystem::path& images,
                                            const VisionConfig& config);

// How far the tower is from a case: NaN and differing sizes count as infinite.
struct TowerDifference {
  double pixel_values_max_abs = 0;
  double max_abs = 0;
  double relative_rms = 0;
};
TowerDifference compare_tower(const PictureCase& expected, std::span<const std::vector<float>> embeds,
                              const VisionConfig& config);

}  // namespace exa
