// Every spelling of config.json that LG has published.
#include "convert/hf_config.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "convert/scratch_folder.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

const fs::path kData = fs::path(EXAONE_SHARED_DIR) / "data";

HfConfig read(const ordered_json& config) {
  const test::ScratchFolder folder;
  folder.write("config.json", config.dump());
  return read_hf_config(Checkpoint::open(folder.path()));
}

ordered_json published(const char* name) {
  std::ifstream stream(kData / name);
  return ordered_json::parse(stream);
}

std::vector<bool> sliding(const ModelConfig& model) {
  std::vector<bool> slides;
  for (const LayerSpec& layer : model.layers) slides.push_back(layer.window > 0);
  slides.insert(slides.end(), model.draft_slides.begin(), model.draft_slides.end());
  return slides;
}

TEST(HfConfig, PublishedText) {
  if (!fs::exists(kData)) GTEST_SKIP() << "no published configs at " << kData;
  const HfConfig small = read(published("exaone-4.0-1.2b/config.json"));
  EXPECT_EQ(small.model.n_layers(), 30);
  EXPECT_EQ(small.model.window, 0);
  EXPECT_TRUE(small.model.tied_head);
  EXPECT_EQ(small.model.rope_theta, 1e6F);
  EXPECT_EQ(small.model.n_mtp_layers, 0);
  EXPECT_TRUE(small.states_head_dim);
  EXPECT_FALSE(small.has_vision);
  for (const char* name : {"33B__config.json", "33B-AWQ__config.json", "33B-FP8__config.json"}) {
    SCOPED_TRACE(name);
    const HfConfig config = read(published((std::string("exaone-4.5-33b/") + name).c_str()));
    EXPECT_EQ(config.family->gguf, "exaone4");
    EXPECT_EQ(config.model.n_layers(), 64);
    EXPECT_EQ(config.model.n_mtp_layers, 1);
    EXPECT_EQ(config.model.head_dim, 128);
    EXPECT_FALSE(config.states_head_dim);
    EXPECT_TRUE(config.mtp_shares_layers);
    EXPECT_FALSE(config.model.tied_head);
    EXPECT_EQ(config.model.vocab, 153600);
    EXPECT_EQ(config.model.window, 4096);
    EXPECT_EQ(sliding(config.model).size(),
              std::string_view(name).find("FP8") != std::string_view::npos ? 65U : 64U);
    EXPECT_EQ(config.model.rope_theta, 1e6F);
    ASSERT_TRUE(config.model.rope_scaling);
    EXPECT_EQ(config.model.rope_scaling->factor, 16.0f);
    EXPECT_TRUE(config.has_vision);
  }
}

TEST(HfConfig, PublishedVision) {
  if (!fs::exists(kData)) GTEST_SKIP() << "no published configs at " << kData;
  for (const char* processor : {"33B__preprocessor_config.json", "33B__processor_config.json"}) {
    const test::ScratchFolder folder;
    fs::copy_file(kData / "exaone-4.5-33b" / "33B__config.json", folder.path() / "config.json");
    fs::copy_file(kData / "exaone-4.5-33b" / processor, folder.path() / std::string(processor).substr(5));
    const HfVisionConfig vision = read_hf_vision_config(Checkpoint::open(folder.path()));
    EXPECT_EQ(vision.tower.n_layers(), 28);
    EXPECT_EQ(vision.tower.n_kv_heads, 8);
    EXPECT_EQ(vision.full_attention_period, 7);
    EXPECT_EQ(vision.tower.min_pixels, 3136);
    EXPECT_EQ(vision.tower.max_pixels, 3211264);
    EXPECT_EQ(vision.tower.rms_eps, 1e-6F);
    EXPECT_EQ(vision.tower.mean, (std::array<float, 3>{0.48145466F, 0.4578275F, 0.40821073F}));
  }
}

ordered_json mixture() {
  return {{"model_type", "exaone_moe"},
          {"hidden_size", 6144},
          {"intermediate_size", 18432},
          {"num_hidden_layers", 4},
          {"num_attention_heads", 64},
          {"num_key_value_heads", 8},
          {"head_dim", 128},
          {"vocab_size", 100},
          {"max_position_embeddings", 1000},
          {"rope_parameters", {{"rope_theta", 1e6}, {"rope_type", "default"}}},
          {"sliding_window", 128},
          {"sliding_window_pattern", "LLLG"},
          {"num_experts", 128},
          {"num_experts_per_tok", 8},
          {"num_shared_experts", 1},
          {"moe_intermediate_size", 2048},
          {"norm_topk_prob", true},
          {"routed_scaling_factor", 2.5}};
}

// Section 6.6, llama.cpp 18543: the key was renamed.
TEST(HfConfig, MixtureSpellings) {
  const std::vector<bool> expected = {false, true, true, true};
  const auto with = [](const char* key, const ordered_json& value) {
    ordered_json config = mixture();
    config[key] = value;
    return read(config);
  };
  for (const HfConfig& config : {with("first_k_dense_replace", 1), with("first_last_k_dense_replace", 1),
                                 with("is_moe_layer", {false, true, true, true}),
                                 with("mlp_layer_types", {"dense", "sparse", "sparse", "sparse"})}) {
    const ModelConfig& model = config.model;
    ASSERT_TRUE(model.mixture);
    EXPECT_EQ(model.mixture->is_sparse, expected);
    EXPECT_EQ(model.mixture->n_leading_dense, 1);
    EXPECT_FALSE(model.mixture->softmax_gate);
    EXPECT_EQ(sliding(model), (std::vector<bool>{true, true, true, false}));
    EXPECT_EQ(model.rope_scaling, std::nullopt);
    for (const LayerSpec& layer : model.layers) EXPECT_EQ(layer.norm, NormPlacement::kPre);
  }
}

ordered_json dense() {
  ordered_json config = mixture();
  config["model_type"] = "exaone4";
  return config;
}

TEST(HfConfig, WindowSpellings) {
  ordered_json config = dense();
  config["sliding_window_pattern"] = 2;
  EXPECT_EQ(sliding(read(config).model), (std::vector<bool>{true, false, true, false}));
  config["layer_types"] = {"full_attention", "full_attention", "full_attention", "sliding_attention",
                           "sliding_attention"};
  config["num_nextn_predict_layers"] = 1;  // whose the fifth entry is
  EXPECT_EQ(sliding(read(config).model), (std::vector<bool>{false, false, false, true, true}));
  config["sliding_window"] = nullptr;
  EXPECT_EQ(sliding(read(config).model), (std::vector<bool>{false, false, false, false}));
}

TEST(HfConfig, Refusals) {
  const auto refuses = [](const char* key, const ordered_json& value) {
    ordered_json config = dense();
    config[key] = value;
    EXPECT_THROW(read(config), Error) << key << " = " << value;
  };
  refuses("model_type", "exaone");
  refuses("hidden_size", 0);
  refuses("hidden_size", "6144");
  refuses("num_key_value_heads", 7);
  refuses("head_dim", 127);
  refuses("layer_types", {"full_attention"});
  refuses("layer_types", {"a", "b", "c", "d"});
  refuses("hidden_act", "gelu");
  refuses("num_hidden_layers", 100000);
  refuses("rope_parameters", {{"rope_theta", 1e6}, {"rope_type", "yarn"}});
  refuses("rope_parameters", 5);
}

}  // namespace
}  // namespace exa
