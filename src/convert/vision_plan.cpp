#include <string>

#include "convert/hf_plan.h"

namespace exa {
namespace {

class VisionPlanner {
 public:
  VisionPlanner(HfTensors& tensors, const VisionConfig& vision, std::vector<PlannedTensor>& plan)
      : tensors_(tensors), vision_(vision), plan_(plan) {}

  void plan() {
    const auto hidden = static_cast<std::uint64_t>(vision_.hidden);
    const auto ffn = static_cast<std::uint64_t>(vision_.ffn_width);
    const std::uint64_t qkv =
        static_cast<std::uint64_t>((vision_.n_heads + 2 * vision_.n_kv_heads) * vision_.head_dim);
    plan_patches(hidden);
    for (std::int64_t i = 0; i < vision_.n_layers(); ++i) {
      const std::string from = kPrefix + "blocks." + std::to_string(i) + ".";
      const std::string to = "v.blk." + std::to_string(i) + ".";
      norm(to + "ln1", from + "norm1", hidden);
      linear(to + "attn_qkv", from + "attn.qkv", qkv, hidden);
      linear(to + "attn_out", from + "attn.proj", hidden, hidden);
      norm(to + "ln2", from + "norm2", hidden);
      linear(to + "ffn_gate", from + "mlp.gate_proj", ffn, hidden);
      linear(to + "ffn_up", from + "mlp.up_proj", ffn, hidden);
      linear(to + "ffn_down", from + "mlp.down_proj", hidden, ffn);
    }
    const std::uint64_t merged = hidden * static_cast<std::uint64_t>(vision_.merge * vision_.merge);
    norm("v.post_ln", kPrefix + "merger.ln_q", hidden);
    linear("mm.0", kPrefix + "merger.mlp.0", merged, merged);
    linear("mm.2", kPrefix + "merger.mlp.2", static_cast<std::uint64_t>(vision_.out_hidden), merged);
  }

 private:
  inline static const std::string kPrefix = "model.visual.";

  // The kernel [hidden, channels, time, patch, patch] becomes one tensor a time step.
  void plan_patches(std::uint64_t hidden) {
    const auto channels = static_cast<std::uint64_t>(VisionConfig::kChannels);
    const auto patch = static_cast<std::uint64_t>(vision_.patch_px);
    const auto time = static_cast<std::uint64_t>(VisionConfig::kFramesAPatch);
    const auto kernel =
        tensors_.plain(kPrefix + "patch_embed.proj.weight", {hidden, channels, time, patch, patch}, patch);
    for (std::uint64_t t = 0; t < time; ++t) {
      PlannedTensor slice;
      slice.name = t == 0 ? "v.patch_embd.weight" : "v.patch_embd.weight." + std::to_string(t);
      slice.shape = {hidden, channels, patch, patch};
      slice.part = TensorPart::kVision;
      slice.precision = TensorPrecision::kPatchKernel;
      for (std::uint64_t i = 0; i < hidden * channels; ++i) {
        slice.pieces.push_back({kernel, (i * time + t) * patch, patch});
      }
      plan_.push_back(std::move(slice));
    }
  }

  void add(std::string name, std::vector<std::uint64_t> shape, std::shared_ptr<const RowSource> source) {
    PlannedTensor tensor;
    tensor.precision = shape.size() == 1 ? TensorPrecision::kF32 : TensorPrecision::kFileType;
    tensor.name = std::move(name);
    tensor.shape = std::move(shape);
    tensor.part = TensorPart::kVision;
    tensor.pieces.push_back({std::move(source), 0, tensor.n_rows()});
    plan_.push_back(std::move(tensor));
  }

  void norm(const std::string& to, const std::string& from, std::uint64_t width) {
    add(to + ".weight", {width}, tensors_.plain(from + ".weight", {width}));
  }

  void linear(const std::string& to, const std::string& from, std::uint64_t n_out, std::uint64_t n_in) {
    add(to + ".weight", {n_out, n_in}, tensors_.linear(from, n_out, n_in));
    add(to + ".bias", {n_out}, tensors_.plain(from + ".bias", {n_out}));
  }

  HfTensors& tensors_;
  const VisionConfig& vision_;
  std::vector<PlannedTensor>& plan_;
};

}  // namespace

void plan_vision(HfTensors& tensors, const VisionConfig& vision, std::vector<PlannedTensor>& plan) {
  VisionPlanner(tensors, vision, plan).plan();
}

}  // namespace exa
