// Logits of prompts with pictures, against Hugging Face's: tower, placement and decoder together.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/threads.h"
#include "kernels/isa/matmul.h"
#include "model/decoder.h"
#include "model/vision.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
const fs::path kGolden = fs::path(EXAONE_SHARED_DIR) / "golden/models/exaone4_5";
constexpr std::int32_t kImagePad = 67;

template <typename T>
std::vector<T> array(const Checkpoint& file, const std::string& name) {
  const TensorInfo* const info = file.find(name);
  if (!info) throw Error(ErrorKind::kInternal, "no array " + name);
  std::vector<T> values(static_cast<std::size_t>(info->n_elements()));
  file.read(*info, 0, std::as_writable_bytes(std::span(values)));
  return values;
}

struct Seer {
  Seer(const fs::path& model, const fs::path& mmproj, Precision its_precision)
      : precision(its_precision),
        pool(2),
        backend(make_cpu_backend(pool)),
        weights(
            load_weights(Checkpoint::open(model), read_config(Checkpoint::open(model)), *backend, precision)),
        vision_weights(load_vision_weights(Checkpoint::open(mmproj), *backend, precision)),
        tower(vision_weights, *backend) {}

  VisionInput picture(int index) {
    const FileReader reader(kGolden / "images" / (std::to_string(index) + ".png"));
    std::vector<std::byte> file(static_cast<std::size_t>(reader.size_bytes()));
    reader.read_at(0, file);
    return vision_input(decode_image(file, read_image_header(file, {}, "X"), "X"), tower.config(), "X");
  }

  // Logits of the last rows of the prompt, whose placeholders take the pictures' rows in order.
  std::vector<float> last_logits(const std::vector<std::int32_t>& ids, const std::vector<int>& pictures,
                                 std::int64_t n_rows, std::int64_t chunk) {
    std::vector<VisionInput> inputs;
    for (const int index : pictures) inputs.push_back(picture(index));
    const std::vector<std::vector<float>> embeds = tower.encode(inputs);
    const std::int64_t hidden = weights.config.hidden;
    std::vector<const float*> rows;
    for (const std::vector<float>& embed : embeds) {
      for (std::size_t at = 0; at < embed.size(); at += static_cast<std::size_t>(hidden)) {
        rows.push_back(embed.data() + at);
      }
    }
    EXPECT_EQ(std::count(ids.begin(), ids.end(), kImagePad), static_cast<std::int64_t>(rows.size()));
    Decoder decoder(weights, *backend, chunk);
    KvCache cache(weights.config, precision == Precision::kExact ? KvType::kF32 : KvType::kBF16, chunk);
    std::vector<float> logits;
    std::size_t next = 0;
    const auto n_ids = static_cast<std::int64_t>(ids.size());
    for (std::int64_t begin = 0; begin < n_ids; begin += chunk) {
      const std::int64_t n = std::min(chunk, n_ids - begin);
      std::vector<GivenRow> given;
      std::vector<std::int32_t> wanted;
      for (std::int64_t i = 0; i < n; ++i) {
        if (ids[static_cast<std::size_t>(begin + i)] == kImagePad) given.push_back({i, rows.at(next++)});
        if (begin + i >= n_ids - n_rows) wanted.push_back(static_cast<std::int32_t>(i));
      }
      const StepSlice slice{
          .cache = &cache,
          .ids = std::span(ids).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(n)),
          .logits_rows = wanted,
          .given_rows = given,
          .role = precision == Precision::kExact ? Role::kGenerated : Role::kPrompt};
      cache.reserve(n);
      const std::span<const float> out = decoder.step({&slice, 1});
      logits.insert(logits.end(), out.begin(), out.end());
    }
    return logits;
  }

  Precision precision;
  ThreadPool pool;
  std::unique_ptr<Backend> backend;
  Weights weights;
  VisionWeights vision_weights;
  VisionTower tower;
};

double max_abs(const std::vector<float>& a, const std::vector<float>& b) {
  double most = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return most;
}

double mean_kl(const std::vector<float>& reference, const std::vector<float>& ours, std::size_t vocab) {
  if (reference.size() != ours.size()) return INFINITY;
  double kl = 0;
  for (std::size_t row = 0; row < reference.size(); row += vocab) {
    double norm[2] = {0, 0};
    for (std::size_t i = 0; i < vocab; ++i) {
      norm[0] += std::exp(static_cast<double>(reference[row + i]));
      norm[1] += std::exp(static_cast<double>(ours[row + i]));
    }
    for (std::size_t i = 0; i < vocab; ++i) {
      const double log_p = static_cast<double>(reference[row + i]) - std::log(norm[0]);
      kl += std::exp(log_p) * (log_p - static_cast<double>(ours[row + i]) + std::log(norm[1]));
    }
  }
  return kl / static_cast<double>(reference.size() / vocab);
}

struct Prompt {
  std::string name;
  std::vector<int> pictures;
};
const std::vector<Prompt> kSingle = {{"image0", {0}}, {"image1", {1}}, {"image2", {2}}, {"image3", {3}}};

// Worst difference and mean divergence over the prompts.
std::pair<double, double> compare(Seer& seer, const fs::path& reference_path,
                                  const std::vector<Prompt>& prompts, std::int64_t chunk) {
  const Checkpoint reference = Checkpoint::open(reference_path);
  double worst = 0;
  double kl = 0;
  for (const Prompt& prompt : prompts) {
    const std::vector<float> expected = array<float>(reference, prompt.name + ".logits_last8");
    const std::vector<float> ours =
        seer.last_logits(array<std::int32_t>(reference, prompt.name + ".ids"), prompt.pictures, 8, chunk);
    worst = std::max(worst, max_abs(ours, expected));
    kl += mean_kl(expected, ours, static_cast<std::size_t>(seer.weights.config.vocab));
  }
  return {worst, kl / static_cast<double>(prompts.size())};
}

std::vector<Prompt> with_two() {
  std::vector<Prompt> prompts = kSingle;
  prompts.push_back({"two_images", {0, 1}});
  return prompts;
}

TEST(VisionLogits, FolderExact) {
  if (!fs::exists(kGolden)) GTEST_SKIP() << "no golden data at " << kGolden;
  Seer seer(kGolden, kGolden, Precision::kExact);
  for (const std::int64_t chunk : {512, 7}) {
    const auto [worst, kl] = compare(seer, kGolden / "reference.safetensors", with_two(), chunk);
    RecordProperty("max_abs", std::to_string(worst));
    EXPECT_LE(worst, 5e-4) << "chunk " << chunk;
  }
}

TEST(VisionLogits, FolderInProduction) {
  if (!fs::exists(kGolden)) GTEST_SKIP() << "no golden data at " << kGolden;
  Seer seer(kGolden, kGolden, Precision::kProduction);
  const auto [worst, kl] = compare(seer, kGolden / "reference.safetensors", with_two(), 512);
  RecordProperty("kl", std::to_string(kl * 1e6));
  EXPECT_LE(kl, 8e-4);
}

TEST(VisionLogits, GgufExact) {
  if (!fs::exists(kGolden)) GTEST_SKIP() << "no golden data at " << kGolden;
  Seer seer(kGolden / "gguf/Q4_K_M.gguf", kGolden / "gguf/mmproj-bf16.gguf", Precision::kExact);
  const auto [worst, kl] = compare(seer, kGolden / "gguf/Q4_K_M.reference.safetensors", kSingle, 512);
  RecordProperty("max_abs", std::to_string(worst));
  EXPECT_LE(worst, 5e-4);
}

// The decoder's own activations are int8 here.
TEST(VisionLogits, GgufInProduction) {
  if (!fs::exists(kGolden)) GTEST_SKIP() << "no golden data at " << kGolden;
  Seer seer(kGolden / "gguf/Q4_K_M.gguf", kGolden / "gguf/mmproj-bf16.gguf", Precision::kProduction);
  const auto [worst, kl] = compare(seer, kGolden / "gguf/Q4_K_M.reference.safetensors", kSingle, 512);
  RecordProperty("kl", std::to_string(kl * 1e6));
  EXPECT_LE(kl, 8e-4);
}

}  // namespace
}  // namespace exa
