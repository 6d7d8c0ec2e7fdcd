#include <cmath>
#include <numbers>
#include <string>
#include <string_view>

#include "convert/hf_plan.h"
#include "model/arch/family.h"
#include "model/config.h"

namespace exa {
namespace {

class TextPlanner {
 public:
  TextPlanner(HfTensors& tensors, const HfConfig& config, std::vector<PlannedTensor>& plan)
      : tensors_(tensors), config_(config), family_(*config.family), plan_(plan) {}

  void plan(const TensorNames& names) {
    const ModelConfig& model = config_.model;
    if (std::vector<float> factors = rope_factors(model); !factors.empty()) {
      const std::uint64_t n = factors.size();
      PlannedTensor tensor;
      tensor.name = kRopeFactors;
      tensor.shape = {n};
      tensor.precision = TensorPrecision::kF32;
      add(std::move(tensor), computed_rows(std::move(factors), n));
    }
    for_each_part(family_, model, [&](const Part& part, std::int64_t layer) {
      add_part(part, layer, names.of(part, layer));
    });
    part_of_file_ = TensorPart::kDraft;
    for (std::int64_t i = 0; i < model.n_mtp_layers; ++i) {
      const std::int64_t layer = model.n_layers() + i;
      const std::string from =
          std::string(kDraftPrefix) + "layers." + std::to_string(config_.mtp_shares_layers ? 0 : i) + ".";
      for (const Part& part : family_.layer) {
        if (holds_part(part, model, layer)) add_part(part, layer, from + std::string(part.huggingface));
      }
      for (const Part& part : family_.draft) add_part(part, layer, std::string(part.huggingface));
    }
  }

 private:
  void add(PlannedTensor tensor, std::shared_ptr<const RowSource> source) {
    tensor.part = part_of_file_;
    tensor.pieces.push_back({std::move(source), 0, tensor.n_rows()});
    plan_.push_back(std::move(tensor));
  }

  // from: the tensor's name in the folder.
  void add_part(const Part& part, std::int64_t layer, const std::string& from) {
    PlannedTensor tensor;
    tensor.name = gguf_name(part, layer);
    tensor.shape = part_shape(part, config_.model);
    switch (part.kind) {
      case PartKind::kVector:
      case PartKind::kRouter:
        tensor.precision = TensorPrecision::kF32;
        break;
      case PartKind::kTable:
        break;
      case PartKind::kLinear: {
        const std::uint64_t n_out = tensor.shape[0], n_in = tensor.shape[1];
        add(std::move(tensor), tensors_.linear(module_of(from), n_out, n_in));
        return;
      }
      case PartKind::kExperts:
        add_experts(std::move(tensor), from);
        return;
    }
    const std::string too = other_spelling(part, from);
    const std::vector<std::uint64_t> shape = tensor.shape;
    add(std::move(tensor), tensors_.plain(tensors_.has(too) ? too : from, shape));
  }

  void add_experts(PlannedTensor stack, const std::string& from) {
    stack.part = part_of_file_;
    const std::uint64_t n_out = stack.shape[1], n_in = stack.shape[2];
    const std::size_t star = from.find('*');
    for (std::uint64_t e = 0; e < stack.shape[0]; ++e) {
      const std::string name = from.substr(0, star) + std::to_string(e) + from.substr(star + 1);
      stack.pieces.push_back({tensors_.linear(module_of(name), n_out, n_in), 0, n_out});
    }
    plan_.push_back(std::move(stack));
  }

  // Without ".weight": packed linears have several tensors.
  static std::string module_of(const std::string& tensor) {
    return tensor.substr(0, tensor.size() - std::string_view(".weight").size());
  }
  static std::string other_spelling(const Part& part, const std::string& name) {
    if (part.huggingface_too.empty()) return name;
    return name.substr(0, name.size() - part.huggingface.size()) + std::string(part.huggingface_too);
  }

  HfTensors& tensors_;
  const HfConfig& config_;
  const Family& family_;
  std::vector<PlannedTensor>& plan_;
  TensorPart part_of_file_ = TensorPart::kText;
};

}  // namespace

std::vector<float> rope_factors(const ModelConfig& config) {
  if (!config.rope_scaling) return {};
  ModelConfig plain = config;
  plain.rope_scaling.reset();
  std::vector<float> factors = rope_inverse_frequencies(plain, nullptr);
  const Llama3Rope& scaling = *config.rope_scaling;
  const float longest = scaling.original_context / scaling.low_freq_factor;
  const float shortest = scaling.original_context / scaling.high_freq_factor;
  for (float& factor : factors) {
    const float wavelength = static_cast<float>(2 * std::numbers::pi) / factor;
    if (wavelength < shortest) {
      factor = 1.0f;
    } else if (wavelength > longest) {
      factor = scaling.factor;
    } else {
      const float smooth = (scaling.original_context / wavelength - scaling.low_freq_factor) /
                           (scaling.high_freq_factor - scaling.low_freq_factor);
      factor = 1.0f / ((1.0f - smooth) / scaling.factor + smooth);
    }
  }
  return factors;
}

void plan_text(HfTensors& tensors, const HfConfig& config, const TensorNames& names,
               std::vector<PlannedTensor>& plan) {
  TextPlanner(tensors, config, plan).plan(names);
}

}  // namespace exa
