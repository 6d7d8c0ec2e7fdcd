#include "model/vision_input.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
const fs::path kGolden = fs::path(EXAONE_SHARED_DIR) / "golden/images";

VisionConfig released_config() {
  VisionConfig config;
  config.patch_px = 14;
  config.merge = 2;
  config.window_px = 112;
  config.mean = {0.48145466F, 0.4578275F, 0.40821073F};
  config.std = {0.26862954F, 0.26130258F, 0.27577711F};
  config.min_pixels = 3136;
  config.max_pixels = 3211264;
  return config;
}

Image read_picture(const fs::path& path) {
  const FileReader reader(path);
  std::vector<std::byte> file(static_cast<std::size_t>(reader.size_bytes()));
  reader.read_at(0, file);
  return decode_image(file, read_image_header(file, {}, path.string()), path.string());
}

std::int64_t tokens(std::int64_t width, std::int64_t height) {
  const VisionConfig config = released_config();
  return n_vision_tokens(image_grid(width, height, config, "X"), config);
}

TEST(VisionInput, TokenCounts) {
  EXPECT_EQ(tokens(512, 512), 324);
  EXPECT_EQ(tokens(640, 480), 391);
  EXPECT_EQ(tokens(1920, 1080), 2691);
  EXPECT_EQ(tokens(100, 100), 16);
  EXPECT_EQ(tokens(1792, 1792), 4096);
  EXPECT_EQ(tokens(3000, 2000), 4056);
  EXPECT_EQ(tokens(2480, 3508), 4028);
  for (const std::int64_t side : {1, 10, 28, 42, 56, 70}) EXPECT_EQ(tokens(side, side), 4) << side;
  EXPECT_EQ(tokens(200, 1), tokens(1, 200));
}

TEST(VisionInput, RefusesLongStrips) {
  EXPECT_NO_THROW(tokens(200, 1));
  EXPECT_THROW(tokens(201, 1), Error);
  EXPECT_THROW(tokens(1, 201), Error);
  EXPECT_THROW(tokens(0, 5), Error);
}

TEST(VisionInput, LimitsOfTheCaller) {
  VisionConfig config = released_config();
  for (const std::int64_t most : {4, 64, 1000}) {
    config.max_pixels = most * 28 * 28;
    config.min_pixels = std::min<std::int64_t>(config.min_pixels, config.max_pixels);
    for (const auto& [width, height] : {std::pair{1920, 1080}, {2000, 1500}, {20, 20}, {999, 1500}}) {
      EXPECT_LE(n_vision_tokens(image_grid(width, height, config, "X"), config), most) << most;
    }
  }
}

TEST(VisionInput, ResizeKeepsFlatColoursAndSizes) {
  Image image{7, 5, std::vector<std::uint8_t>(7 * 5 * 3, 200)};
  const Image larger = resize_bicubic(image, 56, 28);
  EXPECT_EQ(larger.rgb, std::vector<std::uint8_t>(56 * 28 * 3, 200));
  const Image smaller = resize_bicubic(larger, 3, 2);
  EXPECT_EQ(smaller.rgb, std::vector<std::uint8_t>(3 * 2 * 3, 200));
}

// The order of the passes is Pillow's: noise of 6 x 9 pixels, each way.
TEST(VisionInput, ResizeOrderOfPasses) {
  Image image{6, 9, {}};
  for (int i = 0; i < 6 * 9 * 3; ++i) image.rgb.push_back(i * 7919 % 13 < 6 ? 0 : 255);
  const auto checksum = [&](std::int64_t width, std::int64_t height) {
    std::uint32_t sum = 0;
    for (const std::uint8_t sample : resize_bicubic(image, width, height).rgb) sum = sum * 31 + sample;
    return sum;
  };
  EXPECT_EQ(checksum(8, 4), 1715015381U);
  EXPECT_EQ(checksum(4, 8), 1560905061U);
  EXPECT_EQ(checksum(11, 13), 4289368236U);
}

// Patch order: cells row by row, in each its four patches; values: channel, frame, row, column.
TEST(VisionInput, PatchOrder) {
  VisionConfig config = released_config();
  config.mean = {0, 0, 0};
  config.std = {1.0F / 255, 1.0F / 255, 1.0F / 255};
  VisionInput input;
  input.grid = {1, 4, 4};
  for (int f = 0; f < 2; ++f) {
    Image frame{56, 56, {}};
    for (int y = 0; y < 56; ++y) {
      for (int x = 0; x < 56; ++x) {
        frame.rgb.push_back(static_cast<std::uint8_t>(y / 14 * 4 + x / 14));   // red: which patch
        frame.rgb.push_back(static_cast<std::uint8_t>(y % 14 * 14 + x % 14));  // green: where in it
        frame.rgb.push_back(static_cast<std::uint8_t>(100 + f));               // blue: which frame
      }
    }
    input.frames.push_back(frame);
  }
  const Patches patches(input, config);
  const int order[16] = {0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15};
  std::vector<float> values(static_cast<std::size_t>(config.patch_values()));
  for (int i = 0; i < 16; ++i) {
    patches.read(i, values.data());
    for (std::size_t k = 0; k < 196; ++k) {
      EXPECT_NEAR(values[k], order[i], 1e-4);
      EXPECT_NEAR(values[196 + k], order[i], 1e-4);
      EXPECT_NEAR(values[2 * 196 + k], static_cast<double>(k), 1e-4);
      EXPECT_NEAR(values[4 * 196 + k], 100, 1e-4);
      EXPECT_NEAR(values[5 * 196 + k], 101, 1e-4);
    }
  }
}

TEST(VisionInput, FramesOfAVideo) {
  const VisionConfig config = released_config();
  const Image frame{56, 84, std::vector<std::uint8_t>(56 * 84 * 3, 9)};
  const VisionInput three = vision_input(std::vector<Image>(3, frame), config, "X");
  EXPECT_EQ(three.grid, (VisionGrid{2, 6, 4}));
  EXPECT_EQ(three.frames.size(), 4U);
  EXPECT_THROW(vision_input(std::vector<Image>{}, config, "X"), Error);
  const Image other{56, 56, std::vector<std::uint8_t>(56 * 56 * 3, 9)};
  EXPECT_THROW(vision_input(std::vector<Image>{frame, other}, config, "X"), Error);
}

TEST(VisionInput, GoldenPictures) {
  if (!fs::exists(kGolden)) GTEST_SKIP() << "no golden data at " << kGolden;
  const VisionConfig config = released_config();
  const auto manifest = nlohmann::json::parse(read_text_file(kGolden / "manifest.json", 1 << 20));
  int n_errors = 0;
  for (const auto& entry : manifest) {
    const std::string file = entry["file"];
    const auto prepare = [&] { return vision_input(read_picture(kGolden / file), config, file); };
    if (entry.contains("error")) {
      ++n_errors;
      EXPECT_THROW(prepare(), Error) << file;
      continue;
    }
    const VisionInput input = prepare();
    const auto grid = entry["grid_thw"].get<std::vector<std::int64_t>>();
    EXPECT_EQ(input.grid, (VisionGrid{grid[0], grid[1], grid[2]})) << file;
    EXPECT_EQ(n_vision_tokens(input.grid, config), entry["n_image_tokens"].get<std::int64_t>()) << file;

    const Image expected = read_picture(kGolden / entry["resized"].get<std::string>());
    const Image& ours = input.frames.front();
    ASSERT_EQ(ours.rgb.size(), expected.rgb.size()) << file;
    const bool lossy = file.ends_with(".jpg") || file == "19-webp-103x75.webp";
    int most = 0;
    for (std::size_t i = 0; i < ours.rgb.size(); ++i) {
      most = std::max(most, std::abs(int{ours.rgb[i]} - int{expected.rgb[i]}));
    }
    EXPECT_LE(most, lossy ? 1 : 0) << file;

    std::vector<float> values(static_cast<std::size_t>(config.patch_values()));
    Patches(input, config).read(0, values.data());
    const auto first = entry["pixel_values_first_row_16"].get<std::vector<double>>();
    for (std::size_t i = 0; i < first.size(); ++i) {
      EXPECT_NEAR(values[i], first[i], lossy ? 0.016 : 2e-6) << file << " value " << i;
    }
  }
  EXPECT_EQ(n_errors, 5);
}

}  // namespace
}  // namespace exa
