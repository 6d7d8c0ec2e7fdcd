#include "convert/model_keys.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "convert/model_card.h"
#include "model/config_reader.h"

namespace exa {
namespace {

struct Count {
  double all = 0;
  double one_expert = 0;  // everything with one expert of each layer
  std::uint64_t n_experts = 0;
};

Count count_parameters(const std::vector<PlannedTensor>& tensors) {
  Count count;
  for (const PlannedTensor& tensor : tensors) {
    const auto n = static_cast<double>(tensor.n_elements());
    count.all += n;
    if (tensor.name.find("_exps.") != std::string::npos && tensor.shape.size() >= 3) {
      count.n_experts = tensor.shape[0];
      count.one_expert += n / static_cast<double>(tensor.shape[0]);
    } else {
      count.one_expert += n;
    }
  }
  return count;
}

std::string rounded(double n) {
  constexpr std::array<std::pair<double, char>, 4> kScales = {
      {{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}, {0, 'K'}}};
  for (const auto& [above, letter] : kScales) {
    if (n <= above && above > 0) continue;
    const double scaled = n / (above > 0 ? above : 1e3);
    // At least two digits in all.
    const bool one_digit = std::nearbyint(scaled) < 10;
    const int decimals = std::nearbyint(scaled) < 1 ? 2 : one_digit ? 1 : 0;
    std::array<char, 64> text{};
    const int length = std::snprintf(text.data(), text.size(), "%.*f%c", decimals, scaled, letter);
    return std::string(text.data(), static_cast<std::size_t>(length));
  }
  return "0";
}

void add_sampling(const Checkpoint& checkpoint, GgufMetadata& metadata) {
  const StatedSampling stated = read_stated_sampling(checkpoint);
  if (stated.top_k) metadata.set_i32("general.sampling.top_k", static_cast<std::int32_t>(*stated.top_k));
  if (stated.top_p) metadata.set_f32("general.sampling.top_p", static_cast<float>(*stated.top_p));
  if (stated.min_p) metadata.set_f32("general.sampling.min_p", static_cast<float>(*stated.min_p));
  if (stated.temperature) metadata.set_f32("general.sampling.temp", static_cast<float>(*stated.temperature));
  if (stated.repetition_penalty) {
    metadata.set_f32("general.sampling.penalty_repeat", static_cast<float>(*stated.repetition_penalty));
  }
  // GGUF has no key of its own for it.
  if (stated.presence_penalty) {
    metadata.set_f32("exaone.sampling.presence_penalty", static_cast<float>(*stated.presence_penalty));
  }
}

void add_text(GgufMetadata& metadata, std::string_view key, const std::string& value) {
  if (!value.empty()) metadata.set_string(key, value);
}

std::string first(const std::vector<std::string>& values) {
  return values.empty() ? std::string() : values.front();
}

void add_base_models(const ModelCard& card, GgufMetadata& metadata) {
  const std::vector<std::string> models = card_values(card, "base_model");
  if (models.empty()) return;
  metadata.set_u32("general.base_model.count", static_cast<std::uint32_t>(models.size()));
  for (std::size_t i = 0; i < models.size(); ++i) {
    const ModelId id = parse_model_id(models[i], 0);
    const std::string prefix = "general.base_model." + std::to_string(i) + ".";
    add_text(metadata, prefix + "name", title(id.full_name));
    add_text(metadata, prefix + "version", id.version);
    add_text(metadata, prefix + "organization", title(id.organization));
    if (!id.organization.empty()) {
      metadata.set_string(prefix + "repo_url", "https://huggingface.co/" + models[i]);
    }
  }
}

std::uint32_t narrow(std::int64_t value) {
  return static_cast<std::uint32_t>(value);
}

}  // namespace

std::string size_label(const std::vector<PlannedTensor>& tensors) {
  const Count count = count_parameters(tensors);
  if (count.n_experts == 0) return rounded(count.all);
  return std::to_string(count.n_experts) + "x" + rounded(count.one_expert);
}

void add_general_keys(const Checkpoint& checkpoint, const std::string& architecture, const std::string& type,
                      const std::vector<PlannedTensor>& tensors, GgufMetadata& metadata) {
  metadata.set_string("general.architecture", architecture);
  metadata.set_string("general.type", type);
  add_sampling(checkpoint, metadata);

  const auto readme = checkpoint.side_file("README.md");
  const ModelCard card = readme ? parse_model_card(*readme) : ModelCard();
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::canonical(checkpoint.path(), error);
  const double n_parameters = count_parameters(tensors).all;
  ModelId id = parse_model_id((error ? checkpoint.path() : folder).filename().string(), n_parameters);
  const JsonReader config(checkpoint.config(), (checkpoint.path() / "config.json").string());
  if (const auto* path = config.find("_name_or_path"); path && path->is_string()) {
    const auto& text = path->get_ref<const std::string&>();
    // A repository's id; longer paths are places on somebody's disk.
    if (!text.empty() && std::count(text.begin(), text.end(), '/') <= 1)
      id = parse_model_id(text, n_parameters);
  }
  const std::string name = first(card_values(card, "model_name"));
  add_text(metadata, "general.name", name.empty() ? title(id.full_name) : name);
  add_text(metadata, "general.version", id.version);
  add_text(metadata, "general.organization", title(id.organization));
  add_text(metadata, "general.finetune", id.finetune);
  add_text(metadata, "general.basename", id.basename);
  metadata.set_string("general.size_label", id.size_label.empty() ? size_label(tensors) : id.size_label);
  add_text(metadata, "general.license", first(card_values(card, "license")));
  add_text(metadata, "general.license.name", first(card_values(card, "license_name")));
  add_text(metadata, "general.license.link", first(card_values(card, "license_link")));
  add_base_models(card, metadata);
  std::vector<std::string> tags = card_values(card, "tags");
  for (const std::string& tag : card_values(card, "pipeline_tag")) tags.push_back(tag);
  if (!tags.empty()) metadata.set_strings("general.tags", tags);
  if (const auto languages = card_values(card, "language"); !languages.empty()) {
    metadata.set_strings("general.languages", languages);
  }
}

void add_architecture_keys(const HfConfig& config, GgufMetadata& metadata) {
  const ModelConfig& model = config.model;
  const auto key = [&](std::string_view name) {
    return std::string(config.family->gguf) + "." + std::string(name);
  };
  metadata.set_u32(key("block_count"), narrow(model.n_layers() + model.n_mtp_layers));
  metadata.set_u32(key("context_length"), narrow(model.max_context));
  metadata.set_u32(key("embedding_length"), narrow(model.hidden));
  metadata.set_u32(key("feed_forward_length"), narrow(model.ffn_width));
  metadata.set_u32(key("attention.head_count"), narrow(model.n_heads));
  metadata.set_u32(key("attention.head_count_kv"), narrow(model.n_kv_heads));
  metadata.set_f32(key("rope.freq_base"), model.rope_theta);
  metadata.set_f32(key("attention.layer_norm_rms_epsilon"), model.rms_eps);
  if (model.mixture) {
    const MixtureConfig& mixture = *model.mixture;
    metadata.set_u32(key("expert_count"), narrow(mixture.n_experts));
    metadata.set_u32(key("expert_used_count"), narrow(mixture.n_used));
    if (mixture.n_groups) metadata.set_u32(key("expert_group_count"), narrow(*mixture.n_groups));
    if (mixture.n_used_groups)
      metadata.set_u32(key("expert_group_used_count"), narrow(*mixture.n_used_groups));
    metadata.set_u32(key("expert_gating_func"), mixture.softmax_gate ? 1 : 2);
  }
  if (config.states_head_dim) {
    metadata.set_u32(key("attention.key_length"), narrow(model.head_dim));
    metadata.set_u32(key("attention.value_length"), narrow(model.head_dim));
  }
  if (config.family->states_rope_dimension) {
    metadata.set_u32(key("rope.dimension_count"), narrow(model.head_dim));
  } else {
    metadata.set_u32(key("vocab_size"), narrow(model.vocab));
  }
  if (model.window > 0) {
    metadata.set_u32(key("attention.sliding_window"), narrow(model.window));
    std::vector<bool> slides;
    for (const LayerSpec& layer : model.layers) slides.push_back(layer.window > 0);
    if (model.n_mtp_layers > 0) {
      slides.insert(slides.end(), model.draft_slides.begin(), model.draft_slides.end());
    }
    metadata.set_bools(key("attention.sliding_window_pattern"), slides);
  } else if (model.n_layers() == config.family->depth_with_windows) {
    // Without the key readers take a file of this depth for one of the first 32B files, which had windows.
    metadata.set_u32(key("attention.sliding_window"), 0);
  }
  if (model.mixture) {
    const MixtureConfig& mixture = *model.mixture;
    metadata.set_u32(key("expert_feed_forward_length"), narrow(mixture.ffn_width));
    metadata.set_u32(key("expert_shared_count"), narrow(mixture.n_shared));
    metadata.set_u32(key("expert_shared_feed_forward_length"), narrow(mixture.ffn_width * mixture.n_shared));
    metadata.set_f32(key("expert_weights_scale"), mixture.scale);
    metadata.set_bool(key("expert_weights_norm"), mixture.normalize);
    metadata.set_u32(key("leading_dense_block_count"), narrow(mixture.n_leading_dense));
  }
  if (model.n_mtp_layers > 0 || model.mixture) {
    metadata.set_u32(key("nextn_predict_layers"), narrow(model.n_mtp_layers));
  }
  if (model.mixture) metadata.set_string(key("rope.scaling.type"), "none");
}

void add_vision_keys(const HfVisionConfig& vision, GgufMetadata& metadata) {
  const VisionConfig& tower = vision.tower;
  metadata.set_bool("clip.has_vision_encoder", true);
  metadata.set_u32("clip.vision.projection_dim", narrow(tower.out_hidden));
  metadata.set_u32("clip.vision.image_size", narrow(vision.image_px));
  metadata.set_u32("clip.vision.patch_size", narrow(tower.patch_px));
  metadata.set_u32("clip.vision.embedding_length", narrow(tower.hidden));
  metadata.set_u32("clip.vision.feed_forward_length", narrow(tower.ffn_width));
  metadata.set_u32("clip.vision.block_count", narrow(tower.n_layers()));
  metadata.set_u32("clip.vision.attention.head_count", narrow(tower.n_heads));
  metadata.set_f32s("clip.vision.image_mean", {tower.mean.begin(), tower.mean.end()});
  metadata.set_f32s("clip.vision.image_std", {tower.std.begin(), tower.std.end()});
  metadata.set_string("clip.projector_type", "exaone4_5");
  metadata.set_bool("clip.use_silu", true);
  metadata.set_u32("clip.vision.image_min_pixels", narrow(tower.min_pixels));
  metadata.set_u32("clip.vision.image_max_pixels", narrow(tower.max_pixels));
  metadata.set_u32("clip.vision.attention.head_count_kv", narrow(tower.n_kv_heads));
  metadata.set_f32("clip.vision.attention.layer_norm_epsilon", tower.rms_eps);
  metadata.set_u32("clip.vision.window_size", narrow(tower.window_px));
  metadata.set_u32("clip.vision.n_wa_pattern", narrow(vision.full_attention_period));
  // Absent means 2 to every reader.
  if (tower.merge != 2) metadata.set_u32("clip.vision.spatial_merge_size", narrow(tower.merge));
}

}  // namespace exa
