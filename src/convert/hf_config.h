// What a config.json says about the checkpoint to be converted, for every spelling LG has published.
//
// Wider than model/config.h, which knows what this engine runs: it also covers the mixture of experts, the
// vision tower and the fields that only a converter passes on.
// Ownership and threads: a value.
// Source: exaone-models specification 1.1, 1.2, 3.1, 4.5; the published config.json files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "model/config.h"

namespace exa {

struct HfMixtureConfig {
  std::int64_t n_experts = 0;
  std::int64_t n_used = 0;
  std::int64_t n_shared = 0;
  std::int64_t ffn_width = 0;  // of one expert
  std::optional<std::int64_t> n_groups;
  std::optional<std::int64_t> n_used_groups;
  bool softmax_gate = false;  // else sigmoid
  bool normalize = true;      // the used experts' weights
  double scale = 1.0;         // of the routed sum
  std::int64_t n_leading_dense = 0;
  std::vector<bool> is_moe_layer;  // n_layers entries
};

struct HfVisionConfig {
  std::int64_t n_layers = 0;
  std::int64_t hidden = 0;
  std::int64_t ffn_width = 0;
  std::int64_t n_heads = 0;
  std::int64_t n_kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t out_hidden = 0;
  std::int64_t n_channels = 0;
  std::int64_t patch_px = 0;
  std::int64_t temporal_patch = 0;
  std::int64_t merge = 0;  // patches a side that become one token
  std::int64_t window_px = 0;
  std::int64_t image_px = 0;
  std::int64_t full_attention_period = 0;  // block i sees everything iff (i + 1) % period == 0
  double eps = 0;
  std::vector<double> mean, std;  // a channel each
  std::int64_t min_pixels = 0;
  std::int64_t max_pixels = 0;
};

struct HfConfig {
  std::string architecture;   // GGUF's name: "exaone4", "exaone-moe"
  std::string tensor_prefix;  // "model." or "model.language_model."
  std::int64_t n_layers = 0;
  std::int64_t n_mtp_layers = 0;
  bool mtp_shares_layers = false;
  std::int64_t hidden = 0;
  std::int64_t n_heads = 0;
  std::int64_t n_kv_heads = 0;
  std::int64_t head_dim = 0;
  bool states_head_dim = false;
  std::int64_t ffn_width = 0;
  std::int64_t vocab = 0;
  std::int64_t max_context = 0;
  double rms_eps = 0;
  double rope_theta = 0;
  std::optional<Llama3Rope> rope_scaling;
  bool tied_head = false;
  std::optional<std::int64_t> window;
  std::vector<bool> slides;  // one entry a layer_types entry, at least n_layers; empty without a window
  std::optional<HfMixtureConfig> mixture;
  bool has_vision = false;
};

// Errors: kUnsupported for another architecture, kBadInput (file, key, expected, found).
HfConfig read_hf_config(const Checkpoint& checkpoint);
// Of a checkpoint whose HfConfig says has_vision; needs preprocessor_config.json or processor_config.json.
// Errors: as read_hf_config; kUnsupported where full attention is not in every n-th block.
HfVisionConfig read_hf_vision_config(const Checkpoint& checkpoint);

}  // namespace exa
