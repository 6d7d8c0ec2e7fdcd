#include "convert/hf_config.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "formats/json_walk.h"
#include "model/config_reader.h"

namespace exa {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kMaxExperts = 4096;
constexpr std::int64_t kMaxPixels = std::int64_t{1} << 31;

std::int64_t integer_or(const JsonReader& json, std::string_view key, std::int64_t low, std::int64_t high,
                        std::int64_t fallback) {
  return json.find(key) ? json.integer(key, low, high) : fallback;
}

bool boolean_or(const JsonReader& json, std::string_view key, bool fallback) {
  return json.find(key) ? json.boolean(key) : fallback;
}

std::vector<bool> sliding_entries(const JsonReader& text, std::int64_t n_layers) {
  std::vector<bool> slides;
  if (const ordered_json* types = text.find("layer_types")) {
    const auto fewest = static_cast<std::size_t>(n_layers);
    if (!types->is_array() || types->size() < fewest ||
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
  std::int64_t period = 4;
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

void read_rope(const JsonReader& text, HfConfig& config) {
  const char* const key = text.find("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!text.find(key)) {
    config.rope_theta = text.number("rope_theta", 1.0, 1e12);
    return;
  }
  const JsonReader rope = text.object(key);
  config.rope_theta = (rope.find("rope_theta") ? rope : text).number("rope_theta", 1.0, 1e12);
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

HfMixtureConfig read_mixture(const JsonReader& text, std::int64_t n_layers) {
  HfMixtureConfig mixture;
  mixture.n_experts = text.integer("num_experts", 1, kMaxExperts);
  mixture.n_used = text.integer("num_experts_per_tok", 1, mixture.n_experts);
  mixture.n_shared = integer_or(text, "num_shared_experts", 0, kMaxExperts, 0);
  mixture.ffn_width = text.integer("moe_intermediate_size", 1, kMaxWidth);
  if (text.find("n_group")) mixture.n_groups = text.integer("n_group", 1, kMaxExperts);
  if (text.find("topk_group")) mixture.n_used_groups = text.integer("topk_group", 1, kMaxExperts);
  if (text.find("scoring_func")) {
    const std::string gate = text.string("scoring_func");
    if (gate != "sigmoid" && gate != "softmax") {
      throw Error(ErrorKind::kUnsupported, "expected \"sigmoid\" or \"softmax\", found \"" + gate + "\"",
                  text.where("scoring_func"));
    }
    mixture.softmax_gate = gate == "softmax";
  }
  mixture.normalize = boolean_or(text, "norm_topk_prob", true);
  if (text.find("routed_scaling_factor")) mixture.scale = text.number("routed_scaling_factor", 0.0, 1e6);

  // The first published revision spelled the key the second way.
  const char* const dense_key =
      text.find("first_k_dense_replace") ? "first_k_dense_replace" : "first_last_k_dense_replace";
  mixture.n_leading_dense = integer_or(text, dense_key, 0, n_layers, 0);
  for (std::int64_t i = 0; i < n_layers; ++i) mixture.is_moe_layer.push_back(i >= mixture.n_leading_dense);
  for (const char* key : {"is_moe_layer", "mlp_layer_types"}) {
    const ordered_json* list = text.find(key);
    if (!list) continue;
    if (!list->is_array() || list->size() < mixture.is_moe_layer.size()) {
      throw text.error(key, "a list of num_hidden_layers entries",
                       list->is_array() ? std::to_string(list->size()) + " entries" : list->type_name());
    }
    std::int64_t n_leading_dense = 0;
    for (std::size_t i = 0; i < mixture.is_moe_layer.size(); ++i) {
      const ordered_json& entry = (*list)[i];
      if (!entry.is_boolean() && entry != "sparse" && entry != "dense") {
        throw text.error(std::string(key) + "[" + std::to_string(i) + "]",
                         "true, false, \"sparse\" or \"dense\"",
                         entry.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
      }
      mixture.is_moe_layer[i] = entry == true || entry == "sparse";
      const bool still_dense = n_leading_dense == static_cast<std::int64_t>(i);
      if (still_dense && !mixture.is_moe_layer[i]) ++n_leading_dense;
    }
    if (!text.find(dense_key)) mixture.n_leading_dense = n_leading_dense;
    break;
  }
  return mixture;
}

std::vector<double> three_numbers(const JsonReader& json, std::string_view key) {
  const ordered_json* list = json.find(key);
  std::vector<double> numbers;
  if (list && list->is_array()) {
    for (const ordered_json& entry : *list) {
      if (entry.is_number()) numbers.push_back(entry.get<double>());
    }
  }
  if (!list || !list->is_array() || list->size() != 3 || numbers.size() != 3) {
    throw json.error(key, "a list of three numbers", list ? "something else" : "no such key");
  }
  return numbers;
}

void read_image_processor(const Checkpoint& checkpoint, HfVisionConfig& vision) {
  constexpr std::array<const char*, 2> kFiles = {"preprocessor_config.json", "processor_config.json"};
  for (const char* file : kFiles) {
    const auto text = checkpoint.side_file(file);
    if (!text) continue;
    const std::string where = (checkpoint.path() / file).string();
    const ordered_json parsed = parse_small_json(*text, where);
    const JsonReader root(parsed, where);
    const JsonReader processor = root.find("image_processor") ? root.object("image_processor") : root;
    vision.mean = three_numbers(processor, "image_mean");
    vision.std = three_numbers(processor, "image_std");
    const bool flat = processor.find("min_pixels") && processor.find("max_pixels");
    const JsonReader size = flat ? processor : processor.object("size");
    vision.min_pixels = size.integer(flat ? "min_pixels" : "shortest_edge", 1, kMaxPixels);
    vision.max_pixels = size.integer(flat ? "max_pixels" : "longest_edge", vision.min_pixels, kMaxPixels);
    return;
  }
  throw Error(
      ErrorKind::kBadInput,
      "expected preprocessor_config.json or processor_config.json for the vision tower, found neither",
      checkpoint.path().string());
}

std::int64_t full_attention_period(const JsonReader& json) {
  const ordered_json* list = json.find("fullatt_block_indexes");
  if (!list || !list->is_array() || list->empty()) {
    throw json.error("fullatt_block_indexes", "a list of block numbers",
                     list ? "something else" : "no such key");
  }
  std::int64_t period = 0;
  std::int64_t i = 0;
  for (const ordered_json& entry : *list) {
    const bool fits = entry.is_number_unsigned() && entry.get<std::uint64_t>() < 4096;
    const std::int64_t index = fits ? entry.get<std::int64_t>() : -1;
    if (i == 0) period = index + 1;
    if (!fits || index != period * (i + 1) - 1) {
      throw Error(ErrorKind::kUnsupported,
                  "entry " + std::to_string(i) + " is " +
                      entry.dump(-1, ' ', false, ordered_json::error_handler_t::replace) +
                      ", expected the last block of each of equally long runs",
                  json.where("fullatt_block_indexes"));
    }
    ++i;
  }
  return period;
}

}  // namespace

HfConfig read_hf_config(const Checkpoint& checkpoint) {
  if (checkpoint.format() != CheckpointFormat::kHuggingFace || checkpoint.config().is_null()) {
    throw Error(ErrorKind::kBadInput, "expected a Hugging Face folder with config.json, found none",
                checkpoint.path().string());
  }
  const JsonReader root(checkpoint.config(), (checkpoint.path() / "config.json").string());
  const JsonReader text = root.find("text_config") ? root.object("text_config") : root;

  HfConfig config;
  const std::string type = root.string("model_type");
  if (type == "exaone4" || type == "exaone4_5" || type == "exaone4_5_text") {
    config.architecture = "exaone4";
  } else if (type == "exaone_moe") {
    config.architecture = "exaone-moe";
  } else {
    throw Error(ErrorKind::kUnsupported,
                "model_type \"" + type + "\", expected \"exaone4\", \"exaone4_5\" or \"exaone_moe\"",
                root.where("model_type"));
  }
  config.tensor_prefix =
      checkpoint.find("model.language_model.embed_tokens.weight") ? "model.language_model." : "model.";
  config.n_layers = text.integer("num_hidden_layers", 1, kMaxLayers);
  config.hidden = text.integer("hidden_size", 1, kMaxWidth);
  config.n_heads = text.integer("num_attention_heads", 1, kMaxWidth);
  config.n_kv_heads = text.integer("num_key_value_heads", 1, config.n_heads);
  config.states_head_dim = text.find("head_dim") != nullptr;
  if (!config.states_head_dim && config.hidden % config.n_heads != 0) {
    throw text.error("num_attention_heads", "a divisor of hidden_size, as there is no head_dim",
                     std::to_string(config.n_heads));
  }
  config.head_dim =
      config.states_head_dim ? text.integer("head_dim", 2, kMaxWidth) : config.hidden / config.n_heads;
  if (config.head_dim % 2 != 0) {
    throw text.error("head_dim", "an even number", std::to_string(config.head_dim));
  }
  if (config.n_heads % config.n_kv_heads != 0) {
    throw text.error("num_key_value_heads",
                     "a divisor of num_attention_heads = " + std::to_string(config.n_heads),
                     std::to_string(config.n_kv_heads));
  }
  config.ffn_width = text.integer("intermediate_size", 1, kMaxWidth);
  config.vocab = text.integer("vocab_size", 1, kMaxVocab);
  config.max_context = text.integer("max_position_embeddings", 1, kMaxContext);
  config.rms_eps = text.find("rms_norm_eps") ? text.number("rms_norm_eps", 0.0, 1.0) : 1e-5;
  if (text.find("hidden_act") && text.string("hidden_act") != "silu") {
    throw Error(ErrorKind::kUnsupported,
                "activation \"" + text.string("hidden_act") + "\", expected \"silu\"",
                text.where("hidden_act"));
  }
  // The outer object decides where there is one (EXAONE 4.5).
  config.tied_head = root.find("tie_word_embeddings") ? root.boolean("tie_word_embeddings")
                                                      : boolean_or(text, "tie_word_embeddings", false);
  for (const char* key : {"num_nextn_predict_layers", "_num_mtp_layers"}) {
    if (text.find(key)) {
      config.n_mtp_layers = text.integer(key, 0, 4);
      break;
    }
  }
  config.mtp_shares_layers = boolean_or(text, "mtp_share_layers", false);
  read_rope(text, config);
  // transformers: an absent key means 4096, a null no window at all.
  if (text.find("sliding_window")) config.window = text.integer("sliding_window", 1, kMaxContext);
  if (!text.has_key("sliding_window") && config.architecture == "exaone4") config.window = 4096;
  if (config.window) config.slides = sliding_entries(text, config.n_layers);
  if (config.architecture == "exaone-moe") config.mixture = read_mixture(text, config.n_layers);
  config.has_vision = root.find("vision_config") != nullptr;
  return config;
}

HfVisionConfig read_hf_vision_config(const Checkpoint& checkpoint) {
  const JsonReader root(checkpoint.config(), (checkpoint.path() / "config.json").string());
  const JsonReader json = root.object("vision_config");
  HfVisionConfig vision;
  vision.n_layers = json.integer("depth", 1, kMaxLayers);
  vision.hidden = json.integer("hidden_size", 1, kMaxWidth);
  vision.ffn_width = json.integer("intermediate_size", 1, kMaxWidth);
  vision.n_heads = json.integer("num_heads", 1, vision.hidden);
  vision.n_kv_heads = integer_or(json, "num_key_value_heads", 1, vision.n_heads, vision.n_heads);
  if (vision.hidden % vision.n_heads != 0 || vision.n_heads % vision.n_kv_heads != 0) {
    throw json.error("num_heads", "a divisor of hidden_size and a multiple of num_key_value_heads",
                     std::to_string(vision.n_heads));
  }
  vision.head_dim = vision.hidden / vision.n_heads;
  vision.out_hidden = json.integer("out_hidden_size", 1, kMaxWidth);
  vision.n_channels = integer_or(json, "in_channels", 3, 3, 3);
  vision.patch_px = json.integer("patch_size", 1, 1024);
  vision.temporal_patch = integer_or(json, "temporal_patch_size", 2, 2, 2);
  vision.merge = integer_or(json, "spatial_merge_size", 1, 64, 2);
  vision.window_px = integer_or(json, "window_size", 1, 1 << 16, 112);
  vision.image_px = integer_or(json, "image_size", 1, 1 << 16, 560);
  vision.full_attention_period = full_attention_period(json);
  vision.eps = json.find("rms_norm_eps")   ? json.number("rms_norm_eps", 0.0, 1.0)
               : root.find("rms_norm_eps") ? root.number("rms_norm_eps", 0.0, 1.0)
                                           : 1e-6;
  read_image_processor(checkpoint, vision);
  return vision;
}

}  // namespace exa
