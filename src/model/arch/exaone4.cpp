#include "model/arch/exaone4.h"

#include "model/arch/text_config.h"

namespace exa {
namespace {

constexpr LayerSpec kLayer = {.norm = NormPlacement::kPost, .qk_norm = true};

// transformers: without a word on windows, every fourth layer is global and the others see 4096 positions.
constexpr std::int64_t kDefaultWindow = 4096;

ModelConfig read_json(const Checkpoint& checkpoint) {
  ModelConfig config = read_json_dimensions(checkpoint, kLayer);
  read_json_windows(checkpoint, kDefaultWindow, config);
  return config;
}

ModelConfig read_gguf(const Checkpoint& checkpoint) {
  ModelConfig config = read_gguf_dimensions(checkpoint, kExaone4.gguf, kLayer);
  // The first published 32B files lack the keys; their depth tells them apart.
  const bool may_lack_keys = config.n_layers() == kExaone4.depth_with_windows;
  read_gguf_windows(checkpoint, kExaone4.gguf, may_lack_keys ? kDefaultWindow : 0, config);
  return config;
}

constexpr std::string_view kModelTypes[] = {"exaone4", "exaone4_5", "exaone4_5_text"};
constexpr std::string_view kPrefixes[] = {"model.language_model.", "model."};

using enum Extent;
constexpr Part kLayerParts[] = {
    linear_part("attn_q.weight", "self_attn.q_proj.weight", kQuery, kHidden, &LayerWeights::q),
    linear_part("attn_k.weight", "self_attn.k_proj.weight", kKeyValue, kHidden, &LayerWeights::k),
    linear_part("attn_v.weight", "self_attn.v_proj.weight", kKeyValue, kHidden, &LayerWeights::v),
    linear_part("attn_output.weight", "self_attn.o_proj.weight", kHidden, kQuery, &LayerWeights::o),
    vector_part("attn_q_norm.weight", "self_attn.q_norm.weight", kHeadDim, &LayerWeights::q_norm),
    vector_part("attn_k_norm.weight", "self_attn.k_norm.weight", kHeadDim, &LayerWeights::k_norm),
    vector_part("post_attention_norm.weight", "post_attention_layernorm.weight", kHidden,
                &LayerWeights::attention_norm),
    vector_part("post_ffw_norm.weight", "post_feedforward_layernorm.weight", kHidden,
                &LayerWeights::ffn_norm),
    linear_part("ffn_gate.weight", "mlp.gate_proj.weight", kFfn, kHidden, &LayerWeights::gate),
    linear_part("ffn_up.weight", "mlp.up_proj.weight", kFfn, kHidden, &LayerWeights::up),
    linear_part("ffn_down.weight", "mlp.down_proj.weight", kHidden, kFfn, &LayerWeights::down),
};

}  // namespace

constinit const Family kExaone4 = {
    .gguf = "exaone4",
    .huggingface = kModelTypes,
    .runs = true,
    .depth_with_windows = 64,
    .read_json = read_json,
    .read_gguf = read_gguf,
    .prefixes = kPrefixes,
    .layers = "layers.",
    .embedding = kEmbeddingPart,
    .layer = kLayerParts,
    .final_norm = kFinalNormPart,
    .head = kHeadPart,
    .draft = kDraftParts,
};

}  // namespace exa
