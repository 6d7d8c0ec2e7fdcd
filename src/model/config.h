// What a checkpoint says about the network: the family as data, one LayerSpec a layer.
//
// One spelling per dimension, everywhere in the project:
//   name          Hugging Face config          GGUF key (after "<arch>.")
//   hidden        hidden_size                  embedding_length
//   n_layers      num_hidden_layers            block_count − nextn_predict_layers
//   n_heads       num_attention_heads          attention.head_count
//   n_kv_heads    num_key_value_heads          attention.head_count_kv
//   head_dim      head_dim (or hidden/heads)   attention.key_length
//   ffn_width     intermediate_size            feed_forward_length
//   vocab         vocab_size                   vocab_size (or the length of tokenizer.ggml.tokens)
//   window        sliding_window               attention.sliding_window
//   n_tokens      rows of a step (not stored)
//
// Ownership and threads: a value.
// Source: exaone-models specification 1.1, 2.2, 7.3; config.json of the published checkpoints; transformers'
// configuration_exaone4.py for defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace exa {

// Where a sublayer is normed: its output before it is added to the residual stream, or its input.
enum class NormPlacement : std::uint8_t { kPost, kPre };

struct LayerSpec {
  std::int64_t window = 0;  // visible positions including the token itself; 0: all (global layer)
  bool rope = true;
  NormPlacement norm = NormPlacement::kPost;
  bool qk_norm = true;  // queries and keys are normed head by head

  bool operator==(const LayerSpec&) const = default;
};

// How rotary frequencies are stretched (Hugging Face rope_type "llama3").
struct Llama3Rope {
  float factor;
  float low_freq_factor;
  float high_freq_factor;
  float original_context;

  bool operator==(const Llama3Rope&) const = default;
};

// Feed-forward networks of which a router picks some for each token (K-EXAONE).
struct MixtureConfig {
  std::int64_t n_experts = 0;
  std::int64_t n_used = 0;
  std::int64_t n_shared = 0;
  std::int64_t ffn_width = 0;  // of one expert
  std::optional<std::int64_t> n_groups;
  std::optional<std::int64_t> n_used_groups;
  bool softmax_gate = false;  // else sigmoid
  bool normalize = true;      // the used experts' weights
  float scale = 1.0F;         // of the routed sum
  std::int64_t n_leading_dense = 0;
  std::vector<bool> is_sparse;  // n_layers entries: the layer has experts

  bool operator==(const MixtureConfig&) const = default;
};

struct ModelConfig {
  std::string architecture_name;  // as the file spells it: "exaone4", "exaone4_5", …
  std::string model_name;         // general.name or the folder's name; may be empty

  std::int64_t hidden = 0;
  std::int64_t n_heads = 0;
  std::int64_t n_kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t ffn_width = 0;
  std::int64_t vocab = 0;
  std::int64_t max_context = 0;  // max_position_embeddings / context_length, in tokens
  float rms_eps = 0;
  float rope_theta = 0;
  std::optional<Llama3Rope> rope_scaling;  // from a config; GGUF brings rope_freqs.weight instead
  bool tied_head = false;                  // the embedding serves as head
  std::int64_t n_mtp_layers = 0;           // layers after the last one that draft tokens
  std::int64_t window = 0;                 // of the sliding layers; 0 where there are none
  std::vector<LayerSpec> layers;           // n_layers entries
  std::vector<bool> draft_slides;          // of the drafting layers, as far as the file says it
  std::optional<MixtureConfig> mixture;

  std::int64_t n_layers() const { return static_cast<std::int64_t>(layers.size()); }
  bool operator==(const ModelConfig&) const = default;
};

// Sampling defaults a checkpoint states, field by field (generation_config.json or general.sampling.*).
struct StatedSampling {
  std::optional<bool> do_sample;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<std::int64_t> top_k;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
};

// What the checkpoint says of a model that this program runs. Errors: as read_stated_config; kUnsupported
// where it does not run the architecture, its widths or the way its weights are stored.
ModelConfig read_config(const Checkpoint& checkpoint);
// What the checkpoint says, whether this program runs it or only converts it. Errors: kUnsupported for an
// architecture this program does not know; kBadInput naming key, expected and found for a missing, mistyped
// or contradictory value (heads that do not divide, window 0, more than 512 layers, …).
ModelConfig read_stated_config(const Checkpoint& checkpoint);
StatedSampling read_stated_sampling(const Checkpoint& checkpoint);

// inv_freq[j] for j < head_dim / 2 in fp32 as Hugging Face computes them; rope_factors (GGUF
// rope_freqs.weight, head_dim / 2 entries) divide where given, else config.rope_scaling applies.
std::vector<float> rope_inverse_frequencies(const ModelConfig& config,
                                            const std::vector<float>* rope_factors);

}  // namespace exa
