#include "model/vision.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/threads.h"
#include "model/vision_order.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
const fs::path kGolden = fs::path(EXAONE_SHARED_DIR) / "golden/models/exaone4_5";

struct LoadedTower {
  LoadedTower(const fs::path& path, Precision precision, int n_threads = 2)
      : pool(n_threads),
        backend(make_cpu_backend(pool)),
        weights(load_vision_weights(Checkpoint::open(path), *backend, precision)),
        tower(weights, *backend) {}

  ThreadPool pool;
  std::unique_ptr<Backend> backend;
  VisionWeights weights;
  VisionTower tower;
};

VisionInput picture(const fs::path& path, const VisionConfig& config) {
  const FileReader reader(path);
  std::vector<std::byte> file(static_cast<std::size_t>(reader.size_bytes()));
  reader.read_at(0, file);
  return vision_input(decode_image(file, read_image_header(file, {}, "X"), "X"), config, "X");
}

template <typename T>
std::vector<T> array(const Checkpoint& file, const std::string& name) {
  const TensorInfo* const info = file.find(name);
  if (!info) throw Error(ErrorKind::kInternal, "no array " + name);
  std::vector<T> values(static_cast<std::size_t>(info->n_elements()));
  file.read(*info, 0, std::as_writable_bytes(std::span(values)));
  return values;
}

VisionInput video(const Checkpoint& reference, const VisionConfig& config) {
  const TensorInfo& info = *reference.find("video.frames_u8");
  const std::vector<std::uint8_t> pixels = array<std::uint8_t>(reference, "video.frames_u8");
  const auto height = static_cast<std::int64_t>(info.shape[1]);
  const auto width = static_cast<std::int64_t>(info.shape[2]);
  std::vector<Image> frames;
  for (auto at = pixels.begin(); at < pixels.end(); at += 3 * width * height) {
    frames.push_back({width, height, {at, at + 3 * width * height}});
  }
  return vision_input(std::move(frames), config, "X");
}

std::vector<VisionInput> golden_inputs(const Checkpoint& reference, const VisionConfig& config) {
  std::vector<VisionInput> inputs;
  for (int i = 0; i < 4; ++i) {
    inputs.push_back(picture(kGolden / "images" / (std::to_string(i) + ".png"), config));
  }
  inputs.push_back(video(reference, config));
  return inputs;
}

double max_abs(const std::vector<float>& a, const std::vector<float>& b) {
  double most = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return most;
}

double relative_rms(const std::vector<float>& a, const std::vector<float>& expected) {
  if (a.size() != expected.size()) return INFINITY;
  double error = 0;
  double size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(expected[i]);
    error += difference * difference;
    size += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
  }
  return std::sqrt(error / size);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(VisionOrder, WindowsArePermutationsClippedAtTheEdge) {
  VisionConfig config;
  config.patch_px = 14;
  config.merge = 2;
  config.window_px = 112;
  for (const auto& [h, w] : {std::pair{8, 8}, {10, 26}, {2, 2}, {16, 18}}) {
    std::vector<VisionInput> inputs(2);
    inputs[0].grid = {2, h, w};
    inputs[1].grid = {1, w, h};
    const VisionOrder order = vision_order(inputs, config);
    ASSERT_EQ(order.cells.size(), static_cast<std::size_t>(3 * h * w / 4));
    std::vector<int> seen(order.cells.size());
    for (const VisionOrder::Cell& cell : order.cells) {
      ++seen[static_cast<std::size_t>(cell.index + (cell.input == 1 ? 2 * h * w / 4 : 0))];
    }
    EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
    for (const std::vector<AttentionSegment>* runs : {&order.windows, &order.frames}) {
      std::int64_t next = 0;
      for (const AttentionSegment& run : *runs) {
        EXPECT_EQ(run.first_row, next);
        EXPECT_GT(run.n_rows, 0);
        next += run.n_rows;
      }
      EXPECT_EQ(next, static_cast<std::int64_t>(order.cells.size() * 4));
    }
    EXPECT_EQ(order.frames.size(), 3U);
    EXPECT_EQ(order.windows.size(), static_cast<std::size_t>(3 * ((h + 7) / 8) * ((w + 7) / 8)));
    for (const AttentionSegment& run : order.windows) EXPECT_LE(run.n_rows, 64);
  }
}

// The repository's own tower.
const fs::path kTiny = fs::path(EXAONE_SOURCE_DIR) / "tests/data/models/tiny-vision";
const fs::path kPictures = fs::path(EXAONE_SOURCE_DIR) / "tests/data/images";
const std::vector<std::pair<std::string, std::string>> kTinyPictures = {
    {"large", "gif-large.gif"}, {"small", "webp-lossless.webp"}, {"turned", "png-exif6.png"}};

std::vector<VisionInput> tiny_inputs(const Checkpoint& reference, const VisionConfig& config) {
  std::vector<VisionInput> inputs;
  for (const auto& [name, file] : kTinyPictures) inputs.push_back(picture(kPictures / file, config));
  inputs.push_back(video(reference, config));
  return inputs;
}

TEST(Vision, ExactEmbeds) {
  const Checkpoint reference = Checkpoint::open(kTiny / "reference.safetensors");
  LoadedTower loaded(kTiny, Precision::kExact);
  const std::vector<VisionInput> inputs = tiny_inputs(reference, loaded.tower.config());
  const std::vector<std::vector<float>> embeds = loaded.tower.encode(inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string name = i < kTinyPictures.size() ? kTinyPictures[i].first : "video";
    const std::vector<std::int32_t> grid = array<std::int32_t>(reference, name + ".grid_thw");
    EXPECT_EQ(inputs[i].grid, (VisionGrid{grid[0], grid[1], grid[2]})) << name;
    EXPECT_LE(max_abs(embeds[i], array<float>(reference, name + ".embeds")), 1e-4) << name;
  }
}

TEST(Vision, ProductionEmbeds) {
  const Checkpoint reference = Checkpoint::open(kTiny / "reference.safetensors");
  LoadedTower loaded(kTiny, Precision::kProduction);
  const std::vector<VisionInput> inputs = tiny_inputs(reference, loaded.tower.config());
  const std::vector<std::vector<float>> embeds = loaded.tower.encode(inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string name = i < kTinyPictures.size() ? kTinyPictures[i].first : "video";
    EXPECT_LE(relative_rms(embeds[i], array<float>(reference, name + ".embeds")), 0.006) << name;
  }
}

TEST(Vision, BitsDoNotDependOnNeighboursOrThreads) {
  const Checkpoint reference = Checkpoint::open(kTiny / "reference.safetensors");
  LoadedTower three(kTiny, Precision::kProduction, 3);
  LoadedTower one(kTiny, Precision::kProduction, 1);
  const std::vector<VisionInput> inputs = tiny_inputs(reference, three.tower.config());
  const std::vector<std::vector<float>> together = three.tower.encode(inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_TRUE(same_bits(together[i], three.tower.encode({&inputs[i], 1})[0])) << i;
    EXPECT_TRUE(same_bits(together[i], one.tower.encode({&inputs[i], 1})[0])) << i;
  }
}

TEST(Vision, ProgressMayStopIt) {
  LoadedTower loaded(kTiny, Precision::kProduction);
  const VisionInput input = picture(kPictures / "png-rgba.png", loaded.tower.config());
  std::vector<double> parts;
  loaded.tower.encode({&input, 1}, [&](double part) { parts.push_back(part); });
  EXPECT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts.back(), 1.0);
  const auto stop = [](double) { throw Error(ErrorKind::kInterrupted, "stop"); };
  EXPECT_THROW(loaded.tower.encode({&input, 1}, stop), Error);
}

TEST(VisionGolden, PixelValues) {
  if (!fs::exists(kGolden)) GTEST_SKIP() << "no golden data at " << kGolden;
  const Checkpoint reference = Checkpoint::open(kGolden / "reference.safetensors");
  const VisionConfig config = read_vision_config(Checkpoint::open(kGolden));
  const std::vector<VisionInput> inputs = golden_inputs(reference, config);
  for (std::size_t i = 0; i < 4; ++i) {
    const std::vector<float> expected =
        array<float>(reference, "image" + std::to_string(i) + ".pixel_values");
    std::vector<float> values(static_cast<std::size_t>(inputs[i].grid.n_patches() * config.patch_values()));
    const Patches patches(inputs[i], config);
    for (std::int64_t p = 0; p < inputs[i].grid.n_patches(); ++p) {
      patches.read(p, values.data() + p * config.patch_values());
    }
    EXPECT_LE(max_abs(values, expected), 1e-6) << i;
  }
}

TEST(VisionGolden, EmbedsExact) {
  if (!fs::exists(kGolden)) GTEST_SKIP() << "no golden data at " << kGolden;
  const Checkpoint reference = Checkpoint::open(kGolden / "reference.safetensors");
  for (const fs::path& path : {kGolden, kGolden / "gguf/mmproj-bf16.gguf"}) {
    LoadedTower loaded(path, Precision::kExact);
    const std::vector<VisionInput> inputs = golden_inputs(reference, loaded.tower.config());
    const std::vector<std::vector<float>> embeds = loaded.tower.encode(inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::string name = i < 4 ? "image" + std::to_string(i) : "video";
      const std::vector<std::int32_t> grid = array<std::int32_t>(reference, name + ".grid_thw");
      EXPECT_EQ(inputs[i].grid, (VisionGrid{grid[0], grid[1], grid[2]})) << name;
      const double difference = max_abs(embeds[i], array<float>(reference, name + ".embeds"));
      RecordProperty(path.filename().string() + "." + name, std::to_string(difference));
      EXPECT_LE(difference, 1e-4) << path << " " << name;
    }
  }
}

TEST(VisionGolden, EmbedsInProduction) {
  if (!fs::exists(kGolden)) GTEST_SKIP() << "no golden data at " << kGolden;
  const Checkpoint reference = Checkpoint::open(kGolden / "reference.safetensors");
  for (const fs::path& path : {kGolden, kGolden / "gguf/mmproj-bf16.gguf"}) {
    LoadedTower loaded(path, Precision::kProduction);
    const std::vector<VisionInput> inputs = golden_inputs(reference, loaded.tower.config());
    const std::vector<std::vector<float>> embeds = loaded.tower.encode(inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::string name = i < 4 ? "image" + std::to_string(i) : "video";
      const double error = relative_rms(embeds[i], array<float>(reference, name + ".embeds"));
      RecordProperty(path.filename().string() + "." + name, std::to_string(error));
      EXPECT_LE(error, 0.006) << path << " " << name;
    }
  }
}

TEST(VisionGolden, BitsDoNotDependOnNeighboursOrThreads) {
  if (!fs::exists(kGolden)) GTEST_SKIP() << "no golden data at " << kGolden;
  const Checkpoint reference = Checkpoint::open(kGolden / "reference.safetensors");
  LoadedTower two(kGolden, Precision::kProduction, 2);
  LoadedTower one(kGolden, Precision::kProduction, 1);
  const std::vector<VisionInput> inputs = golden_inputs(reference, two.tower.config());
  const std::vector<std::vector<float>> together = two.tower.encode(inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_TRUE(same_bits(together[i], two.tower.encode({&inputs[i], 1})[0])) << i;
    EXPECT_TRUE(same_bits(together[i], one.tower.encode({&inputs[i], 1})[0])) << i;
  }
}

}  // namespace
}  // namespace exa
