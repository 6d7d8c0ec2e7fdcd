#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/error.h"
#include "model/arch/family.h"
#include "model/config_reader.h"
#include "model/tied_head.h"

namespace exa {
namespace {

// Relations between fields, whatever file they came from.
void check_relations(const ModelConfig& config, const std::string& where) {
  const auto require = [&](bool holds, const std::string& message) {
    if (!holds) throw Error(ErrorKind::kBadInput, message, where);
  };
  require(config.n_heads % config.n_kv_heads == 0,
          "expected query heads to be a multiple of kv heads, found " + std::to_string(config.n_heads) +
              " and " + std::to_string(config.n_kv_heads));
  require(config.head_dim > 0 && config.n_heads * config.head_dim <= kMaxWidth,
          "expected heads × head_dim up to " + std::to_string(kMaxWidth) + ", found " +
              std::to_string(config.n_heads) + " × " + std::to_string(config.head_dim));
  require(config.head_dim % 2 == 0,
          "expected an even head_dim, found " + std::to_string(config.head_dim));
  require(config.vocab > 0, "expected a vocabulary size, found none");
}

// What the kernels can work with.
void check_runnable(const ModelConfig& config, const std::string& where) {
  if (config.head_dim % 16 != 0) {
    throw Error(ErrorKind::kUnsupported,
                "head_dim is " + std::to_string(config.head_dim) + ", expected a multiple of 16", where);
  }
  if (config.hidden % 32 != 0 || config.ffn_width % 32 != 0 || (config.n_heads * config.head_dim) % 32 != 0) {
    throw Error(ErrorKind::kUnsupported,
                "hidden, ffn and attention widths are " + std::to_string(config.hidden) + ", " +
                    std::to_string(config.ffn_width) + ", " +
                    std::to_string(config.n_heads * config.head_dim) + ", expected multiples of 32",
                where);
  }
}

// Tensors overrule what config.json says of the head and the drafting layers: transformers ties a head only
// where the folder does not bring another one, and drops the drafting layers where it saves a model but leaves
// their number in the config.
void heed_tensors(const Checkpoint& checkpoint, const Family& family, ModelConfig& config) {
  if (checkpoint.tensors().empty()) return;
  const TensorNames names(family, checkpoint, config);
  const TensorInfo* embedding = checkpoint.find(names.of(family.embedding, -1));
  const TensorInfo* head = checkpoint.find(names.of(family.head, -1));
  if (config.tied_head && embedding && head && !hold_same_numbers(checkpoint, *embedding, *head)) {
    config.tied_head = false;
  }
  const auto drafts = [](const TensorInfo& tensor) { return tensor.name.starts_with(kDraftPrefix); };
  if (std::ranges::none_of(checkpoint.tensors(), drafts)) {
    config.n_mtp_layers = 0;
    config.draft_slides.clear();
  }
}

}  // namespace

ModelConfig read_stated_config(const Checkpoint& checkpoint) {
  const bool gguf = checkpoint.format() == CheckpointFormat::kGguf;
  const Family& family = family_of(checkpoint, gguf);
  ModelConfig config = gguf ? family.read_gguf(checkpoint) : family.read_json(checkpoint);
  if (!gguf) heed_tensors(checkpoint, family, config);
  check_relations(config, checkpoint.path().string());
  return config;
}

ModelConfig read_config(const Checkpoint& checkpoint) {
  family_of(checkpoint, true);
  if (checkpoint.format() != CheckpointFormat::kGguf) {
    const JsonReader root(checkpoint.config(), (checkpoint.path() / "config.json").string());
    if (root.find("quantization_config")) {
      throw Error(ErrorKind::kUnsupported,
                  "weights stored in a quantized Hugging Face format, expected plain bf16, f16 or f32",
                  root.where("quantization_config"));
    }
  }
  ModelConfig config = read_stated_config(checkpoint);
  check_runnable(config, checkpoint.path().string());
  return config;
}

StatedSampling read_stated_sampling(const Checkpoint& checkpoint) {
  StatedSampling stated;
  if (checkpoint.format() == CheckpointFormat::kGguf) {
    stated.temperature = checkpoint.get_f64("general.sampling.temp");
    stated.top_p = checkpoint.get_f64("general.sampling.top_p");
    if (const auto top_k = checkpoint.get_u64("general.sampling.top_k")) {
      stated.top_k = static_cast<std::int64_t>(*top_k & 0x7fffffff);
    }
    stated.min_p = checkpoint.get_f64("general.sampling.min_p");
    stated.repetition_penalty = checkpoint.get_f64("general.sampling.penalty_repeat");
    // GGUF has no key of its own for it.
    stated.presence_penalty = checkpoint.get_f64("exaone.sampling.presence_penalty");
    return stated;
  }
  if (checkpoint.generation_config().is_null()) return stated;
  const JsonReader json(checkpoint.generation_config(),
                        (checkpoint.path() / "generation_config.json").string());
  const auto number = [&](const char* key, double low, double high) -> std::optional<double> {
    if (!json.find(key)) return std::nullopt;
    return json.number(key, low, high);
  };
  if (json.find("do_sample")) stated.do_sample = json.boolean("do_sample");
  stated.temperature = number("temperature", 0.0, 100.0);
  stated.top_p = number("top_p", 0.0, 1.0);
  if (json.find("top_k")) stated.top_k = json.integer("top_k", 0, kMaxVocab);
  stated.min_p = number("min_p", 0.0, 1.0);
  stated.repetition_penalty = number("repetition_penalty", 0.0, 100.0);
  stated.presence_penalty = number("presence_penalty", -2.0, 2.0);
  stated.frequency_penalty = number("frequency_penalty", -2.0, 2.0);
  return stated;
}

std::vector<float> rope_inverse_frequencies(const ModelConfig& config,
                                            const std::vector<float>* rope_factors) {
  const auto half = static_cast<std::size_t>(config.head_dim / 2);
  std::vector<float> inverse(half);
  for (std::size_t j = 0; j < half; ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(config.head_dim);
    inverse[j] = 1.0f / std::pow(config.rope_theta, exponent);
  }
  if (rope_factors) {
    for (std::size_t j = 0; j < half; ++j) inverse[j] /= (*rope_factors)[j];
    return inverse;
  }
  if (!config.rope_scaling) return inverse;
  const Llama3Rope& scaling = *config.rope_scaling;
  const float longest = scaling.original_context / scaling.low_freq_factor;
  const float shortest = scaling.original_context / scaling.high_freq_factor;
  for (float& frequency : inverse) {
    const float wavelength = 2.0f * std::numbers::pi_v<float> / frequency;
    if (wavelength < shortest) continue;
    if (wavelength > longest) {
      frequency /= scaling.factor;
      continue;
    }
    const float smooth = (scaling.original_context / wavelength - scaling.low_freq_factor) /
                         (scaling.high_freq_factor - scaling.low_freq_factor);
    frequency = (1.0f - smooth) * frequency / scaling.factor + smooth * frequency;
  }
  return inverse;
}

}  // namespace exa
