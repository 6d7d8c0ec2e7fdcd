#include "model/vision_weights.h"

#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "kernels/quant.h"
#include "model/arch/vision_parts.h"
#include "model/tensor_binder.h"

namespace exa {
namespace {

std::size_t to_size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

// The same rows as f16.
MatrixSource as_f16(MatrixSource source) {
  const std::size_t stored_bytes = row_bytes(source.type, static_cast<std::uint64_t>(source.n_cols));
  source.read = [read = std::move(source.read), type = source.type, stored_bytes, n_cols = source.n_cols](
                    std::int64_t row, std::int64_t n, std::byte* out) {
    std::vector<std::byte> stored(to_size(n) * stored_bytes);
    std::vector<float> values(to_size(n_cols));
    read(row, n, stored.data());
    for (std::int64_t i = 0; i < n; ++i) {
      decode_row(type, stored.data() + to_size(i) * stored_bytes, values.size(), values.data());
      for (const float value : values) {
        const std::uint16_t half = f32_to_f16(value);
        std::memcpy(out, &half, sizeof half);
        out += sizeof half;
      }
    }
  };
  source.type = DType::kF16;
  return source;
}

// The tower never computes with int8 activations.
DType tower_type(DType stored) {
  return uses_int8_activations(stored) ? DType::kF16 : stored;
}

class TowerLoader {
 public:
  TowerLoader(const Checkpoint& checkpoint, Backend& backend, Precision precision,
              const TensorBinder::Progress& progress, const VisionConfig& config)
      : checkpoint_(checkpoint),
        backend_(backend),
        precision_(precision),
        config_(config),
        gguf_(checkpoint.format() == CheckpointFormat::kGguf),
        bind_(checkpoint, progress) {}

  std::vector<float> norm(const VisionPart& part, std::int64_t block) {
    return bind_.vector(vision_name(part, block, gguf_) + ".weight", extent(part.cols));
  }

  VisionLinear linear(const VisionPart& part, std::int64_t block) {
    const std::string name = vision_name(part, block, gguf_);
    const std::uint64_t shape[] = {extent(part.rows), extent(part.cols)};
    const TensorInfo& tensor = bind_.take(name + ".weight", shape);
    checkpoint_.will_need(tensor);
    MatrixSource source =
        bind_.rows(tensor, static_cast<std::int64_t>(shape[0]), static_cast<std::int64_t>(shape[1]));
    const bool widened = precision_ == Precision::kProduction && tower_type(tensor.type) != tensor.type;
    Matrix weight = backend_.pack(widened ? as_f16(std::move(source)) : source, precision_);
    bind_.advance(tensor.n_bytes);
    return {std::move(weight), bind_.vector(name + ".bias", shape[0])};
  }

  Matrix patch_kernel() { return gguf_ ? gguf_kernel() : folder_kernel(); }

  void require_all_taken() const {
    for (const TensorInfo& tensor : checkpoint_.tensors()) {
      const std::string_view name = tensor.name;
      const bool of_tower =
          gguf_ ? name.starts_with("v.") || name.starts_with("mm.") : name.starts_with(kVisionPrefix);
      if (of_tower && !bind_.was_taken(tensor.name)) bind_.refuse(tensor, "vision tower");
    }
  }

 private:
  std::uint64_t extent(VisionExtent which) const {
    return static_cast<std::uint64_t>(vision_extent(which, config_));
  }

  Matrix folder_kernel() {
    const auto px = static_cast<std::uint64_t>(config_.patch_px);
    const std::uint64_t shape[] = {extent(VisionExtent::kHidden), VisionConfig::kChannels,
                                   VisionConfig::kFramesAPatch, px, px};
    const TensorInfo& tensor = bind_.take(std::string(kVisionPrefix) + std::string(kPatchKernel), shape);
    bind_.require_float(tensor);
    checkpoint_.will_need(tensor);
    Matrix packed = backend_.pack(bind_.rows(tensor, config_.hidden, config_.patch_values()), precision_);
    bind_.advance(tensor.n_bytes);
    return packed;
  }

  Matrix gguf_kernel() {
    const auto px = static_cast<std::uint64_t>(config_.patch_px);
    const std::uint64_t shape[] = {extent(VisionExtent::kHidden), VisionConfig::kChannels, px, px};
    const TensorInfo* slices[VisionConfig::kFramesAPatch];
    for (std::int64_t t = 0; t < VisionConfig::kFramesAPatch; ++t) {
      slices[t] = &bind_.take(gguf_patch_kernel(t), shape);
      bind_.require_float(*slices[t]);
    }
    if (slices[0]->type != slices[1]->type) {
      throw Error(ErrorKind::kBadInput,
                  "tensor " + slices[1]->name + " has type " + std::string(name(slices[1]->type)) +
                      ", expected that of " + slices[0]->name + ", " + std::string(name(slices[0]->type)),
                  checkpoint_.path().string());
    }
    const std::size_t plane = row_bytes(slices[0]->type, px * px);
    const auto read = [&](std::int64_t row, std::int64_t n, std::byte* out) {
      std::vector<std::byte> stored(plane * VisionConfig::kChannels);
      for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t t = 0; t < VisionConfig::kFramesAPatch; ++t) {
          checkpoint_.read(*slices[t], to_size(row + i) * stored.size(), stored);
          for (std::int64_t c = 0; c < VisionConfig::kChannels; ++c) {
            const std::int64_t place = (i * VisionConfig::kChannels + c) * VisionConfig::kFramesAPatch + t;
            std::memcpy(out + to_size(place) * plane, stored.data() + to_size(c) * plane, plane);
          }
        }
      }
    };
    Matrix packed = backend_.pack(
        {slices[0]->name, slices[0]->type, config_.hidden, config_.patch_values(), read}, precision_);
    bind_.advance(slices[0]->n_bytes + slices[1]->n_bytes);
    return packed;
  }

  const Checkpoint& checkpoint_;
  Backend& backend_;
  Precision precision_;
  const VisionConfig& config_;
  bool gguf_;
  TensorBinder bind_;
};

}  // namespace

std::size_t VisionWeights::size_bytes() const {
  std::size_t total =
      patch.bytes.size_bytes() + merger_in.weight.bytes.size_bytes() + merger_out.weight.bytes.size_bytes();
  for (const VisionBlock& block : blocks) {
    for (const VisionLinear* linear : {&block.qkv, &block.o, &block.gate, &block.up, &block.down}) {
      total += linear->weight.bytes.size_bytes();
    }
  }
  return total;
}

std::size_t vision_weight_bytes(const Checkpoint& checkpoint, const VisionConfig& config,
                                const Backend& backend) {
  const bool gguf = checkpoint.format() == CheckpointFormat::kGguf;
  std::size_t total = 0;
  const auto add = [&](const TensorInfo* tensor, std::int64_t n_rows, std::int64_t n_cols) {
    if (tensor == nullptr) return;
    const DType type = tower_type(tensor->type);
    const bool fits = can_decode(tensor->type) && n_cols % traits(tensor->type).block_size == 0;
    total += fits ? backend.packed_bytes(type, n_rows, n_cols, Precision::kProduction)
                  : static_cast<std::size_t>(tensor->n_bytes);
  };
  const auto add_linear = [&](const VisionPart& part, std::int64_t block) {
    if (part.rows == VisionExtent::kNone) return;
    add(checkpoint.find(vision_name(part, block, gguf) + ".weight"), vision_extent(part.rows, config),
        vision_extent(part.cols, config));
  };
  // Both of a GGUF file's kernels become one matrix.
  add(checkpoint.find(gguf ? gguf_patch_kernel(0) : std::string(kVisionPrefix) + std::string(kPatchKernel)),
      config.hidden, config.patch_values());
  for (std::int64_t i = 0; i < config.n_layers(); ++i) {
    for (const VisionPart& part : kVisionBlockParts) add_linear(part, i);
  }
  add_linear(kMergerInPart, -1);
  add_linear(kMergerOutPart, -1);
  return total;
}

VisionWeights load_vision_weights(const Checkpoint& checkpoint, Backend& backend, Precision precision,
                                  const std::function<void(std::uint64_t)>& progress) {
  VisionWeights weights;
  weights.config = read_vision_config(checkpoint);
  weights.precision = precision;
  TowerLoader load(checkpoint, backend, precision, progress, weights.config);
  weights.patch = load.patch_kernel();
  weights.blocks.resize(to_size(weights.config.n_layers()));
  for (std::size_t i = 0; i < weights.blocks.size(); ++i) {
    for (const VisionPart& part : kVisionBlockParts) {
      const auto block = static_cast<std::int64_t>(i);
      if (part.linear) {
        weights.blocks[i].*part.linear = load.linear(part, block);
      } else {
        weights.blocks[i].*part.norm = load.norm(part, block);
      }
    }
  }
  weights.merger_norm = load.norm(kMergerNormPart, -1);
  weights.merger_in = load.linear(kMergerInPart, -1);
  weights.merger_out = load.linear(kMergerOutPart, -1);
  load.require_all_taken();
  return weights;
}

}  // namespace exa
