// The next token out of a row of logits: penalties, temperature, filters, one draw.
//
// Where a grammar says which tokens may come, the others' logits become -inf before the draw. Steps, in the
// order in which Hugging Face applies its processors: logit bias, repetition penalty, presence
// and frequency penalty, temperature, top-k, top-p, min-p, draw. Top-k, top-p and min-p each keep a front
// part of the tokens ordered by falling logit, equal logits by rising id, so top-k 1 is greedy. Reproducible
// by construction: the random number of a position is a function of (seed, position) alone and exp is our own
// arithmetic, so a token depends on seed, position, logits and the tokens generated before it, never on
// threads, batch neighbours, speculation or the C library.
// Ownership and threads: a Sampler belongs to one sequence; it allocates nothing after its first call.
// Source: transformers' generation/logits_process.py (order, formulas), OpenAI's API reference (presence,
// frequency, bias), Steele, Lea and Flood 2014 (the mixing function).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "grammar/grammar_state.h"
#include "text/tokenizer.h"

namespace exa {

// Effective values, ranges checked (engine/sampling_options.h).
struct SamplingValues {
  double temperature = 0;  // 0: greedy
  std::int64_t top_k = 0;  // 0: off
  double top_p = 1;
  double min_p = 0;
  double repetition_penalty = 1;
  double presence_penalty = 0;
  double frequency_penalty = 0;
  std::vector<std::pair<TokenId, double>> logit_bias;  // ids inside the vocabulary
  std::uint64_t seed = 0;
};

// A number in [0, 1) with 53 random bits, the same for the same seed and position everywhere.
double uniform_at(std::uint64_t seed, std::uint64_t position);

class Sampler {
 public:
  explicit Sampler(SamplingValues values) : values_(std::move(values)) {}

  // The token that stands at `position` of its sequence (tokens before it, prompt included). logits [vocab]
  // f32. Nothing where a logit is not a finite number. grammar: asked which tokens may come; nothing where it
  // allows none. It is not told of the choice: whoever keeps the token calls its accept(). Errors: as
  // GrammarState::mask.
  std::optional<TokenId> sample(std::span<const float> logits, std::int64_t position,
                                GrammarState* grammar = nullptr);
  // The token became part of the answer: later penalties see it.
  void accept(TokenId id);

  const SamplingValues& values() const { return values_; }

 private:
  struct Candidate {
    float logit;
    TokenId id;
  };
  static bool before(const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  }

  std::span<const float> adjust(std::span<const float> logits);
  // Nothing where no token is left.
  std::optional<std::span<const float>> restrict_to(GrammarState& grammar, std::span<const float> logits);
  Candidate last_kept(double total_weight);
  TokenId draw(std::span<const float> logits, float highest, std::int64_t position);

  SamplingValues values_;
  std::vector<std::pair<TokenId, std::int64_t>> counts_;  // generated tokens by rising id, how often
  std::vector<float> adjusted_;                           // [vocab] logits after bias, penalties, grammar
  std::vector<std::uint64_t> allowed_;                    // [vocab / 64] bits: what the grammar allows
  std::vector<float> weights_;                            // [vocab] exp((logit − highest) / temperature)
  std::vector<Candidate> candidates_;                     // by rising id
  std::vector<Candidate> order_;                          // the same, partly ordered by before()
};

}  // namespace exa
