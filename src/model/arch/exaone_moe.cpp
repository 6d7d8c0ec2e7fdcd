#include "model/arch/exaone_moe.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/arch/text_config.h"
#include "model/config_reader.h"

namespace exa {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kMaxExperts = 4096;
constexpr LayerSpec kLayer = {.norm = NormPlacement::kPre, .qk_norm = true};
constexpr std::int64_t kDefaultWindow = 4096;  // of transformers

MixtureConfig read_mixture(const JsonReader& text, std::int64_t n_layers) {
  MixtureConfig mixture;
  mixture.n_experts = text.integer("num_experts", 1, kMaxExperts);
  mixture.n_used = text.integer("num_experts_per_tok", 1, mixture.n_experts);
  mixture.n_shared = text.integer_or("num_shared_experts", 0, kMaxExperts, 0);
  mixture.ffn_width = text.integer("moe_intermediate_size", 1, kMaxWidth);
  if (text.find("n_group")) mixture.n_groups = text.integer("n_group", 1, kMaxExperts);
  if (text.find("topk_group")) mixture.n_used_groups = text.integer("topk_group", 1, kMaxExperts);
  if (text.find("scoring_func")) {
    const std::string gate = text.string("scoring_func");
    if (gate != "sigmoid" && gate != "softmax") {
      throw Error(ErrorKind::kUnsupported, "expected \"sigmoid\" or \"softmax\", found \"" + gate + "\"",
                  text.where("scoring_func"));
    }
    mixture.softmax_gate = gate == "softmax";
  }
  mixture.normalize = text.boolean_or("norm_topk_prob", true);
  mixture.scale = static_cast<float>(text.number_or("routed_scaling_factor", 0.0, 1e6, 1.0));

  // The first published revision spelled the key the second way.
  const char* const dense_key =
      text.find("first_k_dense_replace") ? "first_k_dense_replace" : "first_last_k_dense_replace";
  mixture.n_leading_dense = text.integer_or(dense_key, 0, n_layers, 0);
  for (std::int64_t i = 0; i < n_layers; ++i) mixture.is_sparse.push_back(i >= mixture.n_leading_dense);
  for (const char* key : {"is_moe_layer", "mlp_layer_types"}) {
    const ordered_json* list = text.find(key);
    if (!list) continue;
    if (!list->is_array() || list->size() < mixture.is_sparse.size()) {
      throw text.error(key, "a list of num_hidden_layers entries",
                       list->is_array() ? std::to_string(list->size()) + " entries" : list->type_name());
    }
    std::int64_t n_leading_dense = 0;
    for (std::size_t i = 0; i < mixture.is_sparse.size(); ++i) {
      const ordered_json& entry = (*list)[i];
      if (!entry.is_boolean() && entry != "sparse" && entry != "dense") {
        throw text.error(std::string(key) + "[" + std::to_string(i) + "]",
                         "true, false, \"sparse\" or \"dense\"",
                         entry.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
      }
      mixture.is_sparse[i] = entry == true || entry == "sparse";
      const bool still_dense = n_leading_dense == static_cast<std::int64_t>(i);
      if (still_dense && !mixture.is_sparse[i]) ++n_leading_dense;
    }
    if (!text.find(dense_key)) mixture.n_leading_dense = n_leading_dense;
    break;
  }
  return mixture;
}

ModelConfig read_json(const Checkpoint& checkpoint) {
  ModelConfig config = read_json_dimensions(checkpoint, kLayer);
  read_json_windows(checkpoint, kDefaultWindow, config);
  config.mixture = read_mixture(text_object(checkpoint), config.n_layers());
  return config;
}

constexpr std::string_view kModelTypes[] = {"exaone_moe"};
constexpr std::string_view kPrefixes[] = {"model."};

constexpr Part expert_part(std::string_view gguf, std::string_view huggingface, Extent rows, Extent cols) {
  Part part = linear_part(gguf, huggingface, rows, cols, nullptr, Presence::kSparse);
  part.kind = PartKind::kExperts;
  return part;
}

using enum Extent;
constexpr Part kLayerParts[] = {
    linear_part("attn_q.weight", "self_attn.q_proj.weight", kQuery, kHidden, &LayerWeights::q),
    linear_part("attn_k.weight", "self_attn.k_proj.weight", kKeyValue, kHidden, &LayerWeights::k),
    linear_part("attn_v.weight", "self_attn.v_proj.weight", kKeyValue, kHidden, &LayerWeights::v),
    linear_part("attn_output.weight", "self_attn.o_proj.weight", kHidden, kQuery, &LayerWeights::o),
    vector_part("attn_q_norm.weight", "self_attn.q_norm.weight", kHeadDim, &LayerWeights::q_norm),
    vector_part("attn_k_norm.weight", "self_attn.k_norm.weight", kHeadDim, &LayerWeights::k_norm),
    vector_part("attn_norm.weight", "input_layernorm.weight", kHidden, &LayerWeights::attention_norm),
    // Of the second sublayer, whatever its name says.
    vector_part("ffn_norm.weight", "post_attention_layernorm.weight", kHidden, &LayerWeights::ffn_norm),
    linear_part("ffn_gate.weight", "mlp.gate_proj.weight", kFfn, kHidden, &LayerWeights::gate,
                Presence::kDense),
    linear_part("ffn_up.weight", "mlp.up_proj.weight", kFfn, kHidden, &LayerWeights::up, Presence::kDense),
    linear_part("ffn_down.weight", "mlp.down_proj.weight", kHidden, kFfn, &LayerWeights::down,
                Presence::kDense),
    {.gguf = "ffn_gate_inp.weight",
     .huggingface = "mlp.gate.weight",
     .rows = kExperts,
     .cols = kHidden,
     .kind = PartKind::kRouter,
     .presence = Presence::kSparse},
    {.gguf = "exp_probs_b.bias",
     .huggingface = "mlp.e_score_correction_bias",
     .cols = kExperts,
     .kind = PartKind::kVector,
     .presence = Presence::kSparse,
     .huggingface_too = "mlp.gate.e_score_correction_bias"},
    expert_part("ffn_gate_exps.weight", "mlp.experts.*.gate_proj.weight", kExpertFfn, kHidden),
    expert_part("ffn_up_exps.weight", "mlp.experts.*.up_proj.weight", kExpertFfn, kHidden),
    expert_part("ffn_down_exps.weight", "mlp.experts.*.down_proj.weight", kHidden, kExpertFfn),
    linear_part("ffn_gate_shexp.weight", "mlp.shared_experts.gate_proj.weight", kSharedFfn, kHidden, nullptr,
                Presence::kShared),
    linear_part("ffn_up_shexp.weight", "mlp.shared_experts.up_proj.weight", kSharedFfn, kHidden, nullptr,
                Presence::kShared),
    linear_part("ffn_down_shexp.weight", "mlp.shared_experts.down_proj.weight", kHidden, kSharedFfn, nullptr,
                Presence::kShared),
};

}  // namespace

constinit const Family kExaoneMoe = {
    .gguf = "exaone-moe",
    .huggingface = kModelTypes,
    .runs = false,
    .read_json = read_json,
    .read_gguf = nullptr,
    .prefixes = kPrefixes,
    .layers = "layers.",
    .embedding = kEmbeddingPart,
    .layer = kLayerParts,
    .final_norm = kFinalNormPart,
    .head = kHeadPart,
    .draft = kDraftParts,
};

}  // namespace exa
