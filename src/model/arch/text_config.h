// The hyperparameters of a text decoder, read from config.json and from GGUF keys: what the architectures'
// readers are put together from.
//
// Ownership and threads: pure functions.
// Source: exaone-models specification 1.1, 7.3; transformers' configuration classes and
// modeling_rope_utils.py.
#pragma once

#include <cstdint>
#include <string_view>

#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/config_reader.h"

namespace exa {

// config.json's text_config, or the whole where there is none.
JsonReader text_object(const Checkpoint& checkpoint);

// Keys of config.json whose spelling differs between generations.
struct JsonKeys {
  std::string_view n_layers = "num_hidden_layers";
  std::string_view rms_eps = "rms_norm_eps";
  std::string_view activation = "hidden_act";
};

// Everything but windows and experts. All layers are `layer` and global. Errors: as read_config.
ModelConfig read_json_dimensions(const Checkpoint& checkpoint, const LayerSpec& layer,
                                 const JsonKeys& keys = {});
ModelConfig read_gguf_dimensions(const Checkpoint& checkpoint, std::string_view architecture,
                                 const LayerSpec& layer);

// sliding_window, layer_types and sliding_window_pattern: a model with a window rotates in its sliding layers
// only. absent_window: what a file without the key means, 0 no window. Errors: as read_config.
void read_json_windows(const Checkpoint& checkpoint, std::int64_t absent_window, ModelConfig& config);
void read_gguf_windows(const Checkpoint& checkpoint, std::string_view architecture,
                       std::int64_t absent_window, ModelConfig& config);

}  // namespace exa
