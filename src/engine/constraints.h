// The grammar that a request's content follows, bound to the model's vocabulary.
//
// Ownership and threads: several threads may bind at once; what bind() returns is shared.
// Source: grammar/grammar.h; the last grammars are kept, because conversations and agents repeat theirs.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "exaone/engine.h"
#include "grammar/grammar_state.h"
#include "text/tokenizer.h"

namespace exa {

class Constraints {
 public:
  explicit Constraints(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

  // tools: what the request offers and may call, null for none. Null where nothing binds the answer.
  // Errors: as Grammar's; kUsage for a grammar, regular expression or choice together with tools.
  std::shared_ptr<BoundGrammar> bind(const GenerateRequest& request, const nlohmann::ordered_json& tools);

 private:
  const Tokenizer* tokenizer_;
  std::mutex mutex_;                              // of the rest
  std::shared_ptr<const TokenMasks> vocabulary_;  // made when it is first wanted
  std::deque<std::pair<std::string, std::shared_ptr<BoundGrammar>>> recent_;
};

}  // namespace exa
