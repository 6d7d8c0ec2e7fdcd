#include "model/arch/family.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/arch/exaone3.h"
#include "model/arch/exaone4.h"
#include "model/arch/exaone_moe.h"
#include "model/config_reader.h"

namespace exa {
namespace {

// All that this program knows: the last place where one is added.
constexpr std::array<const Family*, 3> kFamilies = {&kExaone3, &kExaone4, &kExaoneMoe};

// "a", "b" or "c"
std::string alternatives(const std::vector<std::string_view>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += '"' + std::string(names[i]) + '"';
  }
  return text;
}

std::int64_t extent(Extent which, const ModelConfig& config) {
  const auto mixture = [&]() -> const MixtureConfig& {
    if (!config.mixture) throw Error(ErrorKind::kInternal, "experts asked of a model without them");
    return *config.mixture;
  };
  switch (which) {
    case Extent::kHidden:
      return config.hidden;
    case Extent::kTwiceHidden:
      return 2 * config.hidden;
    case Extent::kQuery:
      return config.n_heads * config.head_dim;
    case Extent::kKeyValue:
      return config.n_kv_heads * config.head_dim;
    case Extent::kHeadDim:
      return config.head_dim;
    case Extent::kFfn:
      return config.ffn_width;
    case Extent::kVocab:
      return config.vocab;
    case Extent::kExperts:
      return mixture().n_experts;
    case Extent::kExpertFfn:
      return mixture().ffn_width;
    case Extent::kSharedFfn:
      return mixture().ffn_width * mixture().n_shared;
    case Extent::kNone:
      break;
  }
  return 1;
}

}  // namespace

const Family& family_of(const Checkpoint& checkpoint, bool only_running) {
  const bool gguf = checkpoint.format() == CheckpointFormat::kGguf;
  std::string where = checkpoint.path().string();
  std::string stated;
  if (gguf) {
    where += ", key general.architecture";
    const std::string* architecture = checkpoint.get_string("general.architecture");
    if (!architecture) throw Error(ErrorKind::kBadInput, "expected a string, found no such key", where);
    stated = *architecture;
  } else {
    if (checkpoint.config().is_null()) {
      throw Error(ErrorKind::kBadInput, "expected config.json beside the weights, found none", where);
    }
    const JsonReader root(checkpoint.config(), (checkpoint.path() / "config.json").string());
    stated = root.string("model_type");
    where = root.where("model_type");
  }
  std::vector<std::string_view> known;
  for (const Family* family : kFamilies) {
    if (only_running && !family->runs) continue;
    const std::span<const std::string_view> names = gguf ? std::span(&family->gguf, 1) : family->huggingface;
    for (const std::string_view name : names) {
      if (name == stated) return *family;
      known.push_back(name);
    }
  }
  throw Error(ErrorKind::kUnsupported,
              (gguf ? "architecture \"" : "model_type \"") + stated + "\", expected " + alternatives(known),
              where);
}

std::vector<std::uint64_t> part_shape(const Part& part, const ModelConfig& config) {
  std::vector<std::uint64_t> shape;
  if (part.kind == PartKind::kExperts) {
    shape.push_back(static_cast<std::uint64_t>(extent(Extent::kExperts, config)));
  }
  if (part.rows != Extent::kNone) shape.push_back(static_cast<std::uint64_t>(extent(part.rows, config)));
  shape.push_back(static_cast<std::uint64_t>(extent(part.cols, config)));
  return shape;
}

std::string gguf_name(const Part& part, std::int64_t layer) {
  const std::string prefix = layer < 0 ? std::string() : "blk." + std::to_string(layer) + ".";
  return prefix + std::string(part.gguf);
}

Matrix& matrix_of(Weights& weights, const Part& part, std::int64_t layer) {
  if (layer >= 0) return weights.layers[static_cast<std::size_t>(layer)].*part.matrix;
  return part.kind == PartKind::kTable ? weights.embedding : weights.head.emplace();
}

std::vector<float>& vector_of(Weights& weights, const Part& part, std::int64_t layer) {
  return layer >= 0 ? weights.layers[static_cast<std::size_t>(layer)].*part.vector : weights.final_norm;
}

bool holds_part(const Part& part, const ModelConfig& config, std::int64_t layer) {
  // Drafting layers stand behind the last one and are dense.
  const bool sparse = config.mixture && layer < config.n_layers() &&
                      config.mixture->is_sparse[static_cast<std::size_t>(layer)];
  switch (part.presence) {
    case Presence::kAlways:
      return true;
    case Presence::kDense:
      return !sparse;
    case Presence::kSparse:
      return sparse;
    case Presence::kShared:
      return sparse && config.mixture->n_shared > 0;
  }
  return false;
}

TensorNames::TensorNames(const Family& family, const Checkpoint& checkpoint, const ModelConfig& config)
    : family_(&family),
      gguf_(checkpoint.format() == CheckpointFormat::kGguf),
      tied_head_(config.tied_head),
      n_layers_(config.n_layers()),
      n_mtp_layers_(config.n_mtp_layers) {
  for (const std::string_view prefix : family.prefixes) {
    prefix_ = prefix;
    if (checkpoint.find(prefix_ + std::string(family.final_norm.huggingface))) break;
  }
  embedding_is_head_ = !gguf_ && tied_head_ && !checkpoint.find(of(family.embedding, -1)) &&
                       checkpoint.find(family.head.huggingface);
}

std::string TensorNames::of(const Part& part, std::int64_t layer) const {
  if (gguf_) return gguf_name(part, layer);
  const std::string name(part.huggingface);
  if (layer >= 0) return prefix_ + std::string(family_->layers) + std::to_string(layer) + "." + name;
  if (embedding_is_head_ && &part == &family_->embedding) return std::string(family_->head.huggingface);
  return &part == &family_->head ? name : prefix_ + name;
}

bool TensorNames::is_beside(std::string_view tensor_name) const {
  if (gguf_) {
    if (tensor_name == kRopeFactors || tensor_name.starts_with("v.") || tensor_name.starts_with("mm."))
      return true;
    for (std::int64_t i = 0; i < n_mtp_layers_; ++i) {
      if (tensor_name.starts_with("blk." + std::to_string(n_layers_ + i) + ".")) return true;
    }
    return false;
  }
  return tensor_name.starts_with(kDraftPrefix) || tensor_name.starts_with("model.visual.") ||
         tensor_name.ends_with("rotary_emb.inv_freq") || tensor_name.ends_with("rotary.inv_freq") ||
         (tied_head_ && tensor_name == family_->head.huggingface);
}

}  // namespace exa
