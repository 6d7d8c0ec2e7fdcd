// The forward pass: token ids in, hidden states and logits out.
//
// Ownership and threads: a Decoder borrows weights and backend and owns its activation buffers; one thread
// calls it. Source: transformers' modular_exaone4.py; exaone-models specification 2.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "kernels/backend.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/weights.h"

namespace exa {

// Rows of a prompt may take paths that are faster and round more (docs/numerics.md). The path of a row
// follows from its role alone, never from the rows beside it. Who calls a prompt's rows generated gets the
// bits that they would have if they had been.
enum class Role { kGenerated, kPrompt };

// One sequence's share of a step: its next tokens, which stand at positions cache->length() …
struct StepSlice {
  KvCache* cache;                             // with room for them
  std::span<const std::int32_t> ids;          // valid token ids
  std::span<const std::int32_t> logits_rows;  // indices into ids, ascending, whose logits are wanted
  // Rows of ids that are placeholders, with their embeddings [hidden].
  std::span<const GivenRow> given_rows = {};
  Role role = Role::kGenerated;
};

class Decoder {
 public:
  // max_rows: the most rows of one step, all slices together.
  Decoder(const Weights& weights, Backend& backend, std::int64_t max_rows);

  // Of a decoder of max_rows that gives the logits of one row.
  static std::size_t activation_bytes(const ModelConfig& config, std::int64_t max_rows);

  std::int64_t max_rows() const { return max_rows_; }
  const ModelConfig& config() const { return weights_.config; }

  // Runs all slices together and advances their caches. Returns the wanted logits [n, vocab] f32, slice by
  // slice in the order of logits_rows; they stay valid until the next step. Bits of a row depend on its own
  // sequence only. What a single slice may fail of, its caller has seen to before: ids, positions, room in
  // the cache. Errors: kInternal where it has not; a step that stopped half way leaves caches to be emptied.
  std::span<const float> step(std::span<const StepSlice> slices);

  // Called with (i, rows): the residual stream before layer i as rows [n_tokens, hidden], i = 0 the
  // embeddings, and i = n_layers the normed output of the last layer (transformers' hidden_states
  // convention).
  using HiddenObserver = std::function<void(std::int64_t i, std::span<const float> rows)>;
  void observe_hidden(HiddenObserver observer) { observer_ = std::move(observer); }

  // The inputs of a matrix product, rows [n_tokens, width] without gaps.
  struct MatmulInputs {
    std::int64_t layer;                       // -1 for the head
    std::span<const std::string_view> parts;  // GGUF parts of the weights that they meet: "attn_q", …
    std::span<const float> rows;
    std::int64_t width;
  };
  // Called before each matrix product of a step.
  using InputObserver = std::function<void(const MatmulInputs& inputs)>;
  void observe_inputs(InputObserver observer) { input_observer_ = std::move(observer); }

 private:
  void show_inputs(std::int64_t layer, std::initializer_list<std::string_view> parts, const float* rows,
                   std::int64_t width, std::int64_t n_tokens) const;

  const Weights& weights_;
  Backend& backend_;
  std::int64_t max_rows_;
  HiddenObserver observer_;
  InputObserver input_observer_;
  Buffer activations_;
  float* residual_;   // [max_rows, hidden]
  float* qkv_;        // [max_rows, (n_heads + 2 n_kv_heads) head_dim]
  float* attended_;   // [max_rows, n_heads head_dim]
  float* projected_;  // [max_rows, hidden]: a sublayer's normed input, then its output
  float* gate_;       // [max_rows, ffn_width]
  float* up_;         // [max_rows, ffn_width]
  Buffer logits_;     // [rows wanted, vocab]
  std::vector<std::int32_t> ids_;
  std::vector<std::int64_t> positions_;
  std::vector<std::int64_t> logits_rows_;
  std::vector<AttentionSlice> attention_slices_;
};

}  // namespace exa
