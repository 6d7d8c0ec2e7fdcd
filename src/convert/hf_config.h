// What only a converter needs to know of a Hugging Face folder, on top of what running it takes.
//
// Ownership and threads: values.
// Source: exaone-models specification 1.1, 1.2, 3.1, 4.5; the published config.json files.
#pragma once

#include <cstdint>

#include "formats/checkpoint.h"
#include "model/arch/family.h"
#include "model/config.h"
#include "model/vision_config.h"

namespace exa {

struct HfConfig {
  const Family* family = nullptr;
  ModelConfig model;
  bool states_head_dim = false;    // else readers divide hidden by n_heads
  bool mtp_shares_layers = false;  // all drafting layers have the tensors of the first
  bool has_vision = false;
};

struct HfVisionConfig {
  VisionConfig tower;
  std::int64_t image_px = 0;               // of the picture that GGUF readers warm up with
  std::int64_t full_attention_period = 0;  // block i sees everything iff (i + 1) % period == 0
};

// Errors: kBadInput where this is no Hugging Face folder; as read_stated_config.
HfConfig read_hf_config(const Checkpoint& checkpoint);
// Of a checkpoint whose HfConfig says has_vision. Errors: as read_vision_config; kUnsupported where full
// attention is not in every n-th block.
HfVisionConfig read_hf_vision_config(const Checkpoint& checkpoint);

}  // namespace exa
