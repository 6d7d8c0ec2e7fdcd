#include "model/arch/exaone3.h"

#include "model/arch/text_config.h"

namespace exa {
namespace {

constexpr LayerSpec kLayer = {.norm = NormPlacement::kPre, .qk_norm = false};

ModelConfig read_json(const Checkpoint& checkpoint) {
  return read_json_dimensions(
      checkpoint, kLayer,
      {.n_layers = "num_layers", .rms_eps = "layer_norm_epsilon", .activation = "activation_function"});
}

ModelConfig read_gguf(const Checkpoint& checkpoint) {
  return read_gguf_dimensions(checkpoint, kExaone3.gguf, kLayer);
}

constexpr std::string_view kModelTypes[] = {"exaone"};
constexpr std::string_view kPrefixes[] = {"transformer."};

using enum Extent;
constexpr Part kLayerParts[] = {
    vector_part("attn_norm.weight", "ln_1.weight", kHidden, &LayerWeights::attention_norm),
    linear_part("attn_q.weight", "attn.attention.q_proj.weight", kQuery, kHidden, &LayerWeights::q),
    linear_part("attn_k.weight", "attn.attention.k_proj.weight", kKeyValue, kHidden, &LayerWeights::k),
    linear_part("attn_v.weight", "attn.attention.v_proj.weight", kKeyValue, kHidden, &LayerWeights::v),
    linear_part("attn_output.weight", "attn.attention.out_proj.weight", kHidden, kQuery, &LayerWeights::o),
    vector_part("ffn_norm.weight", "ln_2.weight", kHidden, &LayerWeights::ffn_norm),
    linear_part("ffn_gate.weight", "mlp.c_fc_0.weight", kFfn, kHidden, &LayerWeights::gate),
    linear_part("ffn_up.weight", "mlp.c_fc_1.weight", kFfn, kHidden, &LayerWeights::up),
    linear_part("ffn_down.weight", "mlp.c_proj.weight", kHidden, kFfn, &LayerWeights::down),
};

}  // namespace

constinit const Family kExaone3 = {
    .gguf = "exaone",
    .huggingface = kModelTypes,
    .runs = true,
    .states_rope_dimension = true,
    .read_json = read_json,
    .read_gguf = read_gguf,
    .prefixes = kPrefixes,
    .layers = "h.",
    .embedding = {.gguf = "token_embd.weight",
                  .huggingface = "wte.weight",
                  .rows = kVocab,
                  .cols = kHidden,
                  .kind = PartKind::kTable},
    .layer = kLayerParts,
    .final_norm = vector_part("output_norm.weight", "ln_f.weight", kHidden),
    .head = kHeadPart,
    .draft = {},
};

}  // namespace exa
