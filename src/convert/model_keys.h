// The keys general.*, those of the architecture and those of the vision tower, from a checkpoint's config.
//
// Ownership and threads: free functions.
// Source: exaone-models specification 4.5, 7.3, 7.4, 11; ggml's gguf.md for general.*.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convert/gguf_metadata.h"
#include "convert/hf_config.h"
#include "convert/tensor_plan.h"

namespace exa {

// "1.2B" for the sum of the tensors' elements, "8x5.7M" for a mixture of 8 experts.
std::string size_label(const std::vector<PlannedTensor>& tensors);

// general.architecture, .type, .sampling.*, .name, .size_label, .license, .base_model.*, … type: "model" or
// "mmproj". Errors: kBadInput for a broken generation_config.json.
void add_general_keys(const Checkpoint& checkpoint, const std::string& architecture, const std::string& type,
                      const std::vector<PlannedTensor>& tensors, GgufMetadata& metadata);

// exaone4.*, exaone-moe.*, …; the drafting layers are those that the file holds.
void add_architecture_keys(const HfConfig& config, GgufMetadata& metadata);

// clip.*
void add_vision_keys(const HfVisionConfig& vision, GgufMetadata& metadata);

}  // namespace exa
