#include <string>

#include "convert/hf_plan.h"
#include "model/arch/vision_parts.h"

namespace exa {
namespace {

class VisionPlanner {
 public:
  VisionPlanner(HfTensors& tensors, const VisionConfig& vision, std::vector<PlannedTensor>& plan)
      : tensors_(tensors), vision_(vision), plan_(plan) {}

  void plan() {
    plan_patches();
    for (std::int64_t i = 0; i < vision_.n_layers(); ++i) {
      for (const VisionPart& part : kVisionBlockParts) add_part(part, i);
    }
    for (const VisionPart& part : {kMergerNormPart, kMergerInPart, kMergerOutPart}) add_part(part, -1);
  }

 private:
  // The kernel [hidden, channels, time, patch, patch] becomes one tensor a time step.
  void plan_patches() {
    const std::uint64_t hidden = extent(VisionExtent::kHidden);
    const auto channels = static_cast<std::uint64_t>(VisionConfig::kChannels);
    const auto patch = static_cast<std::uint64_t>(vision_.patch_px);
    const auto time = static_cast<std::uint64_t>(VisionConfig::kFramesAPatch);
    const auto kernel = tensors_.plain(std::string(kVisionPrefix) + std::string(kPatchKernel),
                                       {hidden, channels, time, patch, patch}, patch);
    for (std::uint64_t t = 0; t < time; ++t) {
      PlannedTensor slice;
      slice.name = gguf_patch_kernel(static_cast<std::int64_t>(t));
      slice.shape = {hidden, channels, patch, patch};
      slice.part = TensorPart::kVision;
      slice.precision = TensorPrecision::kPatchKernel;
      for (std::uint64_t i = 0; i < hidden * channels; ++i) {
        slice.pieces.push_back({kernel, (i * time + t) * patch, patch});
      }
      plan_.push_back(std::move(slice));
    }
  }

  void add_part(const VisionPart& part, std::int64_t block) {
    const std::string to = vision_name(part, block, true);
    const std::string from = vision_name(part, block, false);
    const std::uint64_t n_in = extent(part.cols);
    if (part.rows == VisionExtent::kNone) {
      add(to + ".weight", {n_in}, tensors_.plain(from + ".weight", {n_in}));
      return;
    }
    const std::uint64_t n_out = extent(part.rows);
    add(to + ".weight", {n_out, n_in}, tensors_.linear(from, n_out, n_in));
    add(to + ".bias", {n_out}, tensors_.plain(from + ".bias", {n_out}));
  }

  std::uint64_t extent(VisionExtent which) const {
    return static_cast<std::uint64_t>(vision_extent(which, vision_));
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

  HfTensors& tensors_;
  const VisionConfig& vision_;
  std::vector<PlannedTensor>& plan_;
};

}  // namespace

void plan_vision(HfTensors& tensors, const VisionConfig& vision, std::vector<PlannedTensor>& plan) {
  VisionPlanner(tensors, vision, plan).plan();
}

}  // namespace exa
