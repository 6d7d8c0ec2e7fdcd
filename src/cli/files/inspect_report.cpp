#include "cli/files/inspect_report.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"
#include "kernels/backend.h"
#include "model/vision_config.h"
#include "text/tokenizer.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

std::string stated_architecture(const Checkpoint& checkpoint) {
  if (const std::string* name = checkpoint.get_string("general.architecture")) return *name;
  const Json& config = checkpoint.config();
  if (!config.is_object() || !config.contains("model_type") || !config["model_type"].is_string()) return {};
  return config["model_type"].get<std::string>();
}

void add_config(InspectReport& report) {
  const Checkpoint& checkpoint = report.checkpoint;
  if (checkpoint.format() != CheckpointFormat::kGguf && checkpoint.config().is_null()) {
    report.problem = "no config.json beside the weights";
    return;
  }
  try {
    report.config = read_config(checkpoint);
    report.sampling = read_stated_sampling(checkpoint);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUnsupported) throw;
    report.problem = error.message();
  }
}

void add_types(InspectReport& report) {
  for (const TensorInfo& tensor : report.checkpoint.tensors()) {
    auto total = std::find_if(report.types.begin(), report.types.end(),
                              [&](const auto& entry) { return entry.type == tensor.type; });
    if (total == report.types.end()) total = report.types.insert(total, {tensor.type});
    ++total->n_tensors;
    total->n_bytes += tensor.n_bytes;
    report.n_parameters += tensor.n_elements();
    report.tensor_bytes += tensor.n_bytes;
  }
  std::stable_sort(report.types.begin(), report.types.end(),
                   [](const auto& a, const auto& b) { return a.n_bytes > b.n_bytes; });
}

bool has_tokenizer(const Checkpoint& checkpoint) {
  return checkpoint.has("tokenizer.ggml.model") || checkpoint.side_file("tokenizer.json") ||
         checkpoint.side_file("vocab.json");
}

void add_tokenizer(InspectReport& report) {
  if (!has_tokenizer(report.checkpoint)) return;
  try {
    const Tokenizer tokenizer = Tokenizer::from_checkpoint(report.checkpoint);
    const auto ends = tokenizer.end_of_generation();
    report.tokenizer = {tokenizer.description(),
                        tokenizer.vocab_size(),
                        tokenizer.bos(),
                        tokenizer.eos(),
                        {ends.begin(), ends.end()}};
  } catch (const Error& error) {
    if (report.config && error.kind() != ErrorKind::kUnsupported) throw;
    report.tokenizer_problem = error.message();
  }
}

void add_memory(InspectReport& report, std::int64_t context_tokens) {
  if (!report.config) return;
  const ModelConfig& config = *report.config;
  if (context_tokens > config.max_context) {
    throw Error(ErrorKind::kUsage, "the context is " + std::to_string(context_tokens) +
                                       " tokens, the model holds at most " +
                                       std::to_string(config.max_context));
  }
  ThreadPool pool(1);
  const std::unique_ptr<Backend> backend = make_cpu_backend(pool);
  std::optional<VisionConfig> tower;
  try {
    if (has_vision(report.checkpoint)) tower = read_vision_config(report.checkpoint);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUnsupported) throw;
  }
  std::optional<VisionSource> vision;
  if (tower) vision.emplace(VisionSource{report.checkpoint, *tower});
  report.memory = memory_need(report.checkpoint, config, vision, *backend, KvType::kBF16,
                              context_tokens > 0 ? context_tokens : config.max_context);
  report.available_bytes = available_memory_bytes();
}

Json config_json(const ModelConfig& config) {
  Json json = {{"hidden", config.hidden},         {"n_layers", config.n_layers()},
               {"n_heads", config.n_heads},       {"n_kv_heads", config.n_kv_heads},
               {"head_dim", config.head_dim},     {"ffn_width", config.ffn_width},
               {"vocab", config.vocab},           {"max_context", config.max_context},
               {"window", config.window},         {"rms_eps", config.rms_eps},
               {"rope_theta", config.rope_theta}, {"rope_scaling", nullptr},
               {"tied_head", config.tied_head},   {"n_mtp_layers", config.n_mtp_layers}};
  if (config.rope_scaling) {
    json["rope_scaling"] = {{"type", "llama3"},
                            {"factor", config.rope_scaling->factor},
                            {"low_freq_factor", config.rope_scaling->low_freq_factor},
                            {"high_freq_factor", config.rope_scaling->high_freq_factor},
                            {"original_context", config.rope_scaling->original_context}};
  }
  return json;
}

Json sampling_json(const StatedSampling& sampling) {
  Json json = Json::object();
  const auto add = [&json](const char* key, const auto& value) {
    if (value) json[key] = *value;
  };
  add("do_sample", sampling.do_sample);
  add("temperature", sampling.temperature);
  add("top_p", sampling.top_p);
  add("top_k", sampling.top_k);
  add("min_p", sampling.min_p);
  add("repetition_penalty", sampling.repetition_penalty);
  add("presence_penalty", sampling.presence_penalty);
  add("frequency_penalty", sampling.frequency_penalty);
  return json;
}

// Arrays are told by their length alone: vocabularies would bury the rest.
Json metadata_json(const Checkpoint& checkpoint) {
  Json json = Json::object();
  for (const auto& [key, value] : checkpoint.metadata()) {
    std::visit(
        [&json, &name = key](const auto& held) {
          if constexpr (
              requires { held.begin(); } && !requires { held.c_str(); }) {
            json[name] = {{"n_elements", held.size()}};
          } else {
            json[name] = held;
          }
        },
        value);
  }
  return json;
}

std::string_view format_key(CheckpointFormat format) {
  switch (format) {
    case CheckpointFormat::kGguf:
      return "gguf";
    case CheckpointFormat::kSafetensors:
      return "safetensors";
    case CheckpointFormat::kHuggingFace:
      return "huggingface";
  }
  return "";
}

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

}  // namespace

InspectReport inspect_model(const std::filesystem::path& path, std::int64_t context_tokens) {
  InspectReport report(Checkpoint::open(path));
  report.architecture = stated_architecture(report.checkpoint);
  add_config(report);
  add_types(report);
  add_tokenizer(report);
  if (const auto text = report.checkpoint.chat_template()) report.template_bytes = text->size();
  add_memory(report, context_tokens);
  return report;
}

nlohmann::ordered_json to_json(const InspectReport& report) {
  const Checkpoint& checkpoint = report.checkpoint;
  Json json;
  json["path"] = checkpoint.path().string();
  json["format"] = format_key(checkpoint.format());
  json["architecture"] = report.architecture.empty() ? Json() : Json(report.architecture);
  json["supported"] = report.config.has_value();
  json["problem"] = report.problem.empty() ? Json() : Json(report.problem);
  json["name"] =
      report.config && !report.config->model_name.empty() ? Json(report.config->model_name) : Json();
  json["files"] = Json::array();
  for (const Checkpoint::File& file : checkpoint.files()) {
    json["files"].push_back({{"path", file.path.string()}, {"size_bytes", file.size_bytes}});
  }
  json["config"] = report.config ? config_json(*report.config) : Json();
  json["layers"] = Json::array();
  if (report.config) {
    for (const LayerSpec& layer : report.config->layers) {
      json["layers"].push_back(
          {{"window", layer.window > 0 ? Json(layer.window) : Json()}, {"rope", layer.rope}});
    }
  }
  json["n_parameters"] = report.n_parameters;
  json["tensor_bytes"] = report.tensor_bytes;
  json["types"] = Json::array();
  for (const auto& total : report.types) {
    json["types"].push_back(
        {{"type", name(total.type)}, {"n_tensors", total.n_tensors}, {"n_bytes", total.n_bytes}});
  }
  json["tensors"] = Json::array();
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"type", name(tensor.type)},
                               {"shape", tensor.shape},
                               {"n_bytes", tensor.n_bytes},
                               {"file", tensor.file},
                               {"offset", tensor.offset}});
  }
  json["tokenizer"] = nullptr;
  if (report.tokenizer) {
    json["tokenizer"] = {{"description", report.tokenizer->description},
                         {"vocab_size", report.tokenizer->vocab_size},
                         {"bos_id", or_null(report.tokenizer->bos)},
                         {"eos_id", or_null(report.tokenizer->eos)},
                         {"end_of_generation_ids", report.tokenizer->end_of_generation}};
  }
  json["tokenizer_problem"] = report.tokenizer_problem.empty() ? Json() : Json(report.tokenizer_problem);
  json["chat_template"] = nullptr;
  if (report.template_bytes) json["chat_template"] = {{"n_bytes", *report.template_bytes}};
  json["stated_sampling"] = sampling_json(report.sampling);
  json["memory"] = nullptr;
  if (report.memory) {
    const MemoryNeed& need = *report.memory;
    json["memory"] = {{"context_tokens", need.context_tokens},
                      {"weight_bytes", need.weight_bytes},
                      {"activation_bytes", need.activation_bytes},
                      {"vision_weight_bytes", need.vision_weight_bytes},
                      {"vision_activation_bytes", need.vision_activation_bytes},
                      {"kv_bytes", need.kv_bytes},
                      {"total_bytes", need.total_bytes()},
                      {"available_bytes", report.available_bytes}};
  }
  json["metadata"] = metadata_json(checkpoint);
  return json;
}

}  // namespace exa
