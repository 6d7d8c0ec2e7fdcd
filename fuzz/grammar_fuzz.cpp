// Grammars: JSON schemas, declared tools, GBNF and regular expressions compile within their budgets or are an
// exa::Error; masks say what accept() does; a text that may end satisfies the grammar, and under a schema it
// is JSON.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "grammar/grammar.h"
#include "grammar/grammar_state.h"
#include "grammar/token_masks.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

using exa::Grammar;
using exa::TokenId;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

const exa::Tokenizer& tokenizer() {
  static const exa::Tokenizer tiny = exa::Tokenizer::from_json_file(
      std::filesystem::path(EXAONE_SOURCE_DIR) / "tests/data/models/tiny-exaone4_5/tokenizer.json");
  return tiny;
}

const std::shared_ptr<const exa::TokenMasks>& vocabulary() {
  static const auto masks = std::make_shared<const exa::TokenMasks>(tokenizer());
  return masks;
}

// The text says what it is: a schema is an object, tools are an array of objects, GBNF defines rules.
bool is_schema(std::string_view text) {
  return text.starts_with('{');
}

Grammar compile(std::string_view text) {
  if (is_schema(text)) return Grammar::from_json_schema(text);
  if (text.starts_with("[{")) {
    exa::ToolGrammar options;
    options.choice =
        text.size() % 2 == 0 ? exa::ToolGrammar::Choice::kAuto : exa::ToolGrammar::Choice::kRequired;
    options.parallel = text.size() % 3 != 0;
    return Grammar::from_tools(text, options);
  }
  if (text.find("::=") != std::string_view::npos) return Grammar::from_gbnf(text);
  return Grammar::from_regex(text);
}

bool has(const std::vector<std::uint64_t>& mask, TokenId id) {
  return (mask[static_cast<std::size_t>(id) / 64] >> (id % 64) & 1) != 0;
}

void walk(const Grammar& grammar, std::uint32_t seed, bool schema) {
  constexpr int kSteps = 24;
  std::minstd_rand random(seed);
  exa::GrammarState state(std::make_shared<exa::BoundGrammar>(grammar, vocabulary()));
  std::vector<std::uint64_t> mask(vocabulary()->n_words());
  std::vector<TokenId> taken;
  const auto n_tokens = static_cast<TokenId>(vocabulary()->vocab_size());
  for (int step = 0; step < kSteps; ++step) {
    state.mask(mask);
    std::vector<TokenId> allowed;
    for (TokenId id = 0; id < n_tokens; ++id) {
      if (vocabulary()->is_end(id)) {
        require(has(mask, id) == state.can_end());
      } else if (has(mask, id)) {
        allowed.push_back(id);
      } else {
        require(!state.accept(id));
      }
    }
    std::string text;
    for (const TokenId id : taken) text += tokenizer().token_bytes(id);
    require(grammar.matches(text) == state.can_end());
    if (schema && state.can_end()) require(nlohmann::json::accept(text));
    require(!allowed.empty() || state.can_end());
    if (allowed.empty()) return;
    taken.push_back(allowed[random() % allowed.size()]);
    require(state.accept(taken.back()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Grammar grammar = compile(text);
    require(grammar.n_states() <= 50'000);
    const auto seed = static_cast<std::uint32_t>(std::hash<std::string_view>()(text));
    walk(grammar, seed, is_schema(text));
  } catch (const exa::Error& error) {
    require(error.kind() != exa::ErrorKind::kInternal);
    require(exa::find_invalid_utf8(error.what()) == std::string_view::npos);
  }
  return 0;
}
