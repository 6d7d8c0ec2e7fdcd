#include "model/arch/text_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"

namespace exa {
namespace {

using nlohmann::ordered_json;

// Where no file says how often a layer is global.
constexpr std::int64_t kDefaultPeriod = 4;

JsonReader root_object(const Checkpoint& checkpoint) {
  return JsonReader(checkpoint.config(), (checkpoint.path() / "config.json").string());
}

std::string prefix(std::string_view architecture) {
  return std::string(architecture) + ".";
}

void read_json_rope(const JsonReader& text, ModelConfig& config) {
  const char* const key = text.find("rope_scaling") ? "rope_scaling" : "rope_parameters";
  if (!text.find(key)) {
    config.rope_theta = static_cast<float>(text.number("rope_theta", 1.0, 1e12));
    return;
  }
  const JsonReader rope = text.object(key);
  config.rope_theta =
      static_cast<float>((rope.find("rope_theta") ? rope : text).number("rope_theta", 1.0, 1e12));
  const std::string type = rope.find("rope_type") ? rope.string("rope_type") : rope.string("type");
  if (type == "default") return;
  if (type != "llama3") {
    throw Error(ErrorKind::kUnsupported, "rope_type \"" + type + "\", expected \"llama3\" or \"default\"",
                rope.where("rope_type"));
  }
  config.rope_scaling = Llama3Rope{
      .factor = static_cast<float>(rope.number("factor", 1.0, 1e6)),
      .low_freq_factor = static_cast<float>(rope.number("low_freq_factor", 1e-3, 1e6)),
      .high_freq_factor = static_cast<float>(rope.number("high_freq_factor", 1e-3, 1e6)),
      .original_context = static_cast<float>(rope.number("original_max_position_embeddings", 1.0, 1e9)),
  };
  if (config.rope_scaling->high_freq_factor <= config.rope_scaling->low_freq_factor) {
    throw rope.error("high_freq_factor", "more than low_freq_factor", "no more than it");
  }
}

// One entry a layer; layer_types may go on with those of the drafting layers.
std::vector<bool> json_sliding_layers(const JsonReader& text, std::int64_t n_layers) {
  std::vector<bool> slides;
  if (const ordered_json* types = text.find("layer_types")) {
    if (!types->is_array() || types->size() < static_cast<std::size_t>(n_layers) ||
        types->size() > static_cast<std::size_t>(kMaxLayers)) {
      throw text.error("layer_types",
                       "a list of " + std::to_string(n_layers) + " to " + std::to_string(kMaxLayers) +
                           " entries, at least num_hidden_layers",
                       types->is_array() ? std::to_string(types->size()) + " entries" : types->type_name());
    }
    for (const ordered_json& type : *types) {
      if (type != "sliding_attention" && type != "full_attention") {
        throw text.error("layer_types[" + std::to_string(slides.size()) + "]",
                         "\"sliding_attention\" or \"full_attention\"",
                         type.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
      }
      slides.push_back(type == "sliding_attention");
    }
    return slides;
  }
  std::int64_t period = kDefaultPeriod;
  if (const ordered_json* pattern = text.find("sliding_window_pattern")) {
    if (pattern->is_string()) {
      const auto& letters = pattern->get_ref<const std::string&>();
      if (letters.empty() || letters.find_first_not_of("LG") != std::string::npos) {
        throw text.error("sliding_window_pattern", "letters L and G", '"' + letters + '"');
      }
      for (std::int64_t i = 0; i < n_layers; ++i) {
        slides.push_back(letters[static_cast<std::size_t>(i) % letters.size()] == 'L');
      }
      return slides;
    }
    period = text.integer("sliding_window_pattern", 1, kMaxLayers);
  }
  for (std::int64_t i = 0; i < n_layers; ++i) slides.push_back((i + 1) % period != 0);
  return slides;
}

// slides: at least one entry a layer; the next ones are the drafting layers'.
void set_windows(std::int64_t window, const std::vector<bool>& slides, ModelConfig& config) {
  config.window = window;
  if (window == 0) return;
  const std::size_t n_layers = config.layers.size();
  for (std::size_t i = 0; i < n_layers; ++i) {
    config.layers[i].window = slides[i] ? window : 0;
    config.layers[i].rope = slides[i];
  }
  const std::size_t n_blocks = n_layers + static_cast<std::size_t>(config.n_mtp_layers);
  for (std::size_t i = n_layers; i < std::min(slides.size(), n_blocks); ++i) {
    config.draft_slides.push_back(slides[i]);
  }
}

}  // namespace

JsonReader text_object(const Checkpoint& checkpoint) {
  const JsonReader root = root_object(checkpoint);
  return root.find("text_config") ? root.object("text_config") : root;
}

ModelConfig read_json_dimensions(const Checkpoint& checkpoint, const LayerSpec& layer, const JsonKeys& keys) {
  const JsonReader root = root_object(checkpoint);
  const JsonReader text = text_object(checkpoint);
  ModelConfig config;
  config.architecture_name = root.string("model_type");
  config.model_name = checkpoint.path().filename().string();
  config.hidden = text.integer("hidden_size", 1, kMaxWidth);
  config.n_heads = text.integer("num_attention_heads", 1, kMaxWidth);
  config.n_kv_heads = text.integer("num_key_value_heads", 1, kMaxWidth);
  config.head_dim = text.integer_or("head_dim", 1, kMaxWidth, config.hidden / config.n_heads);
  config.ffn_width = text.integer("intermediate_size", 1, kMaxWidth);
  config.vocab = text.integer("vocab_size", 1, kMaxVocab);
  config.max_context = text.integer("max_position_embeddings", 1, kMaxContext);
  config.rms_eps = static_cast<float>(text.number_or(keys.rms_eps, 0.0, 1.0, 1e-5));
  if (text.find(keys.activation) && text.string(keys.activation) != "silu") {
    throw Error(ErrorKind::kUnsupported,
                "activation \"" + text.string(keys.activation) + "\", expected \"silu\"",
                text.where(keys.activation));
  }
  // The outer object decides where there is one (EXAONE 4.5).
  config.tied_head =
      (root.find("tie_word_embeddings") ? root : text).boolean_or("tie_word_embeddings", false);
  for (const char* key : {"num_nextn_predict_layers", "_num_mtp_layers"}) {
    if (text.find(key)) {
      config.n_mtp_layers = text.integer(key, 0, 4);
      break;
    }
  }
  read_json_rope(text, config);
  config.layers.assign(static_cast<std::size_t>(text.integer(keys.n_layers, 1, kMaxLayers)), layer);
  return config;
}

void read_json_windows(const Checkpoint& checkpoint, std::int64_t absent_window, ModelConfig& config) {
  const JsonReader text = text_object(checkpoint);
  // A null means no window at all.
  const std::int64_t window = text.find("sliding_window") ? text.integer("sliding_window", 1, kMaxContext)
                              : text.has_key("sliding_window") ? 0
                                                               : absent_window;
  if (window > 0) set_windows(window, json_sliding_layers(text, config.n_layers()), config);
}

ModelConfig read_gguf_dimensions(const Checkpoint& checkpoint, std::string_view architecture,
                                 const LayerSpec& layer) {
  const GgufReader gguf(checkpoint, prefix(architecture));
  ModelConfig config;
  config.architecture_name = architecture;
  if (const std::string* model_name = checkpoint.get_string("general.name")) config.model_name = *model_name;
  config.hidden = gguf.integer("embedding_length", 1, kMaxWidth);
  config.n_heads = gguf.integer("attention.head_count", 1, kMaxWidth);
  config.n_kv_heads = gguf.integer("attention.head_count_kv", 1, kMaxWidth);
  config.head_dim = gguf.integer_or("attention.key_length", 1, kMaxWidth, config.hidden / config.n_heads);
  for (const char* key : {"attention.value_length", "rope.dimension_count"}) {
    const std::int64_t stated = gguf.integer_or(key, 1, kMaxWidth, config.head_dim);
    if (stated != config.head_dim) {
      throw gguf.error(key, "attention.key_length = " + std::to_string(config.head_dim),
                       std::to_string(stated));
    }
  }
  config.ffn_width = gguf.integer("feed_forward_length", 1, kMaxWidth);
  config.max_context = gguf.integer("context_length", 1, kMaxContext);
  config.rms_eps = static_cast<float>(gguf.number("attention.layer_norm_rms_epsilon", 0.0, 1.0));
  config.rope_theta = static_cast<float>(gguf.number_or("rope.freq_base", 1.0, 1e12, 10000.0));
  const TensorInfo* embedding = checkpoint.find("token_embd.weight");
  config.vocab = gguf.integer_or("vocab_size", 1, kMaxVocab,
                                 embedding ? static_cast<std::int64_t>(embedding->n_rows()) : 0);
  config.tied_head = checkpoint.find("output.weight") == nullptr;

  const std::int64_t n_blocks = gguf.integer("block_count", 1, kMaxLayers);
  config.n_mtp_layers = gguf.integer_or("nextn_predict_layers", 0, 4, 0);
  const std::int64_t n_layers = n_blocks - config.n_mtp_layers;
  if (n_layers < 1) {
    throw gguf.error("nextn_predict_layers", "fewer than block_count = " + std::to_string(n_blocks),
                     std::to_string(config.n_mtp_layers));
  }
  config.layers.assign(static_cast<std::size_t>(n_layers), layer);
  return config;
}

void read_gguf_windows(const Checkpoint& checkpoint, std::string_view architecture,
                       std::int64_t absent_window, ModelConfig& config) {
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  const GgufReader gguf(checkpoint, prefix(architecture));
  const std::int64_t window = gguf.integer_or("attention.sliding_window", 0, kMaxContext, absent_window);
  if (window == 0) return;
  if (const std::optional<std::vector<bool>> stated = gguf.bools(kPattern)) {
    if (stated->size() < config.layers.size() || stated->size() > static_cast<std::size_t>(kMaxLayers)) {
      throw gguf.error(kPattern,
                       std::to_string(config.n_layers()) + " to " + std::to_string(kMaxLayers) +
                           " entries, at least one a layer",
                       std::to_string(stated->size()));
    }
    set_windows(window, *stated, config);
    return;
  }
  const std::int64_t period = gguf.integer_or(kPattern, 1, kMaxLayers, kDefaultPeriod);
  std::vector<bool> slides;
  for (std::int64_t i = 0; i < config.n_layers(); ++i) slides.push_back(i % period < period - 1);
  set_windows(window, slides, config);
}

}  // namespace exa
