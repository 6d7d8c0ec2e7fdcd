// One model architecture as data: how files call it, who reads its hyperparameters, and which tensors it
// consists of. Running, converting and inspecting walk the same table.
//
// A row of the table is a Part: the tensor's names, its shape in extents of the config, and where it belongs
// in LayerWeights. Parts of a layer are named without the layer's prefix ("blk.3.", "model.layers.3.").
// Ownership and threads: constants, and values that borrow them.
// Source: exaone-models specification 2.3 to 2.8, 3.1.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/weights.h"

namespace exa {

enum class Extent : std::uint8_t {
  kNone,  // of rows: the tensor is a vector
  kHidden,
  kTwiceHidden,
  kQuery,     // n_heads · head_dim
  kKeyValue,  // n_kv_heads · head_dim
  kHeadDim,
  kFfn,
  kVocab,
  kExperts,
  kExpertFfn,
  kSharedFfn,  // of all shared experts together
};

enum class PartKind : std::uint8_t {
  kVector,   // [cols], F32 in every GGUF: norms, biases
  kTable,    // [rows, cols], looked up and never packed: the embedding
  kLinear,   // [rows, cols], may be packed in a Hugging Face folder
  kRouter,   // [rows, cols], F32 in every GGUF
  kExperts,  // [experts, rows, cols]; in a Hugging Face folder one linear an expert, whose number is the "*"
};

// Which layers hold the part.
enum class Presence : std::uint8_t {
  kAlways,
  kDense,   // those with a feed-forward network of their own
  kSparse,  // those with a mixture of experts
  kShared,  // those of them whose experts share some
};

struct Part {
  std::string_view gguf;         // "attn_q.weight"
  std::string_view huggingface;  // "self_attn.q_proj.weight"
  Extent rows = Extent::kNone;
  Extent cols = Extent::kHidden;
  PartKind kind = PartKind::kLinear;
  Presence presence = Presence::kAlways;
  std::string_view huggingface_too = {};               // another spelling that checkpoints have
  Matrix LayerWeights::*matrix = nullptr;              // of a layer's matrix that is run
  std::vector<float> LayerWeights::*vector = nullptr;  // of a layer's vector that is run
};

constexpr Part linear_part(std::string_view gguf, std::string_view huggingface, Extent rows, Extent cols,
                           Matrix LayerWeights::*matrix = nullptr, Presence presence = Presence::kAlways) {
  return {.gguf = gguf,
          .huggingface = huggingface,
          .rows = rows,
          .cols = cols,
          .presence = presence,
          .matrix = matrix};
}
constexpr Part vector_part(std::string_view gguf, std::string_view huggingface, Extent cols,
                           std::vector<float> LayerWeights::*vector = nullptr) {
  return {
      .gguf = gguf, .huggingface = huggingface, .cols = cols, .kind = PartKind::kVector, .vector = vector};
}

// Parts that the architectures share.
inline constexpr Part kEmbeddingPart = {.gguf = "token_embd.weight",
                                        .huggingface = "embed_tokens.weight",
                                        .rows = Extent::kVocab,
                                        .cols = Extent::kHidden,
                                        .kind = PartKind::kTable};
inline constexpr Part kFinalNormPart = vector_part("output_norm.weight", "norm.weight", Extent::kHidden);
inline constexpr Part kHeadPart =
    linear_part("output.weight", "lm_head.weight", Extent::kVocab, Extent::kHidden);
inline constexpr Part kDraftParts[] = {
    linear_part("nextn.eh_proj.weight", "mtp.fc.weight", Extent::kHidden, Extent::kTwiceHidden),
    vector_part("nextn.enorm.weight", "mtp.pre_fc_norm_embedding.weight", Extent::kHidden),
    vector_part("nextn.hnorm.weight", "mtp.pre_fc_norm_hidden.weight", Extent::kHidden),
    vector_part("nextn.shared_head_norm.weight", "mtp.norm.weight", Extent::kHidden),
};

struct Family {
  std::string_view gguf;                          // general.architecture, and the prefix of its keys
  std::span<const std::string_view> huggingface;  // model_type of config.json
  bool runs;                                      // else it is only converted
  // GGUF files have rope.dimension_count, else vocab_size.
  bool states_rope_dimension = false;
  // Readers take a GGUF file of this depth without window keys for one with windows; 0: none.
  std::int64_t depth_with_windows = 0;
  // The hyperparameters as the file states them, unchecked beyond each value's range. Errors: as read_config.
  ModelConfig (*read_json)(const Checkpoint& checkpoint);
  ModelConfig (*read_gguf)(const Checkpoint& checkpoint);  // null where it does not run

  std::span<const std::string_view> prefixes;  // of Hugging Face names; the first that fits, else the last
  std::string_view layers;                     // after the prefix, before the layer's number: "layers."
  Part embedding;
  std::span<const Part> layer;  // in file order
  Part final_norm;
  Part head;                    // absent where tied; its Hugging Face name has no prefix
  std::span<const Part> draft;  // of a drafting layer, beside those of a layer; their names have no prefix
};

// The one of the checkpoint's architecture. Errors: kBadInput where it states none; kUnsupported for one that is not
// known or, with only_running, not run.
const Family& family_of(const Checkpoint& checkpoint, bool only_running);

std::vector<std::uint64_t> part_shape(const Part& part, const ModelConfig& config);
// "blk.3.attn_q.weight"; layer < 0: of the whole model.
std::string gguf_name(const Part& part, std::int64_t layer);
inline constexpr std::string_view kDraftPrefix = "mtp.";  // of the drafting layers' Hugging Face names
inline constexpr std::string_view kRopeFactors = "rope_freqs.weight";  // GGUF only, [head_dim / 2], optional

// Where a part lies in weights whose layers have been made; the head comes to be.
Matrix& matrix_of(Weights& weights, const Part& part, std::int64_t layer);
std::vector<float>& vector_of(Weights& weights, const Part& part, std::int64_t layer);

bool holds_part(const Part& part, const ModelConfig& config, std::int64_t layer);

// Calls visit(part, layer) for each tensor of the text decoder in file order, drafting layers aside; layer is
// -1 for what stands outside of the layers.
template <typename Visit>
void for_each_part(const Family& family, const ModelConfig& config, Visit&& visit) {
  visit(family.embedding, std::int64_t{-1});
  for (std::int64_t i = 0; i < config.n_layers(); ++i) {
    for (const Part& part : family.layer) {
      if (holds_part(part, config, i)) visit(part, i);
    }
  }
  visit(family.final_norm, std::int64_t{-1});
  if (!config.tied_head) visit(family.head, std::int64_t{-1});
}

// How this checkpoint spells the network's tensors.
class TensorNames {
 public:
  TensorNames(const Family& family, const Checkpoint& checkpoint, const ModelConfig& config);

  std::string of(const Part& part, std::int64_t layer) const;
  // True for tensors that belong to rooms beside the text decoder (drafting layers, vision tower, rotary
  // buffers and factors, a head that equals the embedding).
  bool is_beside(std::string_view tensor_name) const;

 private:
  const Family* family_;
  bool gguf_;
  bool tied_head_;
  std::int64_t n_layers_, n_mtp_layers_;
  std::string prefix_;
  bool embedding_is_head_ = false;  // a tied folder that holds the one tensor under the head's name
};

}  // namespace exa
