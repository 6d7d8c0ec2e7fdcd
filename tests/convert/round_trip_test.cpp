// A folder and its own conversion are the same model: what config.json says and what the GGUF file says are
// read to the same values, but for what the two formats spell differently.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "convert/gguf_writer.h"
#include "convert/hf_config.h"
#include "convert/hf_plan.h"
#include "convert/hf_to_gguf.h"
#include "convert/model_keys.h"
#include "convert/scratch_folder.h"
#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/vision_config.h"

namespace exa {
namespace {

namespace fs = std::filesystem;

const fs::path kShared = EXAONE_SHARED_DIR;
const fs::path kOwn = fs::path(EXAONE_SOURCE_DIR) / "tests" / "data" / "models";

// factors: the GGUF file's rope_freqs.weight; nothing where it has none.
void expect_same_model(ModelConfig expected, const ModelConfig& found, std::string_view architecture,
                       const std::optional<std::vector<float>>& factors) {
  // A GGUF file names the architecture, config.json a model type, and the model's name comes from elsewhere.
  EXPECT_EQ(found.architecture_name, architecture);
  expected.architecture_name = found.architecture_name;
  expected.model_name = found.model_name;
  // A GGUF file holds divisors of the frequencies in place of the rule that makes them.
  ASSERT_EQ(expected.rope_scaling.has_value(), factors.has_value());
  const std::vector<float> by_rule = rope_inverse_frequencies(expected, nullptr);
  const std::vector<float> by_factor = rope_inverse_frequencies(found, factors ? &*factors : nullptr);
  ASSERT_EQ(by_rule.size(), by_factor.size());
  for (std::size_t j = 0; j < by_rule.size(); ++j) {
    EXPECT_NEAR(by_rule[j], by_factor[j], 1e-6F * by_rule[j]) << j;
  }
  expected.rope_scaling.reset();
  EXPECT_TRUE(found == expected);
  // The same once more, to say what differs.
  EXPECT_EQ(found.hidden, expected.hidden);
  EXPECT_EQ(found.n_heads, expected.n_heads);
  EXPECT_EQ(found.n_kv_heads, expected.n_kv_heads);
  EXPECT_EQ(found.head_dim, expected.head_dim);
  EXPECT_EQ(found.ffn_width, expected.ffn_width);
  EXPECT_EQ(found.vocab, expected.vocab);
  EXPECT_EQ(found.max_context, expected.max_context);
  EXPECT_EQ(found.rms_eps, expected.rms_eps);
  EXPECT_EQ(found.rope_theta, expected.rope_theta);
  EXPECT_EQ(found.tied_head, expected.tied_head);
  EXPECT_EQ(found.n_mtp_layers, expected.n_mtp_layers);
  EXPECT_EQ(found.window, expected.window);
  EXPECT_EQ(found.draft_slides, expected.draft_slides);
  EXPECT_TRUE(found.layers == expected.layers);
}

std::vector<fs::path> folders() {
  std::vector<fs::path> found;
  for (const fs::path& root : {kOwn, kShared / "golden" / "models"}) {
    if (!fs::exists(root)) continue;
    for (const auto& entry : fs::directory_iterator(root)) found.push_back(entry.path());
  }
  return found;
}

TEST(RoundTrip, ConvertedFoldersReadTheSame) {
  int n_models = 0;
  for (const fs::path& path : folders()) {
    const Checkpoint folder = Checkpoint::open(path);
    if (!folder.config().contains("hidden_size") && !folder.config().contains("text_config")) continue;
    if (!family_of(folder, false).runs) continue;
    SCOPED_TRACE(path.filename().string());
    ++n_models;
    const test::ScratchFolder scratch;
    ConvertOptions options;
    options.folder = path;
    options.output = scratch.path() / "text.gguf";
    if (has_vision(folder)) options.mmproj = scratch.path() / "mmproj.gguf";
    convert_huggingface(options);

    const Checkpoint gguf = Checkpoint::open(options.output);
    std::optional<std::vector<float>> factors;
    if (const TensorInfo* tensor = gguf.find(kRopeFactors)) {
      factors.emplace(tensor->n_elements());
      gguf.read(*tensor, 0, std::as_writable_bytes(std::span(*factors)));
    }
    expect_same_model(read_config(folder), read_config(gguf), family_of(folder, false).gguf, factors);
    if (options.mmproj) {
      EXPECT_TRUE(read_vision_config(folder) == read_vision_config(Checkpoint::open(*options.mmproj)));
    }
  }
  EXPECT_GE(n_models, 3);
}

// A GGUF file of keys and the tensors whose presence alone speaks.
Checkpoint with_keys(const fs::path& path, GgufMetadata metadata, bool has_head) {
  std::vector<GgufTensor> tensors = {{"output_norm.weight", DType::kF32, {1}}};
  if (has_head) tensors.push_back({"output.weight", DType::kF32, {1}});
  GgufWriter writer(path, std::move(metadata), tensors, 0);
  const float one = 1;
  for (std::size_t i = 0; i < tensors.size(); ++i) writer.append(i, std::as_bytes(std::span(&one, 1)));
  writer.commit();
  return Checkpoint::open(path);
}

// Whose weights are too large to be here.
TEST(RoundTrip, PublishedConfigsReadTheSame) {
  const fs::path data = kShared / "data";
  if (!fs::exists(data)) GTEST_SKIP() << "no published configs at " << data;
  for (const char* name : {"exaone-4.0-1.2b/config.json", "exaone-4.5-33b/33B__config.json",
                           "exaone-4.5-33b/33B-AWQ__config.json", "exaone-4.5-33b/33B-FP8__config.json"}) {
    SCOPED_TRACE(name);
    const test::ScratchFolder scratch;
    fs::create_directory(scratch.path() / "model");
    fs::copy_file(data / name, scratch.path() / "model" / "config.json");
    if (std::string_view(name).find("33B") != std::string_view::npos) {
      fs::copy_file(data / "exaone-4.5-33b" / "33B__preprocessor_config.json",
                    scratch.path() / "model" / "preprocessor_config.json");
    }
    const Checkpoint folder = Checkpoint::open(scratch.path() / "model");
    const HfConfig config = read_hf_config(folder);
    GgufMetadata keys;
    keys.set_string("general.architecture", config.family->gguf);
    add_architecture_keys(config, keys);
    const Checkpoint gguf = with_keys(scratch.path() / "text.gguf", keys, !config.model.tied_head);
    const std::vector<float> factors = rope_factors(config.model);
    expect_same_model(read_stated_config(folder), read_config(gguf), config.family->gguf, factors);
    if (!config.has_vision) continue;
    GgufMetadata vision_keys;
    vision_keys.set_string("general.architecture", "clip");
    add_vision_keys(read_hf_vision_config(folder), vision_keys);
    const Checkpoint mmproj = with_keys(scratch.path() / "mmproj.gguf", vision_keys, false);
    EXPECT_TRUE(read_vision_config(folder) == read_vision_config(mmproj));
  }
}

// The keys' defaults depend on the depth; a model of that depth without windows must not get any.
TEST(RoundTrip, SixtyFourLayersWithoutWindows) {
  const test::ScratchFolder scratch;
  scratch.write("model/config.json",
                R"({"model_type": "exaone4", "hidden_size": 256, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 64, "intermediate_size": 512, "vocab_size": 1000,
    "max_position_embeddings": 4096, "num_hidden_layers": 64, "rope_theta": 1000000.0, "sliding_window": null})");
  const HfConfig config = read_hf_config(Checkpoint::open(scratch.path() / "model"));
  GgufMetadata keys;
  keys.set_string("general.architecture", config.family->gguf);
  add_architecture_keys(config, keys);
  const Checkpoint gguf = with_keys(scratch.path() / "text.gguf", keys, true);
  expect_same_model(config.model, read_config(gguf), "exaone4", std::nullopt);
}

}  // namespace
}  // namespace exa
