#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <string_view>

#include "convert/hf_plan.h"
#include "model/config.h"

namespace exa {
namespace {

enum class Extent { kNone, kHidden, kQuery, kKeyValue, kHeadDim, kFfn };

// One tensor of a layer: its GGUF part, its Hugging Face module, and [rows, cols] (a vector without rows).
struct Role {
  std::string_view gguf;
  std::string_view huggingface;
  Extent rows;
  Extent cols;
};

constexpr std::array<Role, 6> kAttention = {{
    {"attn_q", "self_attn.q_proj", Extent::kQuery, Extent::kHidden},
    {"attn_k", "self_attn.k_proj", Extent::kKeyValue, Extent::kHidden},
    {"attn_v", "self_attn.v_proj", Extent::kKeyValue, Extent::kHidden},
    {"attn_output", "self_attn.o_proj", Extent::kHidden, Extent::kQuery},
    {"attn_q_norm", "self_attn.q_norm", Extent::kNone, Extent::kHeadDim},
    {"attn_k_norm", "self_attn.k_norm", Extent::kNone, Extent::kHeadDim},
}};
// EXAONE 4: norms after the sublayers.
constexpr std::array<Role, 2> kPostNorms = {{
    {"post_attention_norm", "post_attention_layernorm", Extent::kNone, Extent::kHidden},
    {"post_ffw_norm", "post_feedforward_layernorm", Extent::kNone, Extent::kHidden},
}};
// K-EXAONE: norms before them; post_attention_layernorm is the second sublayer's.
constexpr std::array<Role, 2> kPreNorms = {{
    {"attn_norm", "input_layernorm", Extent::kNone, Extent::kHidden},
    {"ffn_norm", "post_attention_layernorm", Extent::kNone, Extent::kHidden},
}};
constexpr std::array<Role, 3> kFeedForward = {{
    {"ffn_gate", "mlp.gate_proj", Extent::kFfn, Extent::kHidden},
    {"ffn_up", "mlp.up_proj", Extent::kFfn, Extent::kHidden},
    {"ffn_down", "mlp.down_proj", Extent::kHidden, Extent::kFfn},
}};

class TextPlanner {
 public:
  TextPlanner(HfTensors& tensors, const HfConfig& config, std::vector<PlannedTensor>& plan)
      : tensors_(tensors), config_(config), plan_(plan), hidden_(static_cast<std::uint64_t>(config.hidden)) {}

  void plan() {
    if (std::vector<float> factors = rope_factors(config_); !factors.empty()) {
      const std::uint64_t n = factors.size();
      add("rope_freqs.weight", {n}, computed_rows(std::move(factors), n));
    }
    const auto vocab = static_cast<std::uint64_t>(config_.vocab);
    const std::string& prefix = config_.tensor_prefix;
    add("token_embd.weight", {vocab, hidden_},
        tensors_.plain(prefix + "embed_tokens.weight", {vocab, hidden_}));
    for (std::int64_t i = 0; i < config_.n_layers; ++i) {
      const bool sparse = config_.mixture && config_.mixture->is_moe_layer[static_cast<std::size_t>(i)];
      plan_layer(prefix + "layers." + std::to_string(i) + ".", block(i), sparse);
    }
    add("output_norm.weight", {hidden_}, tensors_.plain(prefix + "norm.weight", {hidden_}));
    if (!config_.tied_head)
      add("output.weight", {vocab, hidden_}, tensors_.linear("lm_head", vocab, hidden_));
    part_ = TensorPart::kDraft;
    for (std::int64_t i = 0; i < config_.n_mtp_layers; ++i) plan_draft(i);
  }

 private:
  static std::string block(std::int64_t i) { return "blk." + std::to_string(i) + "."; }

  std::uint64_t extent(Extent which) const {
    const auto head_dim = static_cast<std::uint64_t>(config_.head_dim);
    switch (which) {
      case Extent::kHidden:
        return hidden_;
      case Extent::kQuery:
        return static_cast<std::uint64_t>(config_.n_heads) * head_dim;
      case Extent::kKeyValue:
        return static_cast<std::uint64_t>(config_.n_kv_heads) * head_dim;
      case Extent::kHeadDim:
        return head_dim;
      case Extent::kFfn:
        return static_cast<std::uint64_t>(config_.ffn_width);
      case Extent::kNone:
        break;
    }
    return 1;
  }

  void add(std::string name, std::vector<std::uint64_t> shape, std::shared_ptr<const RowSource> source,
           TensorPrecision precision = TensorPrecision::kFileType) {
    PlannedTensor tensor;
    tensor.precision = shape.size() == 1 ? TensorPrecision::kF32 : precision;
    tensor.name = std::move(name);
    tensor.shape = std::move(shape);
    tensor.part = part_;
    tensor.pieces.push_back({std::move(source), 0, tensor.n_rows()});
    plan_.push_back(std::move(tensor));
  }

  template <std::size_t N>
  void add_roles(const std::array<Role, N>& roles, const std::string& from, const std::string& to) {
    for (const Role& role : roles) {
      const std::string module = from + std::string(role.huggingface);
      const std::string name = to + std::string(role.gguf) + ".weight";
      const std::uint64_t n_in = extent(role.cols);
      if (role.rows == Extent::kNone) {
        add(name, {n_in}, tensors_.plain(module + ".weight", {n_in}));
      } else {
        const std::uint64_t n_out = extent(role.rows);
        add(name, {n_out, n_in}, tensors_.linear(module, n_out, n_in));
      }
    }
  }

  void plan_layer(const std::string& from, const std::string& to, bool sparse) {
    add_roles(kAttention, from, to);
    add_roles(config_.mixture ? kPreNorms : kPostNorms, from, to);
    if (sparse) {
      plan_experts(from + "mlp.", to);
    } else {
      add_roles(kFeedForward, from, to);
    }
  }

  void plan_experts(const std::string& from, const std::string& to) {
    const HfMixtureConfig& mixture = *config_.mixture;
    const auto n_experts = static_cast<std::uint64_t>(mixture.n_experts);
    const auto width = static_cast<std::uint64_t>(mixture.ffn_width);
    add(to + "ffn_gate_inp.weight", {n_experts, hidden_},
        tensors_.plain(from + "gate.weight", {n_experts, hidden_}), TensorPrecision::kF32);
    const std::string bias = from + "e_score_correction_bias";
    const std::string gate_bias = from + "gate.e_score_correction_bias";
    add(to + "exp_probs_b.bias", {n_experts},
        tensors_.plain(tensors_.has(gate_bias) ? gate_bias : bias, {n_experts}));
    for (const char* which : {"gate", "up", "down"}) {
      const bool down = which == std::string_view("down");
      const std::uint64_t n_out = down ? hidden_ : width, n_in = down ? width : hidden_;
      PlannedTensor stack;
      stack.name = to + "ffn_" + which + "_exps.weight";
      stack.shape = {n_experts, n_out, n_in};
      stack.part = part_;
      for (std::int64_t e = 0; e < mixture.n_experts; ++e) {
        const std::string module = from + "experts." + std::to_string(e) + "." + which + "_proj";
        stack.pieces.push_back({tensors_.linear(module, n_out, n_in), 0, n_out});
      }
      plan_.push_back(std::move(stack));
    }
    if (mixture.n_shared == 0) return;
    const std::uint64_t shared = width * static_cast<std::uint64_t>(mixture.n_shared);
    for (const char* which : {"gate", "up", "down"}) {
      const bool down = which == std::string_view("down");
      const std::uint64_t n_out = down ? hidden_ : shared, n_in = down ? shared : hidden_;
      add(to + "ffn_" + which + "_shexp.weight", {n_out, n_in},
          tensors_.linear(from + "shared_experts." + which + "_proj", n_out, n_in));
    }
  }

  void plan_draft(std::int64_t i) {
    const std::string to = block(config_.n_layers + i);
    plan_layer("mtp.layers." + std::to_string(config_.mtp_shares_layers ? 0 : i) + ".", to, false);
    add(to + "nextn.eh_proj.weight", {hidden_, 2 * hidden_}, tensors_.linear("mtp.fc", hidden_, 2 * hidden_));
    add(to + "nextn.enorm.weight", {hidden_}, tensors_.plain("mtp.pre_fc_norm_embedding.weight", {hidden_}));
    add(to + "nextn.hnorm.weight", {hidden_}, tensors_.plain("mtp.pre_fc_norm_hidden.weight", {hidden_}));
    add(to + "nextn.shared_head_norm.weight", {hidden_}, tensors_.plain("mtp.norm.weight", {hidden_}));
  }

  HfTensors& tensors_;
  const HfConfig& config_;
  std::vector<PlannedTensor>& plan_;
  std::uint64_t hidden_;
  TensorPart part_ = TensorPart::kText;
};

}  // namespace

std::vector<float> rope_factors(const HfConfig& config) {
  if (!config.rope_scaling) return {};
  ModelConfig plain;
  plain.head_dim = config.head_dim;
  plain.rope_theta = config.rope_theta;
  std::vector<float> factors = rope_inverse_frequencies(plain, nullptr);
  const Llama3Rope& scaling = *config.rope_scaling;
  const float longest = scaling.original_context / scaling.low_freq_factor;
  const float shortest = scaling.original_context / scaling.high_freq_factor;
  for (float& factor : factors) {
    const float wavelength = static_cast<float>(2 * std::numbers::pi) / factor;
    if (wavelength < shortest) {
      factor = 1.0f;
    } else if (wavelength > longest) {
      factor = scaling.factor;
    } else {
      const float smooth = (scaling.original_context / wavelength - scaling.low_freq_factor) /
                           (scaling.high_freq_factor - scaling.low_freq_factor);
      factor = 1.0f / ((1.0f - smooth) / scaling.factor + smooth);
    }
  }
  return factors;
}

void plan_text(HfTensors& tensors, const HfConfig& config, std::vector<PlannedTensor>& plan) {
  TextPlanner(tensors, config, plan).plan();
}

}  // namespace exa
