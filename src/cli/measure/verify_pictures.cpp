#include "cli/measure/verify_pictures.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "formats/arrays.h"
#include "images/image.h"

namespace exa {
namespace {

// The numbers of the pictures that a prompt shows; none where it shows none.
std::vector<int> picture_numbers(std::string_view case_name) {
  constexpr std::string_view kPrefix = "image";
  if (case_name == "two_images") return {0, 1};
  if (!case_name.starts_with(kPrefix)) return {};
  case_name.remove_prefix(kPrefix.size());
  int number = 0;
  const auto [end, error] = std::from_chars(case_name.data(), case_name.data() + case_name.size(), number);
  if (error != std::errc() || end != case_name.data() + case_name.size() || number < 0) return {};
  return {number};
}

VisionInput read_picture(const std::filesystem::path& path, const VisionConfig& config) {
  const std::string where = path.string();
  const std::string file = read_text_file(path, ImageLimits{}.max_file_bytes);
  const auto bytes = std::as_bytes(std::span(file));
  return vision_input(decode_image(bytes, read_image_header(bytes, {}, where), where), config, where);
}

VisionInput read_video(const Checkpoint& reference, const TensorInfo& info, const VisionConfig& config) {
  const std::string where = reference.path().string() + ", array " + info.name;
  if (info.type != DType::kU8 || info.shape.size() != 4 || info.shape[3] != 3 || info.n_bytes == 0) {
    throw Error(ErrorKind::kBadInput, "expected U8 [frames, height, width, 3]", where);
  }
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(info.n_bytes));
  reference.read(info, 0, std::as_writable_bytes(std::span(pixels)));
  const auto height = static_cast<std::int64_t>(info.shape[1]);
  const auto width = static_cast<std::int64_t>(info.shape[2]);
  std::vector<Image> frames;
  for (auto at = pixels.begin(); at < pixels.end(); at += 3 * width * height) {
    frames.push_back({width, height, {at, at + 3 * width * height}});
  }
  return vision_input(std::move(frames), config, where);
}

std::vector<float> stated(const Checkpoint& reference, const std::string& array) {
  return reference.find(array) ? read_f32(reference, array) : std::vector<float>();
}

PictureCase read_case(const Checkpoint& reference, std::string name, std::vector<VisionInput> inputs) {
  if (reference.find(name + ".grid_thw")) {
    const std::vector<std::int32_t> grid = read_i32(reference, name + ".grid_thw");
    if (grid.size() != 3 || inputs.size() != 1 || inputs[0].grid != VisionGrid{grid[0], grid[1], grid[2]}) {
      throw Error(ErrorKind::kBadInput, "the picture's grid is another, expected the reference's",
                  reference.path().string() + ", array " + name + ".grid_thw");
    }
  }
  PictureCase picture_case;
  picture_case.pixel_values = stated(reference, name + ".pixel_values");
  picture_case.embeds = stated(reference, name + ".embeds");
  picture_case.inputs = std::move(inputs);
  picture_case.name = std::move(name);
  return picture_case;
}

double larger(double worst, float a, float b) {
  const double delta = std::abs(static_cast<double>(a) - static_cast<double>(b));
  return std::isfinite(delta) ? std::max(worst, delta) : std::numeric_limits<double>::infinity();
}

double pixel_values_max_abs(const PictureCase& expected, const VisionConfig& config) {
  double worst = 0;
  std::size_t at = 0;
  std::vector<float> values(static_cast<std::size_t>(config.patch_values()));
  for (const VisionInput& input : expected.inputs) {
    const Patches patches(input, config);
    for (std::int64_t p = 0; p < input.grid.n_patches(); ++p) {
      if (expected.pixel_values.size() - at < values.size()) return std::numeric_limits<double>::infinity();
      patches.read(p, values.data());
      for (const float value : values) worst = larger(worst, value, expected.pixel_values[at++]);
    }
  }
  return at == expected.pixel_values.size() ? worst : std::numeric_limits<double>::infinity();
}

}  // namespace

bool shows_pictures(std::string_view case_name) {
  return !picture_numbers(case_name).empty();
}

std::vector<PictureCase> read_picture_cases(const Checkpoint& reference, const std::filesystem::path& images,
                                            const VisionConfig& config) {
  std::vector<PictureCase> cases;
  for (const TensorInfo& tensor : reference.tensors()) {
    constexpr std::string_view kIds = ".ids";
    constexpr std::string_view kFrames = ".frames_u8";
    const std::string name = tensor.name.substr(0, tensor.name.find('.'));
    std::vector<VisionInput> inputs;
    if (tensor.name == name + std::string(kFrames)) {
      inputs.push_back(read_video(reference, tensor, config));
    } else if (tensor.name == name + std::string(kIds)) {
      for (const int number : picture_numbers(name)) {
        inputs.push_back(read_picture(images / (std::to_string(number) + ".png"), config));
      }
    }
    if (!inputs.empty()) cases.push_back(read_case(reference, name, std::move(inputs)));
  }
  return cases;
}

TowerDifference compare_tower(const PictureCase& expected, std::span<const std::vector<float>> embeds,
                              const VisionConfig& config) {
  TowerDifference difference;
  if (!expected.pixel_values.empty())
    difference.pixel_values_max_abs = pixel_values_max_abs(expected, config);
  double errors = 0;
  double squares = 0;
  std::size_t at = 0;
  for (const std::vector<float>& rows : embeds) {
    if (expected.embeds.size() - at < rows.size()) break;
    for (const float value : rows) {
      const float wanted = expected.embeds[at++];
      difference.max_abs = larger(difference.max_abs, value, wanted);
      const double delta = static_cast<double>(value) - static_cast<double>(wanted);
      errors += delta * delta;
      squares += static_cast<double>(wanted) * static_cast<double>(wanted);
    }
  }
  difference.relative_rms = std::sqrt(errors / squares);
  if (at != expected.embeds.size() || !std::isfinite(difference.relative_rms)) {
    difference.max_abs = difference.relative_rms = std::numeric_limits<double>::infinity();
  }
  return difference;
}

}  // namespace exa
