#include "model/vision_weights.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/error.h"
#include "kernels/isa/matmul.h"
#include "kernels/quant.h"

namespace exa {
namespace {

std::size_t to_size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

std::string shape_text(std::span<const std::uint64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

struct PartName {
  std::string_view gguf;
  std::string_view huggingface;
};
constexpr PartName kBlockParts[] = {
    {"ln1", "norm1"},
    {"attn_qkv", "attn.qkv"},
    {"attn_out", "attn.proj"},
    {"ln2", "norm2"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

// The spelling of each tensor in the checkpoint at hand, without ".weight" and ".bias".
class Names {
 public:
  explicit Names(const Checkpoint& checkpoint) : gguf_(checkpoint.format() == CheckpointFormat::kGguf) {}

  bool gguf() const { return gguf_; }
  std::string block(std::int64_t i, std::string_view part) const {
    if (gguf_) return "v.blk." + std::to_string(i) + "." + std::string(part);
    for (const PartName& entry : kBlockParts) {
      if (entry.gguf == part)
        return kPrefix + "blocks." + std::to_string(i) + "." + std::string(entry.huggingface);
    }
    throw Error(ErrorKind::kInternal, "no tensor name for vision part " + std::string(part));
  }
  std::string merger_norm() const { return gguf_ ? "v.post_ln" : kPrefix + "merger.ln_q"; }
  std::string merger_in() const { return gguf_ ? "mm.0" : kPrefix + "merger.mlp.0"; }
  std::string merger_out() const { return gguf_ ? "mm.2" : kPrefix + "merger.mlp.2"; }
  bool is_vision(std::string_view tensor) const {
    return gguf_ ? tensor.starts_with("v.") || tensor.starts_with("mm.") : tensor.starts_with(kPrefix);
  }

  inline static const std::string kPrefix = "model.visual.";

 private:
  bool gguf_;
};

class Binder {
 public:
  Binder(const Checkpoint& checkpoint, Backend& backend, Precision precision,
         const std::function<void(std::uint64_t)>& progress)
      : checkpoint_(checkpoint), backend_(backend), precision_(precision), progress_(progress) {}

  const TensorInfo& take(const std::string& name, std::initializer_list<std::int64_t> shape) {
    const std::vector<std::uint64_t> expected(shape.begin(), shape.end());
    const TensorInfo* const tensor = checkpoint_.find(name);
    if (!tensor) throw error(name, "shape " + shape_text(expected), "no such tensor");
    if (tensor->shape != expected)
      throw error(name, "shape " + shape_text(expected), shape_text(tensor->shape));
    taken_.insert(name);
    return *tensor;
  }

  std::vector<float> vector(const std::string& name, std::int64_t length) {
    const TensorInfo& tensor = take(name, {length});
    require_float(tensor);
    std::vector<std::byte> stored(to_size(static_cast<std::int64_t>(tensor.n_bytes)));
    checkpoint_.read(tensor, 0, stored);
    std::vector<float> values(to_size(length));
    decode_row(tensor.type, stored.data(), values.size(), values.data());
    advance(tensor.n_bytes);
    return values;
  }

  Matrix matrix(const TensorInfo& tensor, std::int64_t n_rows, std::int64_t n_cols) {
    if (!can_decode(tensor.type)) {
      throw Error(ErrorKind::kUnsupported,
                  "tensor " + tensor.name + " has type " + std::string(exa::name(tensor.type)) +
                      ", expected F32, F16, BF16 or a block-quantized type",
                  checkpoint_.path().string());
    }
    const std::size_t stored_bytes = row_bytes(tensor.type, static_cast<std::uint64_t>(n_cols));
    checkpoint_.will_need(tensor);
    const auto read = [this, &tensor, stored_bytes](std::int64_t row, std::int64_t n, std::byte* out) {
      checkpoint_.read(tensor, to_size(row) * stored_bytes, {out, to_size(n) * stored_bytes});
    };
    MatrixSource source{tensor.name, tensor.type, n_rows, n_cols, read};
    if (precision_ == Precision::kProduction && uses_int8_activations(tensor.type)) {
      source.type = DType::kF16;
      source.read = [read, type = tensor.type, stored_bytes, n_cols](std::int64_t row, std::int64_t n,
                                                                     std::byte* out) {
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
    }
    Matrix packed = backend_.pack(source, precision_);
    advance(static_cast<std::uint64_t>(n_rows) * stored_bytes);
    return packed;
  }

  VisionLinear linear(const std::string& name, std::int64_t n_out, std::int64_t n_in) {
    return {matrix(take(name + ".weight", {n_out, n_in}), n_out, n_in), vector(name + ".bias", n_out)};
  }

  // The patch kernel: one tensor [hidden, 3, 2, px, px], or in GGUF one [hidden, 3, px, px] a frame of the
  // pair.
  Matrix patch_kernel(const VisionConfig& config, const Names& names) {
    const std::int64_t px = config.patch_px;
    const std::int64_t n_cols = config.patch_values();
    if (!names.gguf()) {
      const TensorInfo& tensor =
          take(Names::kPrefix + "patch_embed.proj.weight",
               {config.hidden, VisionConfig::kChannels, VisionConfig::kFramesAPatch, px, px});
      require_float(tensor);
      return matrix(tensor, config.hidden, n_cols);
    }
    const TensorInfo* slices[VisionConfig::kFramesAPatch];
    for (std::int64_t t = 0; t < VisionConfig::kFramesAPatch; ++t) {
      slices[t] = &take(t == 0 ? "v.patch_embd.weight" : "v.patch_embd.weight." + std::to_string(t),
                        {config.hidden, VisionConfig::kChannels, px, px});
      require_float(*slices[t]);
    }
    if (slices[0]->type != slices[1]->type) {
      throw error(slices[1]->name,
                  "the type of " + slices[0]->name + ", " + std::string(exa::name(slices[0]->type)),
                  std::string(exa::name(slices[1]->type)));
    }
    const std::size_t plane = row_bytes(slices[0]->type, static_cast<std::uint64_t>(px * px));
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
    Matrix packed =
        backend_.pack({"v.patch_embd.weight", slices[0]->type, config.hidden, n_cols, read}, precision_);
    advance(slices[0]->n_bytes + slices[1]->n_bytes);
    return packed;
  }

  void require_all_taken(const Names& names) const {
    for (const TensorInfo& tensor : checkpoint_.tensors()) {
      if (!names.is_vision(tensor.name) || taken_.contains(tensor.name)) continue;
      throw Error(
          ErrorKind::kBadInput,
          "tensor " + tensor.name + " " + shape_text(tensor.shape) + " has no place in this vision tower",
          checkpoint_.path().string());
    }
  }

 private:
  Error error(const std::string& name, const std::string& expected, const std::string& found) const {
    return Error(ErrorKind::kBadInput, "tensor " + name + ": expected " + expected + ", found " + found,
                 checkpoint_.path().string());
  }
  void require_float(const TensorInfo& tensor) const {
    if (tensor.type == DType::kF32 || tensor.type == DType::kF16 || tensor.type == DType::kBF16) return;
    throw Error(ErrorKind::kUnsupported,
                "tensor " + tensor.name + " has type " + std::string(exa::name(tensor.type)) +
                    ", expected F32, F16 or BF16",
                checkpoint_.path().string());
  }
  void advance(std::uint64_t n_bytes) {
    done_bytes_ += n_bytes;
    if (progress_) progress_(done_bytes_);
  }

  const Checkpoint& checkpoint_;
  Backend& backend_;
  Precision precision_;
  const std::function<void(std::uint64_t)>& progress_;
  std::uint64_t done_bytes_ = 0;
  std::unordered_set<std::string> taken_;
};

VisionBlock load_block(Binder& bind, const Names& names, const VisionConfig& config, std::int64_t i) {
  const std::int64_t q_width = config.n_heads * config.head_dim;
  const std::int64_t kv_width = 2 * config.n_kv_heads * config.head_dim;
  VisionBlock block;
  block.attention_norm = bind.vector(names.block(i, "ln1") + ".weight", config.hidden);
  block.qkv = bind.linear(names.block(i, "attn_qkv"), q_width + kv_width, config.hidden);
  block.o = bind.linear(names.block(i, "attn_out"), config.hidden, q_width);
  block.ffn_norm = bind.vector(names.block(i, "ln2") + ".weight", config.hidden);
  block.gate = bind.linear(names.block(i, "ffn_gate"), config.ffn_width, config.hidden);
  block.up = bind.linear(names.block(i, "ffn_up"), config.ffn_width, config.hidden);
  block.down = bind.linear(names.block(i, "ffn_down"), config.hidden, config.ffn_width);
  return block;
}

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

VisionWeights load_vision_weights(const Checkpoint& checkpoint, Backend& backend, Precision precision,
                                  const std::function<void(std::uint64_t)>& progress) {
  VisionWeights weights;
  weights.config = read_vision_config(checkpoint);
  weights.precision = precision;
  const VisionConfig& config = weights.config;
  const Names names(checkpoint);
  Binder bind(checkpoint, backend, precision, progress);
  weights.patch = bind.patch_kernel(config, names);
  for (std::int64_t i = 0; i < config.n_layers(); ++i)
    weights.blocks.push_back(load_block(bind, names, config, i));
  const std::int64_t cell_width = config.hidden * config.patches_a_cell();
  weights.merger_norm = bind.vector(names.merger_norm() + ".weight", config.hidden);
  weights.merger_in = bind.linear(names.merger_in(), cell_width, cell_width);
  weights.merger_out = bind.linear(names.merger_out(), config.out_hidden, cell_width);
  bind.require_all_taken(names);
  return weights;
}

}  // namespace exa
