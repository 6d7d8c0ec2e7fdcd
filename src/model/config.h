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

enum class Architecture { kExaone4 };

struct LayerSpec {
  std::int64_t window = 0;  // visible positions including the token itself; 0: all (global layer)
  bool rope = true;
};

// How rotary frequencies are stretched (Hugging Face rope_type "llama3").
struct Llama3Rope {
  float factor;
  float low_freq_factor;
  float high_freq_factor;
  float original_context;
};

struct ModelConfig {
  Architecture architecture = Architecture::kExaone4;
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
  double rope_theta = 0;
  std::optional<Llama3Rope> rope_scaling;  // from a config; GGUF brings rope_freqs.weight instead
  bool tied_head = false;
  std::int64_t n_mtp_layers = 0;  // layers after the last one that draft tokens
  std::int64_t window = 0;        // of the sliding layers; 0 where there are none
  std::vector<LayerSpec> layers;  // n_layers entries

  std::int64_t n_layers() const { return static_cast<std::int64_t>(layers.size()); }
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

// Errors: kUnsupported for an architecture this program does not run; kBadInput naming key, expected and
// found for a missing, mistyped or contradictory value (heads that do not divide, window 0, more than 512
// layers, …).
ModelConfig read_config(const Checkpoint& checkpoint);
StatedSampling read_stated_sampling(const Checkpoint& checkpoint);

// inv_freq[j] for j < head_dim / 2 in fp32 as Hugging Face computes them; rope_factors (GGUF
// rope_freqs.weight, head_dim / 2 entries) divide where given, else config.rope_scaling applies.
std::vector<float> rope_inverse_frequencies(const ModelConfig& config,
                                            const std::vector<float>* rope_factors);

}  // namespace exa
