// The vision tower's parameters, bound by name, checked by shape, packed for the kernels.
//
// Types with int8 activations (Q8_0, …) are decoded to a float type while they are packed: the tower never
// computes with int8 activations. Ownership and threads: VisionWeights owns packed matrices and vectors and
// is immutable after loading. Source: exaone-models specification 4.5 (names in both formats).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "model/vision_config.h"

namespace exa {

// A linear layer: y = weight · x + bias.
struct VisionLinear {
  Matrix weight;            // [out, in]
  std::vector<float> bias;  // [out]
};

struct VisionBlock {
  std::vector<float> attention_norm;  // [hidden]
  VisionLinear qkv;                   // [(n_heads + 2 n_kv_heads)·head_dim, hidden]
  VisionLinear o;                     // [hidden, n_heads·head_dim]
  std::vector<float> ffn_norm;        // [hidden]
  VisionLinear gate, up;              // [ffn_width, hidden]
  VisionLinear down;                  // [hidden, ffn_width]
};

struct VisionWeights {
  VisionConfig config;
  Precision precision = Precision::kProduction;
  Matrix patch;  // [hidden, patch_values]: channel, frame of the pair, row, column
  std::vector<VisionBlock> blocks;
  std::vector<float> merger_norm;  // [hidden]
  VisionLinear merger_in;          // [hidden·patches_a_cell, same]
  VisionLinear merger_out;         // [out_hidden, hidden·patches_a_cell]

  std::size_t size_bytes() const;
};

// What VisionWeights::size_bytes() will be for Precision::kProduction; tensors that are missing or have
// another shape, which load_vision_weights refuses, count as they are stored. Errors: those of
// Backend::packed_bytes.
std::size_t vision_weight_bytes(const Checkpoint& checkpoint, const VisionConfig& config,
                                const Backend& backend);

// The tower in a Hugging Face folder, an mmproj GGUF or a GGUF file that holds both models. progress is
// called with the bytes read so far. Errors: kBadInput for a missing tensor, a shape that does not follow
// from the config (tensor, expected, found) or a tensor without a place in the tower; kUnsupported for a type
// the kernels cannot use.
VisionWeights load_vision_weights(const Checkpoint& checkpoint, Backend& backend, Precision precision,
                                  const std::function<void(std::uint64_t done_bytes)>& progress = {});

}  // namespace exa
