#include "model/vision_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "model/config_reader.h"

namespace exa {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kMostPatchPx = 256;
constexpr std::int64_t kMostMerge = 16;
constexpr std::int64_t kMostWindowPx = 1 << 16;
constexpr std::int64_t kMostPixels = std::int64_t{1} << 31;
constexpr std::int64_t kDefaultWindowPx = 112;
constexpr std::int64_t kDefaultMerge = 2;
constexpr double kDefaultEps = 1e-6;

std::array<float, 3> three_numbers(const JsonReader& json, std::string_view key) {
  const ordered_json* const list = json.find(key);
  if (!list || !list->is_array() || list->size() != 3) {
    throw json.error(key, "a list of three numbers", list ? "something else" : "no such key");
  }
  std::array<float, 3> numbers{};
  for (std::size_t i = 0; i < 3; ++i) {
    if (!(*list)[i].is_number()) throw json.error(key, "a list of three numbers", "something else");
    numbers[i] = (*list)[i].get<float>();
  }
  return numbers;
}

void read_image_processor(const Checkpoint& checkpoint, VisionConfig& config) {
  for (const char* const file : {"preprocessor_config.json", "processor_config.json"}) {
    const ordered_json parsed = checkpoint.side_json(file);
    if (parsed.is_null()) continue;
    const JsonReader root(parsed, (checkpoint.path() / file).string());
    const JsonReader processor = root.find("image_processor") ? root.object("image_processor") : root;
    config.mean = three_numbers(processor, "image_mean");
    config.std = three_numbers(processor, "image_std");
    const bool flat = processor.find("min_pixels") && processor.find("max_pixels");
    const JsonReader size = flat ? processor : processor.object("size");
    config.min_pixels = size.integer(flat ? "min_pixels" : "shortest_edge", 1, kMostPixels);
    config.max_pixels = size.integer(flat ? "max_pixels" : "longest_edge", 1, kMostPixels);
    return;
  }
  throw Error(
      ErrorKind::kBadInput,
      "expected preprocessor_config.json or processor_config.json for the vision tower, found neither",
      checkpoint.path().string());
}

VisionConfig read_huggingface(const Checkpoint& checkpoint) {
  const JsonReader root(checkpoint.config(), (checkpoint.path() / "config.json").string());
  const JsonReader json = root.object("vision_config");
  VisionConfig config;
  const std::int64_t n_layers = json.integer("depth", 1, kMaxLayers);
  config.hidden = json.integer("hidden_size", 1, kMaxWidth);
  config.n_heads = json.integer("num_heads", 1, kMaxWidth);
  config.n_kv_heads = json.integer_or("num_key_value_heads", 1, kMaxWidth, config.n_heads);
  config.ffn_width = json.integer("intermediate_size", 1, kMaxWidth);
  config.out_hidden = json.integer("out_hidden_size", 1, kMaxWidth);
  json.integer_or("in_channels", 3, 3, 3);
  json.integer_or("temporal_patch_size", 2, 2, 2);
  config.patch_px = json.integer("patch_size", 1, kMostPatchPx);
  config.merge = json.integer_or("spatial_merge_size", 1, kMostMerge, kDefaultMerge);
  config.window_px = json.integer_or("window_size", 1, kMostWindowPx, kDefaultWindowPx);
  config.rms_eps = static_cast<float>(json.number_or("rms_norm_eps", 0.0, 1.0, kDefaultEps));
  config.full.assign(static_cast<std::size_t>(n_layers), false);
  const ordered_json* const list = json.find("fullatt_block_indexes");
  if (!list || !list->is_array()) {
    throw json.error("fullatt_block_indexes", "a list of block numbers",
                     list ? "something else" : "no such key");
  }
  for (const ordered_json& entry : *list) {
    const bool fits = entry.is_number_unsigned() && entry.get<std::uint64_t>() < config.full.size();
    if (!fits) {
      throw json.error("fullatt_block_indexes", "numbers below depth = " + std::to_string(n_layers),
                       entry.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
    }
    config.full[entry.get<std::size_t>()] = true;
  }
  read_image_processor(checkpoint, config);
  return config;
}

std::array<float, 3> three_numbers(const Checkpoint& checkpoint, const GgufReader& gguf,
                                    const std::string& key) {
  for (const auto& [name, value] : checkpoint.metadata()) {
    if (name != "clip.vision." + key) continue;
    const auto* const numbers = std::get_if<std::vector<double>>(&value);
    if (numbers && numbers->size() == 3) {
      return {static_cast<float>((*numbers)[0]), static_cast<float>((*numbers)[1]),
              static_cast<float>((*numbers)[2])};
    }
    throw gguf.error(key, "three numbers", "something else");
  }
  throw gguf.error(key, "three numbers", "no such key");
}

VisionConfig read_gguf(const Checkpoint& checkpoint) {
  const std::string* const projector = checkpoint.get_string("clip.projector_type");
  if (!projector || *projector != "exaone4_5") {
    throw Error(
        ErrorKind::kUnsupported,
        "expected the projector \"exaone4_5\", found " + (projector ? '"' + *projector + '"' : "no such key"),
        checkpoint.path().string() + ", key clip.projector_type");
  }
  const GgufReader gguf(checkpoint, "clip.vision.");
  VisionConfig config;
  const std::int64_t n_layers = gguf.integer("block_count", 1, kMaxLayers);
  config.hidden = gguf.integer("embedding_length", 1, kMaxWidth);
  config.n_heads = gguf.integer("attention.head_count", 1, kMaxWidth);
  config.n_kv_heads = gguf.integer_or("attention.head_count_kv", 1, kMaxWidth, config.n_heads);
  config.ffn_width = gguf.integer("feed_forward_length", 1, kMaxWidth);
  config.out_hidden = gguf.integer("projection_dim", 1, kMaxWidth);
  config.patch_px = gguf.integer("patch_size", 1, kMostPatchPx);
  config.merge = gguf.integer_or("spatial_merge_size", 1, kMostMerge, kDefaultMerge);
  config.window_px = gguf.integer_or("window_size", 1, kMostWindowPx, kDefaultWindowPx);
  config.rms_eps = static_cast<float>(gguf.number("attention.layer_norm_epsilon", 0.0, 1.0));
  const std::int64_t period = gguf.integer("n_wa_pattern", 1, kMaxLayers);
  for (std::int64_t i = 0; i < n_layers; ++i) config.full.push_back((i + 1) % period == 0);
  config.mean = three_numbers(checkpoint, gguf, "image_mean");
  config.std = three_numbers(checkpoint, gguf, "image_std");
  config.min_pixels = gguf.integer("image_min_pixels", 1, kMostPixels);
  config.max_pixels = gguf.integer("image_max_pixels", 1, kMostPixels);
  return config;
}

// Relations between fields, whatever file they came from.
void check_relations(const VisionConfig& config, const std::string& where) {
  const auto require = [&](bool holds, ErrorKind kind, const std::string& message) {
    if (!holds) throw Error(kind, "vision tower: " + message, where);
  };
  require(config.hidden % config.n_heads == 0 && config.n_heads % config.n_kv_heads == 0,
          ErrorKind::kBadInput,
          "expected query heads that divide hidden = " + std::to_string(config.hidden) +
              " and are a multiple of kv heads, found " + std::to_string(config.n_heads) + " and " +
              std::to_string(config.n_kv_heads));
  require(config.head_dim % 16 == 0 && config.head_dim <= 1024, ErrorKind::kUnsupported,
          "head_dim is " + std::to_string(config.head_dim) + ", expected a multiple of 16 up to 1024");
  require(config.hidden % 32 == 0 && config.ffn_width % 32 == 0, ErrorKind::kUnsupported,
          "hidden and ffn widths are " + std::to_string(config.hidden) + " and " +
              std::to_string(config.ffn_width) + ", expected multiples of 32");
  require(config.window_px % config.cell_px() == 0, ErrorKind::kUnsupported,
          "window_size is " + std::to_string(config.window_px) + ", expected a multiple of " +
              std::to_string(config.cell_px()));
  require(config.hidden * config.patches_a_cell() <= kMaxWidth, ErrorKind::kUnsupported,
          "a cell has " + std::to_string(config.hidden * config.patches_a_cell()) +
              " values, expected at most " + std::to_string(kMaxWidth));
  require(config.min_pixels <= config.max_pixels && config.max_pixels >= config.cell_px() * config.cell_px(),
          ErrorKind::kBadInput,
          "pictures are " + std::to_string(config.min_pixels) + " to " + std::to_string(config.max_pixels) +
              " pixels, expected the second not below the first nor below one cell");
  for (const float deviation : config.std) {
    require(std::isfinite(deviation) && deviation > 0, ErrorKind::kBadInput,
            "image_std is " + std::to_string(deviation) + ", expected positive numbers");
  }
}

}  // namespace

bool has_vision(const Checkpoint& checkpoint) {
  if (checkpoint.format() == CheckpointFormat::kGguf)
    return checkpoint.find("v.blk.0.attn_qkv.weight") != nullptr;
  return checkpoint.find("model.visual.blocks.0.attn.qkv.weight") != nullptr &&
         checkpoint.config().is_object() && checkpoint.config().contains("vision_config");
}

VisionConfig read_vision_config(const Checkpoint& checkpoint) {
  VisionConfig config =
      checkpoint.format() == CheckpointFormat::kGguf ? read_gguf(checkpoint) : read_huggingface(checkpoint);
  config.head_dim = config.hidden / config.n_heads;
  check_relations(config, checkpoint.path().string());
  return config;
}

void set_image_tokens(VisionConfig& config, std::int64_t min_tokens, std::int64_t max_tokens) {
  const std::int64_t pixels_a_token = config.cell_px() * config.cell_px();
  for (const std::int64_t tokens : {min_tokens, max_tokens}) {
    if (tokens >= 0 && tokens <= kMostImageTokens) continue;
    throw Error(ErrorKind::kUsage,
                "found " + std::to_string(tokens) + ", expected 1 to " + std::to_string(kMostImageTokens),
                "tokens of an image");
  }
  if (min_tokens > 0 && max_tokens > 0 && min_tokens > max_tokens) {
    throw Error(ErrorKind::kUsage,
                "found at least " + std::to_string(min_tokens) + " and at most " +
                    std::to_string(max_tokens) + ", expected the second not below the first",
                "tokens of an image");
  }
  if (min_tokens > 0) config.min_pixels = min_tokens * pixels_a_token;
  if (max_tokens > 0) config.max_pixels = max_tokens * pixels_a_token;
  // One of them alone takes the other along.
  if (max_tokens > 0) {
    config.min_pixels = std::min(config.min_pixels, config.max_pixels);
  } else {
    config.max_pixels = std::max(config.min_pixels, config.max_pixels);
  }
}

}  // namespace exa
