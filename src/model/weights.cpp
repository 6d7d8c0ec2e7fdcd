#include "model/weights.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "kernels/quant.h"
#include "model/arch/exaone4.h"

namespace exa {
namespace {

std::string shape_text(std::span<const std::uint64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

// Takes tensors out of the checkpoint one by one, remembering which were asked for.
class Binder {
 public:
  Binder(const Checkpoint& checkpoint, Backend& backend, Precision precision, const LoadProgress& progress)
      : checkpoint_(checkpoint), backend_(backend), precision_(precision), progress_(progress) {
    for (const TensorInfo& tensor : checkpoint.tensors()) total_bytes_ += tensor.n_bytes;
  }

  Matrix matrix(const std::string& name, std::int64_t n_rows, std::int64_t n_cols) {
    const TensorInfo& tensor =
        take(name, {static_cast<std::uint64_t>(n_rows), static_cast<std::uint64_t>(n_cols)});
    if (!can_decode(tensor.type)) {
      throw Error(ErrorKind::kUnsupported,
                  "tensor " + name + " has type " + std::string(exa::name(tensor.type)) +
                      ", expected F32, F16, BF16 or a block-quantized type",
                  checkpoint_.path().string());
    }
    const std::uint64_t stored_row_bytes = row_bytes(tensor.type, static_cast<std::uint64_t>(n_cols));
    checkpoint_.will_need(tensor);
    Matrix packed = backend_.pack(
        {.name = name,
         .type = tensor.type,
         .n_rows = n_rows,
         .n_cols = n_cols,
         .read =
             [this, &tensor, stored_row_bytes](std::int64_t row, std::int64_t n, std::byte* out) {
               checkpoint_.read(
                   tensor, static_cast<std::uint64_t>(row) * stored_row_bytes,
                   {out, static_cast<std::size_t>(static_cast<std::uint64_t>(n) * stored_row_bytes)});
             }},
        precision_);
    advance(tensor.n_bytes);
    return packed;
  }

  std::vector<float> vector(const std::string& name, std::int64_t length) {
    const TensorInfo& tensor = take(name, {static_cast<std::uint64_t>(length)});
    if (tensor.type != DType::kF32 && tensor.type != DType::kF16 && tensor.type != DType::kBF16) {
      throw Error(ErrorKind::kUnsupported,
                  "tensor " + name + " has type " + std::string(exa::name(tensor.type)) +
                      ", expected F32, F16 or BF16",
                  checkpoint_.path().string());
    }
    std::vector<std::byte> stored(static_cast<std::size_t>(tensor.n_bytes));
    checkpoint_.read(tensor, 0, stored);
    std::vector<float> values(static_cast<std::size_t>(length));
    decode_row(tensor.type, stored.data(), values.size(), values.data());
    advance(tensor.n_bytes);
    return values;
  }

  bool was_taken(const std::string& name) const { return taken_.contains(name); }

 private:
  const TensorInfo& take(const std::string& name, std::initializer_list<std::uint64_t> shape) {
    const TensorInfo* tensor = checkpoint_.find(name);
    if (!tensor) {
      throw Error(ErrorKind::kBadInput, "expected tensor " + name + " " + shape_text(shape) + ", found none",
                  checkpoint_.path().string());
    }
    if (!std::ranges::equal(tensor->shape, shape)) {
      throw Error(
          ErrorKind::kBadInput,
          "tensor " + name + " has shape " + shape_text(tensor->shape) + ", expected " + shape_text(shape),
          checkpoint_.path().string());
    }
    taken_.insert(name);
    return *tensor;
  }

  void advance(std::uint64_t n_bytes) {
    done_bytes_ += n_bytes;
    if (progress_) progress_(done_bytes_, total_bytes_);
  }

  const Checkpoint& checkpoint_;
  Backend& backend_;
  Precision precision_;
  const LoadProgress& progress_;
  std::uint64_t done_bytes_ = 0;
  std::uint64_t total_bytes_ = 0;
  std::unordered_set<std::string> taken_;
};

}  // namespace

std::size_t Weights::size_bytes() const {
  std::size_t total = embedding.bytes.size_bytes() + (head ? head->bytes.size_bytes() : 0);
  for (const LayerWeights& layer : layers) {
    for (const Matrix* m : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      total += m->bytes.size_bytes();
    }
  }
  return total;
}

Weights load_weights(const Checkpoint& checkpoint, Backend& backend, Precision precision,
                     const LoadProgress& progress) {
  Weights weights;
  weights.config = read_config(checkpoint);
  weights.precision = precision;
  const ModelConfig& config = weights.config;
  if (checkpoint.tensors().empty()) {
    throw Error(ErrorKind::kBadInput, "expected weights, found none", checkpoint.path().string());
  }
  const exaone4::TensorNames names(checkpoint);
  Binder bind(checkpoint, backend, precision, progress);

  const std::int64_t q_width = config.n_heads * config.head_dim;
  const std::int64_t kv_width = config.n_kv_heads * config.head_dim;
  weights.embedding = bind.matrix(names.embedding(), config.vocab, config.hidden);
  weights.layers.reserve(config.layers.size());
  for (std::int64_t i = 0; i < config.n_layers(); ++i) {
    LayerWeights layer;
    layer.q = bind.matrix(names.layer(i, "attn_q"), q_width, config.hidden);
    layer.k = bind.matrix(names.layer(i, "attn_k"), kv_width, config.hidden);
    layer.v = bind.matrix(names.layer(i, "attn_v"), kv_width, config.hidden);
    layer.q_norm = bind.vector(names.layer(i, "attn_q_norm"), config.head_dim);
    layer.k_norm = bind.vector(names.layer(i, "attn_k_norm"), config.head_dim);
    layer.o = bind.matrix(names.layer(i, "attn_output"), config.hidden, q_width);
    layer.post_attention_norm = bind.vector(names.layer(i, "post_attention_norm"), config.hidden);
    layer.gate = bind.matrix(names.layer(i, "ffn_gate"), config.ffn_width, config.hidden);
    layer.up = bind.matrix(names.layer(i, "ffn_up"), config.ffn_width, config.hidden);
    layer.down = bind.matrix(names.layer(i, "ffn_down"), config.hidden, config.ffn_width);
    layer.post_ffn_norm = bind.vector(names.layer(i, "post_ffw_norm"), config.hidden);
    weights.layers.push_back(std::move(layer));
  }
  weights.final_norm = bind.vector(names.final_norm(), config.hidden);
  if (!config.tied_head) weights.head = bind.matrix(names.head(), config.vocab, config.hidden);

  std::vector<float> factors;
  const std::string factors_name(exaone4::TensorNames::kRopeFactors);
  if (checkpoint.find(factors_name)) {
    factors = bind.vector(factors_name, config.head_dim / 2);
    for (const float factor : factors) {
      if (!(factor > 0.0f)) {
        throw Error(
            ErrorKind::kBadInput,
            "tensor " + factors_name + " holds " + std::to_string(factor) + ", expected positive numbers",
            checkpoint.path().string());
      }
    }
  }
  weights.rope_inverse = rope_inverse_frequencies(config, factors.empty() ? nullptr : &factors);

  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (bind.was_taken(tensor.name)) continue;
    if (!names.is_beside(tensor.name, config)) {
      throw Error(
          ErrorKind::kBadInput,
          "tensor " + tensor.name + " " + shape_text(tensor.shape) + " has no place in this architecture",
          checkpoint.path().string());
    }
    weights.unused.push_back(tensor.name);
  }
  return weights;
}

}  // namespace exa
