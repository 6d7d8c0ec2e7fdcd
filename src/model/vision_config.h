// What a checkpoint says about the vision tower of EXAONE 4.5.
//
//   name          Hugging Face vision_config      GGUF key (after "clip.vision.")
//   hidden        hidden_size                     embedding_length
//   n_layers      depth                           block_count
//   n_heads       num_heads                       attention.head_count
//   n_kv_heads    num_key_value_heads             attention.head_count_kv
//   ffn_width     intermediate_size               feed_forward_length
//   out_hidden    out_hidden_size                 projection_dim
//   patch_px      patch_size                      patch_size
//   merge         spatial_merge_size              spatial_merge_size
//   window_px     window_size                     window_size
//   full          fullatt_block_indexes           n_wa_pattern
//   min_pixels    size.shortest_edge              image_min_pixels
//   max_pixels    size.longest_edge               image_max_pixels
//
// A cell is merge x merge patches: what becomes one token of the text model.
// Ownership and threads: a value.
// Source: exaone-models specification 1.2, 4.2, 4.5; transformers' Exaone4_5 classes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "formats/checkpoint.h"

namespace exa {

struct VisionConfig {
  std::int64_t hidden = 0;
  std::int64_t n_heads = 0;
  std::int64_t n_kv_heads = 0;
  std::int64_t head_dim = 0;  // hidden / n_heads
  std::int64_t ffn_width = 0;
  std::int64_t out_hidden = 0;  // the text model's hidden
  std::int64_t patch_px = 0;
  std::int64_t merge = 0;      // patches a side of a cell
  std::int64_t window_px = 0;  // a side of an attention window
  float rms_eps = 0;
  std::vector<bool> full;        // n_layers entries: the block sees the whole frame, else a window
  std::array<float, 3> mean{};   // of red, green, blue in 0 … 1
  std::array<float, 3> std{};
  std::int64_t min_pixels = 0;
  std::int64_t max_pixels = 0;

  static constexpr std::int64_t kFramesAPatch = 2;
  static constexpr std::int64_t kChannels = 3;

  std::int64_t n_layers() const { return static_cast<std::int64_t>(full.size()); }
  std::int64_t cell_px() const { return patch_px * merge; }
  std::int64_t patches_a_cell() const { return merge * merge; }
  std::int64_t cells_a_window() const { return window_px / patch_px / merge; }  // a side
  bool operator==(const VisionConfig&) const = default;
  std::int64_t patch_values() const { return kChannels * kFramesAPatch * patch_px * patch_px; }
};

// True where the checkpoint holds a vision tower: a Hugging Face folder with vision_config and its weights,
// an mmproj GGUF, or a GGUF file that holds both models.
bool has_vision(const Checkpoint& checkpoint);

// A folder's preprocessor_config.json or processor_config.json says how pictures are resized and normed.
// Errors: kBadInput naming key, expected and found; kUnsupported for another kind of tower.
VisionConfig read_vision_config(const Checkpoint& checkpoint);

// Lets pictures become at least min_tokens and at most max_tokens; 0 keeps what the model says. Errors:
// kUsage where they are out of 1 … 16384 or the wrong way round.
inline constexpr std::int64_t kMostImageTokens = 16384;
void set_image_tokens(VisionConfig& config, std::int64_t min_tokens, std::int64_t max_tokens);

}  // namespace exa
