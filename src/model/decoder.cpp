#include "model/decoder.h"

#include <array>
#include <numeric>

#include "base/error.h"

namespace exa {

namespace {

// Of the rows of each of a decoder's activations, in the order of its members.
std::array<std::int64_t, 6> activation_widths(const ModelConfig& c) {
  const std::int64_t q_width = c.n_heads * c.head_dim;
  const std::int64_t kv_width = c.n_kv_heads * c.head_dim;
  return {c.hidden, q_width + 2 * kv_width, q_width, c.hidden, c.ffn_width, c.ffn_width};
}

std::size_t rows_bytes(const ModelConfig& config, std::int64_t max_rows) {
  const auto widths = activation_widths(config);
  const std::int64_t width = std::accumulate(widths.begin(), widths.end(), std::int64_t{0});
  return static_cast<std::size_t>(width * max_rows) * sizeof(float);
}

}  // namespace

std::size_t Decoder::activation_bytes(const ModelConfig& config, std::int64_t max_rows) {
  return rows_bytes(config, max_rows) + static_cast<std::size_t>(config.vocab) * sizeof(float);
}

Decoder::Decoder(const Weights& weights, Backend& backend, std::int64_t max_rows)
    : weights_(weights), backend_(backend), max_rows_(max_rows) {
  const auto widths = activation_widths(weights.config);
  float** const rows[] = {&residual_, &qkv_, &attended_, &projected_, &gate_, &up_};
  activations_ = backend.allocate(rows_bytes(weights.config, max_rows));
  float* next = activations_.as<float>();
  for (std::size_t i = 0; i < widths.size(); ++i) {
    *rows[i] = next;
    next += widths[i] * max_rows;
  }
}

void Decoder::show_inputs(std::int64_t layer, std::initializer_list<std::string_view> parts,
                          const float* rows, std::int64_t width, std::int64_t n_tokens) const {
  if (!input_observer_) return;
  input_observer_({layer, {parts.begin(), parts.size()}, backend_.get_rows(rows, n_tokens, width), width});
}

std::span<const float> Decoder::step(std::span<const StepSlice> slices) {
  const ModelConfig& c = weights_.config;
  const std::int64_t hidden = c.hidden;
  const std::int64_t q_width = c.n_heads * c.head_dim;
  const std::int64_t kv_width = c.n_kv_heads * c.head_dim;
  const std::int64_t qkv_width = q_width + 2 * kv_width;
  const int n_heads = static_cast<int>(c.n_heads);
  const int n_kv_heads = static_cast<int>(c.n_kv_heads);
  const int head_dim = static_cast<int>(c.head_dim);
  const RopeFrequencies rope{weights_.rope_inverse.data(), head_dim};

  ids_.clear();
  positions_.clear();
  attention_slices_.clear();
  attention_slices_.resize(slices.size());
  std::int64_t n_prompt = 0;
  // Prompt rows stand before the others. In exact mode both roles take the path of fp32.
  for (const Role role : {Role::kPrompt, Role::kGenerated}) {
    for (std::size_t s = 0; s < slices.size(); ++s) {
      const StepSlice& slice = slices[s];
      if (slice.role != role) continue;
      const auto n_tokens = static_cast<std::int64_t>(slice.ids.size());
      if (slice.cache->room() < n_tokens) {
        throw Error(ErrorKind::kInternal, "a slice of " + std::to_string(n_tokens) +
                                              " rows, its cache has room for " +
                                              std::to_string(slice.cache->room()));
      }
      attention_slices_[s] = {.kv = {},
                              .first_row = static_cast<std::int64_t>(ids_.size()),
                              .n_tokens = n_tokens,
                              .first_position = slice.cache->length()};
      for (std::int64_t i = 0; i < n_tokens; ++i) positions_.push_back(slice.cache->length() + i);
      ids_.insert(ids_.end(), slice.ids.begin(), slice.ids.end());
    }
    if (role == Role::kPrompt && weights_.precision == Precision::kProduction) {
      n_prompt = static_cast<std::int64_t>(ids_.size());
    }
  }
  const auto n = static_cast<std::int64_t>(ids_.size());
  if (n > max_rows_) {
    throw Error(ErrorKind::kInternal,
                "step of " + std::to_string(n) + " rows, expected at most " + std::to_string(max_rows_));
  }

  // A sublayer reads the residual stream or a normed copy of it, and leaves its output in projected_.
  const auto enter = [&](const std::vector<float>& norm, const LayerSpec& spec) -> const float* {
    if (spec.norm == NormPlacement::kPost) return residual_;
    backend_.rmsnorm(residual_, hidden, n, hidden, norm.data(), c.rms_eps, projected_, hidden);
    return projected_;
  };
  const auto leave = [&](const std::vector<float>& norm, const LayerSpec& spec) {
    if (spec.norm == NormPlacement::kPre)
      return backend_.add(projected_, hidden, n, hidden, residual_, hidden);
    backend_.rmsnorm_add(projected_, hidden, n, hidden, norm.data(), c.rms_eps, residual_, hidden);
  };

  float* const q = qkv_;
  float* const k = qkv_ + q_width;
  float* const v = k + kv_width;
  backend_.embed(weights_.embedding, ids_, residual_, hidden);
  for (std::size_t s = 0; s < slices.size(); ++s) {
    if (slices[s].given_rows.empty()) continue;
    float* const first = residual_ + attention_slices_[s].first_row * hidden;
    backend_.put_rows(slices[s].given_rows, hidden, first, hidden);
  }
  for (std::int64_t i = 0; i < c.n_layers(); ++i) {
    const LayerWeights& w = weights_.layers[static_cast<std::size_t>(i)];
    const LayerSpec& spec = c.layers[static_cast<std::size_t>(i)];
    if (observer_) observer_(i, backend_.get_rows(residual_, n, hidden));

    const MatmulTarget qkv[] = {{&w.q, q, qkv_width}, {&w.k, k, qkv_width}, {&w.v, v, qkv_width}};
    const float* const attention_in = enter(w.attention_norm, spec);
    show_inputs(i, {"attn_q", "attn_k", "attn_v"}, attention_in, hidden, n);
    backend_.matmul(attention_in, hidden, n, qkv, n_prompt);
    const RopeFrequencies* const rotation = spec.rope ? &rope : nullptr;
    backend_.norm_rope_heads(q, qkv_width, n, n_heads, head_dim, spec.qk_norm ? w.q_norm.data() : nullptr,
                             c.rms_eps, rotation, positions_.data());
    backend_.norm_rope_heads(k, qkv_width, n, n_kv_heads, head_dim, spec.qk_norm ? w.k_norm.data() : nullptr,
                             c.rms_eps, rotation, positions_.data());
    for (std::size_t s = 0; s < slices.size(); ++s) attention_slices_[s].kv = slices[s].cache->view(i);
    backend_.append_kv(attention_slices_, k, qkv_width, v, qkv_width);
    backend_.attention(attention_slices_, q, qkv_width, n_heads, spec.window, attended_, q_width);
    const MatmulTarget o[] = {{&w.o, projected_, hidden}};
    show_inputs(i, {"attn_output"}, attended_, q_width, n);
    backend_.matmul(attended_, q_width, n, o, n_prompt);
    leave(w.attention_norm, spec);

    const MatmulTarget gate_up[] = {{&w.gate, gate_, c.ffn_width}, {&w.up, up_, c.ffn_width}};
    const float* const ffn_in = enter(w.ffn_norm, spec);
    show_inputs(i, {"ffn_gate", "ffn_up"}, ffn_in, hidden, n);
    backend_.matmul(ffn_in, hidden, n, gate_up, n_prompt);
    backend_.silu_mul(gate_, c.ffn_width, up_, c.ffn_width, n, c.ffn_width);
    const MatmulTarget down[] = {{&w.down, projected_, hidden, true}};
    show_inputs(i, {"ffn_down"}, gate_, c.ffn_width, n);
    backend_.matmul(gate_, c.ffn_width, n, down, n_prompt);
    leave(w.ffn_norm, spec);
  }
  for (const StepSlice& slice : slices) slice.cache->advance(static_cast<std::int64_t>(slice.ids.size()));

  if (observer_) {
    backend_.rmsnorm(residual_, hidden, n, hidden, weights_.final_norm.data(), c.rms_eps, projected_, hidden);
    observer_(c.n_layers(), backend_.get_rows(projected_, n, hidden));
  }
  logits_rows_.clear();
  for (std::size_t s = 0; s < slices.size(); ++s) {
    for (const std::int32_t row : slices[s].logits_rows) {
      logits_rows_.push_back(attention_slices_[s].first_row + row);
    }
  }
  if (logits_rows_.empty()) return {};
  const auto n_logits = static_cast<std::int64_t>(logits_rows_.size());
  const auto n_bytes = static_cast<std::size_t>(n_logits * c.vocab) * sizeof(float);
  if (logits_.size_bytes() < n_bytes) logits_ = backend_.allocate(n_bytes);
  backend_.gather_rows(residual_, hidden, logits_rows_, hidden, projected_, hidden);
  backend_.rmsnorm(projected_, hidden, n_logits, hidden, weights_.final_norm.data(), c.rms_eps, projected_,
                   hidden);
  const MatmulTarget head[] = {{&weights_.head_matrix(), logits_.as<float>(), c.vocab}};
  show_inputs(-1, {"output"}, projected_, hidden, n_logits);
  backend_.matmul(projected_, hidden, n_logits, head);
  return backend_.get_rows(logits_.as<float>(), n_logits, c.vocab);
}

}  // namespace exa
