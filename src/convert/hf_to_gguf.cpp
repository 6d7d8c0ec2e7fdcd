#include "convert/hf_to_gguf.h"

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"
#include "convert/gguf_writer.h"
#include "convert/hf_plan.h"
#include "convert/model_keys.h"
#include "convert/tensor_stream.h"
#include "convert/tokenizer_keys.h"
#include "formats/model_files.h"
#include "model/arch/vision_parts.h"

namespace exa {
namespace {

namespace fs = std::filesystem;

// Tensors that a checkpoint may hold and no GGUF needs.
bool is_surplus(std::string_view name, const HfConfig& config, PlanParts parts) {
  constexpr std::array<std::string_view, 6> kSuffixes = {
      ".rotary_emb.inv_freq", ".rotary.inv_freq", ".input_scale", ".output_scale", ".k_scale", ".v_scale"};
  for (const std::string_view suffix : kSuffixes) {
    if (name.ends_with(suffix)) return true;
  }
  if (name.starts_with(kVisionPrefix)) return !parts.vision;
  if (!parts.text) return true;
  if (name.starts_with(kDraftPrefix)) return config.model.n_mtp_layers == 0;
  return config.model.tied_head && name == config.family->head.huggingface;
}

DType auto_type(const std::vector<PlannedTensor>& tensors) {
  for (const PlannedTensor& tensor : tensors) {
    if (tensor.precision == TensorPrecision::kFileType && tensor.raw_type() != DType::kF16)
      return DType::kBF16;
  }
  return DType::kF16;
}

struct Output {
  TensorPlan plan;
  std::unique_ptr<GgufWriter> writer;
};

Output open_output(TensorPlan plan, const fs::path& path, const ConvertOptions& options,
                   std::uint64_t split_bytes) {
  const DType type = options.type.value_or(auto_type(plan.tensors));
  plan.metadata.set_u32("general.file_type", ggml_file_type(type));
  auto writer =
      std::make_unique<GgufWriter>(path, plan.metadata, stored_tensors(plan.tensors, type), split_bytes);
  return {std::move(plan), std::move(writer)};
}

void note(const std::string& text) {
  const std::string line = text + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

std::uint32_t ggml_file_type(DType file_type) {
  switch (file_type) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ8_0:
      return 7;
    case DType::kBF16:
      return 32;
    default:
      throw Error(ErrorKind::kInternal, "no file type for " + std::string(name(file_type)), "convert");
  }
}

bool has_vision_tower(const Checkpoint& checkpoint) {
  return read_hf_config(checkpoint).has_vision;
}

TensorPlan plan_huggingface(const Checkpoint& checkpoint, PlanParts parts) {
  HfConfig config = read_hf_config(checkpoint);
  const std::string architecture(config.family->gguf);
  HfTensors tensors(checkpoint);
  if (!parts.text || !parts.draft) config.model.n_mtp_layers = 0;

  TensorPlan plan;
  if (parts.text) {
    plan_text(tensors, config, TensorNames(*config.family, checkpoint, config.model), plan.tensors);
  }
  std::optional<HfVisionConfig> vision;
  if (parts.vision) {
    if (!config.has_vision) {
      throw Error(ErrorKind::kBadInput,
                  "the model has no vision tower, expected vision_config in config.json",
                  checkpoint.path().string());
    }
    vision = read_hf_vision_config(checkpoint);
    plan_vision(tensors, vision->tower, plan.tensors);
  }
  for (const std::string& name : tensors.untaken()) {
    if (is_surplus(name, config, parts)) continue;
    throw Error(
        ErrorKind::kBadInput,
        "the tensor has no place in " + architecture + ", expected only those that config.json implies",
        checkpoint.path().string() + ", tensor " + printable(name));
  }

  add_general_keys(checkpoint, parts.text ? architecture : "clip", parts.text ? "model" : "mmproj",
                   plan.tensors, plan.metadata);
  if (parts.text) add_architecture_keys(config, plan.metadata);
  if (vision) add_vision_keys(*vision, plan.metadata);
  plan.metadata.set_u32("general.quantization_version", 2);
  if (parts.text) add_tokenizer_keys(checkpoint, config.model.vocab, plan.metadata);
  return plan;
}

void refuse_overwriting(const Checkpoint& checkpoint, const std::vector<fs::path>& outputs) {
  std::error_code error;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    require_file_path(outputs[i]);
    std::vector<fs::path> inputs;
    for (const Checkpoint::File& input : checkpoint.files()) inputs.push_back(input.path);
    // The folder's other files, too; a GGUF in it is an earlier result.
    if (checkpoint.format() == CheckpointFormat::kHuggingFace && outputs[i].extension() != ".gguf") {
      inputs.push_back(checkpoint.path() / outputs[i].filename());
    }
    for (const fs::path& input : inputs) {
      if (fs::equivalent(outputs[i], input, error)) {
        throw Error(ErrorKind::kBadInput, "the output is one of the inputs, expected another path",
                    outputs[i].string());
      }
    }
    for (std::size_t j = 0; j < i; ++j) {
      const bool same = fs::weakly_canonical(outputs[i], error) == fs::weakly_canonical(outputs[j], error);
      if (same) {
        throw Error(ErrorKind::kBadInput, "two outputs have the same path, expected two paths",
                    outputs[i].string());
      }
    }
  }
}

void convert_huggingface(const ConvertOptions& options) {
  const Checkpoint checkpoint = Checkpoint::open(options.folder);
  const bool vision = has_vision_tower(checkpoint);
  std::vector<Output> outputs;
  std::vector<fs::path> paths = {options.output};
  if (options.mmproj) paths.push_back(*options.mmproj);
  refuse_overwriting(checkpoint, paths);

  const PlanParts text{.text = true, .draft = options.keep_mtp, .vision = options.one_file && vision};
  outputs.push_back(
      open_output(plan_huggingface(checkpoint, text), options.output, options, options.split_bytes));
  refuse_overwriting(checkpoint, outputs.front().writer->paths());
  if (options.mmproj) {
    const PlanParts tower{.text = false, .draft = false, .vision = true};
    outputs.push_back(open_output(plan_huggingface(checkpoint, tower), *options.mmproj, options, 0));
  } else if (vision && !options.one_file) {
    note("note: the vision tower is left out; --mmproj FILE or --one-file keeps it");
  }
  for (const Output& output : outputs) stream_tensors(output.plan.tensors, *output.writer, options.n_threads);
  for (const Output& output : outputs) {
    output.writer->commit();
    for (const fs::path& path : output.writer->paths()) note("wrote " + path.string());
  }
}

}  // namespace exa
