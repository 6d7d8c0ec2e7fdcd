#include "model/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "model/vision_config.h"

namespace exa {
namespace {

namespace fs = std::filesystem;

// A folder with a config.json and nothing else, removed again.
class ConfigFolder {
 public:
  explicit ConfigFolder(const std::string& json) {
    std::string name = (fs::temp_directory_path() / "exaone-config-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
    std::ofstream(path_ / "config.json") << json;
  }
  ~ConfigFolder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

ModelConfig read(const std::string& json) {
  const ConfigFolder folder(json);
  return read_config(Checkpoint::open(folder.path()));
}

std::string error_of(const std::string& json) {
  try {
    read(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string text_config(const std::string& extra) {
  return R"({"model_type": "exaone4", "hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 64, "intermediate_size": 512, "vocab_size": 1000, "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5, "num_hidden_layers": 8, "rope_theta": 1000000.0)" +
         extra + "}";
}

std::string pattern_of(const ModelConfig& config) {
  std::string pattern;
  for (const LayerSpec& layer : config.layers)
    pattern += layer.window > 0 ? (layer.rope ? 'L' : 'l') : (layer.rope ? 'R' : 'G');
  return pattern;
}

// Section 6.6, huggingface/transformers 39696: a null pattern and one of letters.
TEST(Config, NullWindowMeansRopeEverywhere) {
  const ModelConfig config = read(text_config(R"(, "sliding_window": null, "sliding_window_pattern": null)"));
  EXPECT_EQ(pattern_of(config), "RRRRRRRR");
  EXPECT_EQ(config.window, 0);
}

TEST(Config, PatternAsLettersNumberOrList) {
  EXPECT_EQ(pattern_of(read(text_config(R"(, "sliding_window": 24, "sliding_window_pattern": "LLLG")"))),
            "LLLGLLLG");
  EXPECT_EQ(pattern_of(read(text_config(R"(, "sliding_window": 24, "sliding_window_pattern": 2)"))),
            "LGLGLGLG");
  const std::string types = R"(["sliding_attention", "full_attention", "full_attention", "sliding_attention",
    "sliding_attention", "sliding_attention", "sliding_attention", "full_attention", "sliding_attention"])";
  // A ninth entry belongs to the drafting layer.
  EXPECT_EQ(pattern_of(read(text_config(R"(, "sliding_window": 24, "layer_types": )" + types))), "LGGLLLLG");
}

TEST(Config, AbsentWindowIsTransformersDefault) {
  const ModelConfig config = read(text_config(""));
  EXPECT_EQ(config.window, 4096);
  EXPECT_EQ(pattern_of(config), "LLLGLLLG");
}

TEST(Config, RopeThetaAtEveryPlace) {
  const std::string no_theta = [] {
    std::string text = text_config(R"(, "sliding_window": null)");
    const std::string key = R"(, "rope_theta": 1000000.0)";
    return text.erase(text.find(key), key.size());
  }();
  const auto with = [&](const std::string& extra) {
    return no_theta.substr(0, no_theta.size() - 1) + extra + "}";
  };
  const std::string llama3 =
      R"("rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192)";
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const ModelConfig config =
        read(with(std::string(", \"") + key + R"(": {"rope_theta": 500000.0, )" + llama3 + "}"));
    EXPECT_EQ(config.rope_theta, 500000.0);
    ASSERT_TRUE(config.rope_scaling);
    EXPECT_EQ(config.rope_scaling->factor, 16.0f);
  }
  const ModelConfig outer =
      read(text_config(R"(, "sliding_window": null, "rope_scaling": {)" + llama3 + "}"));
  EXPECT_EQ(outer.rope_theta, 1000000.0);
  EXPECT_NE(error_of(with("")).find("rope_theta"), std::string::npos);
}

// Expected entries: inv[j] / inv'[j] of the published checkpoints (theta 1e6, factor 16).
TEST(Config, Llama3Frequencies) {
  ModelConfig config;
  config.rope_theta = 1e6;
  config.head_dim = 128;
  const std::vector<float> plain = rope_inverse_frequencies(config, nullptr);
  config.rope_scaling = Llama3Rope{16.0f, 1.0f, 4.0f, 8192.0f};
  const std::vector<float> scaled = rope_inverse_frequencies(config, nullptr);
  const auto ratio = [&](std::size_t j) {
    return static_cast<double>(plain[j]) / static_cast<double>(scaled[j]);
  };
  for (std::size_t j = 0; j <= 26; ++j) EXPECT_EQ(ratio(j), 1.0) << j;
  const double transition[] = {1.053769, 1.396288, 1.891817, 2.649550, 3.912309, 6.351761, 12.766559};
  for (std::size_t j = 27; j <= 33; ++j)
    EXPECT_NEAR(ratio(j), transition[j - 27], 2e-6 * transition[j - 27]) << j;
  for (std::size_t j = 34; j < 64; ++j) EXPECT_NEAR(ratio(j), 16.0, 1e-5) << j;

  std::vector<float> factors(64);
  for (std::size_t j = 0; j < 64; ++j) factors[j] = static_cast<float>(ratio(j));
  const std::vector<float> divided = rope_inverse_frequencies(config, &factors);
  for (std::size_t j = 0; j < 64; ++j) EXPECT_NEAR(divided[j], scaled[j], 1e-6f * scaled[j]) << j;
}

TEST(Config, ErrorsNameKeyExpectedAndFound) {
  EXPECT_NE(error_of(R"({"model_type": "llama"})").find("model_type \"llama\""), std::string::npos);
  EXPECT_NE(error_of(R"({"hidden_size": 1})").find("model_type"), std::string::npos);
  EXPECT_NE(error_of(text_config(R"(, "sliding_window": "x")")).find("sliding_window"), std::string::npos);
  EXPECT_NE(error_of(text_config(R"(, "sliding_window": 0)")).find("sliding_window"), std::string::npos);
  EXPECT_NE(error_of(text_config(R"(, "sliding_window": 24, "layer_types": ["full_attention"])"))
                .find("layer_types"),
            std::string::npos);
  EXPECT_NE(error_of(text_config(R"(, "sliding_window": 24, "sliding_window_pattern": "LX")")).find("\"LX\""),
            std::string::npos);
  EXPECT_NE(error_of(text_config(R"(, "rope_scaling": {"rope_type": "yarn"})")).find("yarn"),
            std::string::npos);
  std::string heads = text_config("");
  heads.replace(heads.find(R"("num_key_value_heads": 2)"), 24, R"("num_key_value_heads": 3)");
  EXPECT_NE(error_of(heads).find("multiple of kv heads"), std::string::npos);
  std::string layers = text_config("");
  layers.replace(layers.find(R"("num_hidden_layers": 8)"), 22, R"("num_hidden_layers": 1e9)");
  EXPECT_NE(error_of(layers).find("num_hidden_layers"), std::string::npos);
}

// A folder of the tiny tower's with other texts in place of its two configs.
VisionConfig read_vision(const std::string& change_from, const std::string& change_to, const char* file) {
  const fs::path tower = fs::path(EXAONE_SOURCE_DIR) / "tests/data/models/tiny-vision";
  const ConfigFolder folder("");
  for (const char* name : {"config.json", "preprocessor_config.json"}) {
    std::ifstream in(tower / name);
    std::string text(std::istreambuf_iterator<char>(in), {});
    if (std::string_view(name) == file) {
      const std::size_t place = text.find(change_from);
      if (place == std::string::npos) throw std::runtime_error("no " + change_from);
      text.replace(place, change_from.size(), change_to);
    }
    std::ofstream(folder.path() / name) << text;
  }
  return read_vision_config(Checkpoint::open(folder.path()));
}

// transformers norms the tower with 1e-6 whatever the text model's eps is.
TEST(Config, TheTowersEpsIsNotTheTextModels) {
  EXPECT_EQ(
      read_vision("\"vision_config\"", "\"rms_norm_eps\": 1e-5, \"vision_config\"", "config.json").rms_eps,
      1e-6F);
}

TEST(Config, ProcessorFilesAreReadStrictly) {
  const char* const file = "preprocessor_config.json";
  EXPECT_NO_THROW(read_vision("\"image_mean\"", "\"image_mean\"", file));
  EXPECT_THROW(read_vision("\"image_mean\"", "\"image_std\": [1, 1, 1], \"image_mean\"", file), Error);
}

// Section 6.6, llama.cpp 21733: block_count of a file with drafting layers counts them. The trunk is what is
// left, and neither its windows nor its layers without rotation depend on the count.
TEST(Config, BlockCountHoldsTheDraftingLayers) {
  const fs::path file =
      fs::path(EXAONE_SOURCE_DIR) / "tests/data/models/tiny-exaone4_5/tiny-exaone4_5.Q4_0.gguf";
  const ModelConfig config = read_config(Checkpoint::open(file));
  EXPECT_EQ(config.n_mtp_layers, 1);
  ASSERT_EQ(config.n_layers(), 4);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(config.layers[i].window, i < 3 ? 20 : 0) << i;
    EXPECT_EQ(config.layers[i].rope, i < 3) << i;
  }
}

// The official configurations, every spelling of them.
TEST(Config, PublishedConfigs) {
  const fs::path data = fs::path(EXAONE_SHARED_DIR) / "data";
  if (!fs::exists(data)) GTEST_SKIP() << "the published configurations are not beside this checkout";
  const auto published = [&](const std::string& file) {
    std::ifstream in(data / file);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const ModelConfig small = read(published("exaone-4.0-1.2b/config.json"));
  EXPECT_EQ(small.n_layers(), 30);
  EXPECT_EQ(small.head_dim, 64);
  EXPECT_TRUE(small.tied_head);
  EXPECT_EQ(pattern_of(small), std::string(30, 'R'));
  const ModelConfig large = read(published("exaone-4.5-33b/33B__config.json"));
  EXPECT_EQ(large.n_layers(), 64);
  EXPECT_EQ(large.head_dim, 128);
  EXPECT_EQ(large.n_mtp_layers, 1);
  EXPECT_EQ(large.rope_theta, 1e6);
  EXPECT_FALSE(large.tied_head);
  std::string expected;
  for (int i = 0; i < 16; ++i) expected += "LLLG";
  EXPECT_EQ(pattern_of(large), expected);
  for (const char* quantized :
       {"exaone-4.5-33b/33B-AWQ__config.json", "exaone-4.5-33b/33B-FP8__config.json"}) {
    EXPECT_NE(error_of(published(quantized)).find("quantization_config"), std::string::npos);
  }
}

}  // namespace
}  // namespace exa
