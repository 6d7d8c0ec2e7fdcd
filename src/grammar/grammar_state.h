// A grammar over a vocabulary, and where one sequence stands in it: which tokens may come next.
//
// Ownership and threads: a BoundGrammar is shared by the sequences that follow it and may be used from
// several threads; a GrammarState belongs to one sequence. Source: grammar/grammar.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "grammar/grammar.h"
#include "grammar/token_masks.h"

namespace exa {

class BoundGrammar {
 public:
  // Errors: kUnsupported where the grammar calls tools and the vocabulary has no tags for that.
  BoundGrammar(Grammar grammar, std::shared_ptr<const TokenMasks> vocabulary);
  ~BoundGrammar();

  const TokenMasks& vocabulary() const;
  const Grammar& grammar() const;

 private:
  friend class GrammarState;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class GrammarState {
 public:
  enum class Begin {
    kAtText,          // the next token is the grammar's first
    kAfterReasoning,  // up to two newlines may come before it, as models write them after </think>
  };

  explicit GrammarState(std::shared_ptr<BoundGrammar> grammar, Begin begin = Begin::kAtText);
  ~GrammarState();
  GrammarState(GrammarState&&) noexcept;
  GrammarState& operator=(GrammarState&&) noexcept;

  std::size_t vocab_size() const;
  // Sets bit i % 64 of allowed[i / 64] for each token i that may come next, clears the others. Tokens that
  // end a generation are set exactly where can_end(). allowed: ceil(vocab / 64) words. Errors: kUnsupported
  // where the grammar is too ambiguous for this text.
  void mask(std::span<std::uint64_t> allowed);
  // Takes a token; false, and nothing changes, where mask() does not allow it. Errors: as mask.
  [[nodiscard]] bool accept(TokenId id);
  // The text so far satisfies the grammar.
  bool can_end() const;
  // An end token was taken; nothing may come any more.
  bool ended() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace exa
