#include "model/arch/exaone4.h"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "model/config_reader.h"

namespace exa::exaone4 {
namespace {

using nlohmann::ordered_json;

struct PartName {
  std::string_view gguf;
  std::string_view huggingface;
};

constexpr std::array<PartName, 11> kParts = {{
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"post_attention_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"post_ffw_norm", "post_feedforward_layernorm"},
}};

// Hugging Face: a layer rotates iff it slides, or nothing in the model slides.
LayerSpec layer_spec(bool slides, std::int64_t window) {
  if (window == 0) return {.window = 0, .rope = true};
  return {.window = slides ? window : 0, .rope = slides};
}

std::vector<bool> sliding_layers(const JsonReader& text, std::int64_t n_layers) {
  std::vector<bool> slides(static_cast<std::size_t>(n_layers), false);
  if (const ordered_json* types = text.find("layer_types")) {
    if (!types->is_array() || types->size() < slides.size()) {
      throw text.error("layer_types",
                       "a list of at least num_hidden_layers = " + std::to_string(n_layers) + " entries",
                       types->is_array() ? std::to_string(types->size()) + " entries" : types->type_name());
    }
    for (std::size_t i = 0; i < slides.size(); ++i) {
      const ordered_json& type = (*types)[i];
      if (type != "sliding_attention" && type != "full_attention") {
        throw text.error("layer_types[" + std::to_string(i) + "]",
                         "\"sliding_attention\" or \"full_attention\"",
                         type.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
      }
      slides[i] = type == "sliding_attention";
    }
    return slides;
  }
  // The defaults of transformers: every fourth layer is global.
  std::int64_t period = 4;
  if (const ordered_json* pattern = text.find("sliding_window_pattern")) {
    if (pattern->is_string()) {
      const auto& letters = pattern->get_ref<const std::string&>();
      if (letters.empty() || letters.find_first_not_of("LG") != std::string::npos) {
        throw text.error("sliding_window_pattern", "letters L and G", '"' + letters + '"');
      }
      for (std::size_t i = 0; i < slides.size(); ++i) slides[i] = letters[i % letters.size()] == 'L';
      return slides;
    }
    period = text.integer("sliding_window_pattern", 0, 512);
  }
  if (period == 0) return slides;
  for (std::int64_t i = 0; i < n_layers; ++i) slides[static_cast<std::size_t>(i)] = (i + 1) % period != 0;
  return slides;
}

void read_rope(const JsonReader& text, ModelConfig& config) {
  const bool nested = text.find("rope_parameters") != nullptr;
  const char* const key = nested ? "rope_parameters" : "rope_scaling";
  const ordered_json* const found = text.find(key);
  if (!found) {
    config.rope_theta = text.number("rope_theta", 1.0, 1e12);
    return;
  }
  const JsonReader rope = text.object(key);
  config.rope_theta =
      rope.find("rope_theta") ? rope.number("rope_theta", 1.0, 1e12) : text.number("rope_theta", 1.0, 1e12);
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

}  // namespace

bool is_gguf_architecture(std::string_view name) {
  return name == "exaone4";
}

bool is_huggingface_model_type(std::string_view name) {
  return name == "exaone4" || name == "exaone4_5" || name == "exaone4_5_text";
}

ModelConfig read_huggingface_config(const Checkpoint& checkpoint) {
  const JsonReader root(checkpoint.config(), (checkpoint.path() / "config.json").string());
  const JsonReader text = root.find("text_config") ? root.object("text_config") : root;

  ModelConfig config;
  config.architecture = Architecture::kExaone4;
  config.architecture_name = root.string("model_type");
  config.model_name = checkpoint.path().filename().string();
  if (root.find("quantization_config")) {
    throw Error(ErrorKind::kUnsupported,
                "weights stored in a quantized Hugging Face format, expected plain bf16, f16 or f32",
                root.where("quantization_config"));
  }
  config.hidden = text.integer("hidden_size", 1, kMaxWidth);
  config.n_heads = text.integer("num_attention_heads", 1, kMaxWidth);
  config.n_kv_heads = text.integer("num_key_value_heads", 1, kMaxWidth);
  config.head_dim =
      text.find("head_dim") ? text.integer("head_dim", 1, kMaxWidth) : config.hidden / config.n_heads;
  config.ffn_width = text.integer("intermediate_size", 1, kMaxWidth);
  config.vocab = text.integer("vocab_size", 1, kMaxVocab);
  config.max_context = text.integer("max_position_embeddings", 1, kMaxContext);
  config.rms_eps =
      text.find("rms_norm_eps") ? static_cast<float>(text.number("rms_norm_eps", 0.0, 1.0)) : 1e-5f;
  if (text.find("hidden_act") && text.string("hidden_act") != "silu") {
    throw Error(ErrorKind::kUnsupported,
                "activation \"" + text.string("hidden_act") + "\", expected \"silu\"",
                text.where("hidden_act"));
  }
  // The outer object decides where there is one (EXAONE 4.5).
  config.tied_head = root.find("tie_word_embeddings")   ? root.boolean("tie_word_embeddings")
                     : text.find("tie_word_embeddings") ? text.boolean("tie_word_embeddings")
                                                        : false;
  for (const char* key : {"num_nextn_predict_layers", "_num_mtp_layers"}) {
    if (text.find(key)) {
      config.n_mtp_layers = text.integer(key, 0, 4);
      break;
    }
  }
  read_rope(text, config);

  const std::int64_t n_layers = text.integer("num_hidden_layers", 1, kMaxLayers);
  // transformers: an absent key means 4096, a null no window at all.
  const bool is_null = text.has_key("sliding_window") && !text.find("sliding_window");
  config.window = is_null                          ? 0
                  : text.has_key("sliding_window") ? text.integer("sliding_window", 1, kMaxContext)
                                                   : 4096;
  const std::vector<bool> slides = config.window > 0
                                       ? sliding_layers(text, n_layers)
                                       : std::vector<bool>(static_cast<std::size_t>(n_layers), false);
  for (const bool layer_slides : slides) config.layers.push_back(layer_spec(layer_slides, config.window));
  return config;
}

ModelConfig read_gguf_config(const Checkpoint& checkpoint) {
  const GgufReader gguf(checkpoint, "exaone4.");
  ModelConfig config;
  config.architecture = Architecture::kExaone4;
  config.architecture_name = "exaone4";
  if (const std::string* model_name = checkpoint.get_string("general.name")) config.model_name = *model_name;
  config.hidden = gguf.integer("embedding_length", 1, kMaxWidth);
  config.n_heads = gguf.integer("attention.head_count", 1, kMaxWidth);
  config.n_kv_heads = gguf.integer("attention.head_count_kv", 1, kMaxWidth);
  config.head_dim = gguf.integer_or("attention.key_length", 1, kMaxWidth, config.hidden / config.n_heads);
  const std::int64_t value_dim = gguf.integer_or("attention.value_length", 1, kMaxWidth, config.head_dim);
  if (value_dim != config.head_dim) {
    throw gguf.error("attention.value_length", "attention.key_length = " + std::to_string(config.head_dim),
                     std::to_string(value_dim));
  }
  const std::int64_t rope_dim = gguf.integer_or("rope.dimension_count", 1, kMaxWidth, config.head_dim);
  if (rope_dim != config.head_dim) {
    throw gguf.error("rope.dimension_count", "attention.key_length = " + std::to_string(config.head_dim),
                     std::to_string(rope_dim));
  }
  config.ffn_width = gguf.integer("feed_forward_length", 1, kMaxWidth);
  config.max_context = gguf.integer("context_length", 1, kMaxContext);
  config.rms_eps = static_cast<float>(gguf.number("attention.layer_norm_rms_epsilon", 0.0, 1.0));
  config.rope_theta = gguf.number_or("rope.freq_base", 1.0, 1e12, 10000.0);
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

  const std::string pattern_key = "exaone4.attention.sliding_window_pattern";
  std::vector<bool> slides(static_cast<std::size_t>(n_layers), false);
  std::int64_t period = 4;
  config.window = gguf.integer_or("attention.sliding_window", 0, kMaxContext, 0);
  // The first published 32B files lack the keys; their depth tells them apart.
  if (!checkpoint.has("exaone4.attention.sliding_window") && n_layers == 64) config.window = 4096;
  if (config.window > 0) {
    const bool is_array =
        checkpoint.has(pattern_key) && gguf.is_bool_array("attention.sliding_window_pattern");
    if (is_array) {
      const std::vector<bool> stated = *checkpoint.get_bools(pattern_key);
      if (stated.size() < slides.size()) {
        throw gguf.error("attention.sliding_window_pattern",
                         "at least " + std::to_string(n_layers) + " entries, one a layer",
                         std::to_string(stated.size()));
      }
      slides.assign(stated.begin(), stated.begin() + n_layers);
    } else {
      period = gguf.integer_or("attention.sliding_window_pattern", 1, 512, period);
      for (std::int64_t i = 0; i < n_layers; ++i)
        slides[static_cast<std::size_t>(i)] = i % period < period - 1;
    }
  }
  for (const bool layer_slides : slides) config.layers.push_back(layer_spec(layer_slides, config.window));
  return config;
}

TensorNames::TensorNames(const Checkpoint& checkpoint)
    : gguf_(checkpoint.format() == CheckpointFormat::kGguf),
      prefix_(checkpoint.find("model.language_model.embed_tokens.weight") ? "model.language_model."
                                                                          : "model.") {}

std::string TensorNames::embedding() const {
  return gguf_ ? "token_embd.weight" : prefix_ + "embed_tokens.weight";
}
std::string TensorNames::final_norm() const {
  return gguf_ ? "output_norm.weight" : prefix_ + "norm.weight";
}
std::string TensorNames::head() const {
  return gguf_ ? "output.weight" : "lm_head.weight";
}

std::string TensorNames::layer(std::int64_t index, std::string_view part) const {
  if (gguf_) return "blk." + std::to_string(index) + "." + std::string(part) + ".weight";
  for (const PartName& entry : kParts) {
    if (entry.gguf == part) {
      return prefix_ + "layers." + std::to_string(index) + "." + std::string(entry.huggingface) + ".weight";
    }
  }
  throw Error(ErrorKind::kInternal, "no tensor name for layer part " + std::string(part));
}

bool TensorNames::is_beside(std::string_view tensor_name, const ModelConfig& config) const {
  if (gguf_) {
    if (tensor_name == kRopeFactors || tensor_name.starts_with("v.") || tensor_name.starts_with("mm."))
      return true;
    for (std::int64_t i = 0; i < config.n_mtp_layers; ++i) {
      if (tensor_name.starts_with("blk." + std::to_string(config.n_layers() + i) + ".")) return true;
    }
    return false;
  }
  return tensor_name.starts_with("mtp.") || tensor_name.starts_with("model.visual.") ||
         tensor_name.ends_with("rotary_emb.inv_freq") || (config.tied_head && tensor_name == head());
}

}  // namespace exa::exaone4
