// EXAONE 4.0 and the text half of EXAONE 4.5: where their hyperparameters and tensors are found.
//
// Ownership and threads: pure functions.
// Source: exaone-models specification 1.1, 2.3, 2.8, 7.3; transformers' configuration_exaone4.py (defaults).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "formats/checkpoint.h"
#include "model/config.h"

namespace exa::exaone4 {

// general.architecture of a GGUF, or model_type of a config.json.
bool is_gguf_architecture(std::string_view name);
bool is_huggingface_model_type(std::string_view name);

// Errors: as read_config.
ModelConfig read_gguf_config(const Checkpoint& checkpoint);
ModelConfig read_huggingface_config(const Checkpoint& checkpoint);

// How this checkpoint spells the network's tensors.
class TensorNames {
 public:
  explicit TensorNames(const Checkpoint& checkpoint);

  std::string embedding() const;
  std::string final_norm() const;
  std::string head() const;
  // A layer's tensor by its GGUF part, e.g. (3, "attn_q") → "blk.3.attn_q.weight" or
  // "model.layers.3.self_attn.q_proj.weight".
  std::string layer(std::int64_t index, std::string_view part) const;
  static constexpr std::string_view kRopeFactors = "rope_freqs.weight";

  // True for tensors that belong to rooms beside the text decoder (drafting layer, vision tower, rotary
  // buffers).
  bool is_beside(std::string_view tensor_name, const ModelConfig& config) const;

 private:
  bool gguf_;
  std::string prefix_;  // Hugging Face: "model." or "model.language_model."
};

}  // namespace exa::exaone4
