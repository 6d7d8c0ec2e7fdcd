// Masks of tokens: exact, in step with accept(), right inside characters, and ending where the grammar ends.
#include "grammar/grammar_state.h"

#include <gtest/gtest.h>

#include <bit>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "grammar/grammar.h"
#include "grammar/token_masks.h"
#include "text/tokenizer.h"

namespace {

using exa::BoundGrammar;
using exa::Grammar;
using exa::GrammarState;
using exa::TokenId;
using exa::Tokenizer;
using exa::TokenMasks;
namespace fs = std::filesystem;

const fs::path kTiny = fs::path(EXAONE_SOURCE_DIR) / "tests/data/models/tiny-exaone4/tokenizer.json";
const fs::path kReal = fs::path(EXAONE_SHARED_DIR) / "golden/tokenizer/exaone-4.0.tokenizer.json";

struct Vocabulary {
  explicit Vocabulary(const fs::path& path)
      : tokenizer(Tokenizer::from_json_file(path)), masks(std::make_shared<const TokenMasks>(tokenizer)) {}
  Tokenizer tokenizer;
  std::shared_ptr<const TokenMasks> masks;

  std::shared_ptr<BoundGrammar> bind(const Grammar& grammar) const {
    return std::make_shared<BoundGrammar>(grammar, masks);
  }
};

const Vocabulary& tiny() {
  static const Vocabulary vocabulary(kTiny);
  return vocabulary;
}

bool has(const std::vector<std::uint64_t>& mask, TokenId id) {
  return (mask[static_cast<std::size_t>(id) / 64] >> (id % 64) & 1) != 0;
}

// Follows random allowed tokens; at each step every token's bit must say what accept() would, found by
// following the same tokens from the beginning.
void expect_exact(const Vocabulary& vocabulary, const Grammar& grammar, std::uint32_t seed, int n_steps) {
  std::mt19937 random(seed);
  const auto bound = vocabulary.bind(grammar);
  std::vector<TokenId> taken;
  GrammarState state(bound);
  std::vector<std::uint64_t> mask(vocabulary.masks->n_words());
  for (int step = 0; step < n_steps && !state.ended(); ++step) {
    state.mask(mask);
    std::vector<TokenId> allowed;
    for (TokenId id = 0; id < static_cast<TokenId>(vocabulary.masks->vocab_size()); ++id) {
      if (has(mask, id)) allowed.push_back(id);
    }
    for (TokenId id = 0; id < static_cast<TokenId>(vocabulary.masks->vocab_size()); ++id) {
      if (vocabulary.masks->is_end(id)) {
        ASSERT_EQ(has(mask, id), state.can_end());
        continue;
      }
      if (has(mask, id)) continue;
      ASSERT_FALSE(state.accept(id)) << "token " << id << " accepted against the mask at step " << step;
    }
    ASSERT_FALSE(allowed.empty()) << vocabulary.tokenizer.decode(taken);
    for (int k = 0; k < 20; ++k) {
      const TokenId id = allowed[random() % allowed.size()];
      GrammarState again(bound);
      for (const TokenId before : taken) ASSERT_TRUE(again.accept(before));
      ASSERT_TRUE(again.accept(id)) << "token " << id << " refused against the mask at step " << step;
    }
    const TokenId next = allowed[random() % allowed.size()];
    ASSERT_TRUE(state.accept(next));
    if (!state.ended()) taken.push_back(next);
  }
}

TEST(GrammarState, MaskSaysWhatAcceptDoes) {
  const char* const kSchemas[] = {
      R"({"type": "object"})",
      R"({"type": "object", "properties": {"이름": {"type": "string", "maxLength": 9}, "n": {"type": "integer"},
          "x": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]{2,5}$"}, "minItems": 1,
          "maxItems": 4}}, "required": ["x"]})",
      R"({"type": "string", "minLength": 3, "maxLength": 200})",
      R"({"anyOf": [{"type": "array", "items": {"type": "number"}}, {"enum": ["a", "ab", "abc", 1, 10]}]})",
      R"({"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"},
          "b": {"type": "string", "minLength": 1}}, "additionalProperties": {"type": "boolean"}}}})",
  };
  std::uint32_t seed = 1;
  for (const char* schema : kSchemas) {
    SCOPED_TRACE(schema);
    expect_exact(tiny(), Grammar::from_json_schema(schema), seed++, 40);
  }
  expect_exact(tiny(), Grammar::from_regex("([a-c]{2,300}|한국어?)+"), 9, 40);
  expect_exact(tiny(), Grammar::from_gbnf("root ::= \"(\" root \")\" | [0-9]{1,4} (\"+\" root)?\n"), 10, 40);
}

TEST(GrammarState, MaskSaysWhatAcceptDoesOnTheWholeVocabulary) {
  if (!fs::exists(kReal)) GTEST_SKIP() << "no golden tokenizer";
  const Vocabulary vocabulary(kReal);
  expect_exact(vocabulary, Grammar::json_object(), 3, 12);
  expect_exact(vocabulary, Grammar::from_json_schema(R"({"type": "string", "maxLength": 300})"), 4, 12);
}

TEST(GrammarState, TokensMayEndInsideACharacter) {
  const auto bound = tiny().bind(Grammar::from_choices(std::vector<std::string>{"가나", "각"}));
  GrammarState state(bound);
  std::vector<std::uint64_t> mask(tiny().masks->n_words());
  // The byte symbols, one token each.
  for (const unsigned char byte : std::string("가나")) {
    TokenId id = -1;
    for (TokenId i = 0; i < static_cast<TokenId>(tiny().masks->vocab_size()); ++i) {
      if (tiny().masks->symbols(i) == std::string_view(reinterpret_cast<const char*>(&byte), 1)) id = i;
    }
    ASSERT_GE(id, 0);
    state.mask(mask);
    EXPECT_TRUE(has(mask, id));
    EXPECT_FALSE(state.can_end());
    ASSERT_TRUE(state.accept(id));
  }
  EXPECT_TRUE(state.can_end());
}

TEST(GrammarState, EndTokensExactlyWhereTheGrammarCanEnd) {
  const TokenId end = *tiny().tokenizer.eos();
  GrammarState state(tiny().bind(Grammar::from_regex("ab?")));
  const auto take = [&](std::string_view text) {
    for (TokenId i = 0; i < static_cast<TokenId>(tiny().masks->vocab_size()); ++i) {
      if (tiny().masks->symbols(i) == text) return state.accept(i);
    }
    return false;
  };
  std::vector<std::uint64_t> mask(tiny().masks->n_words());
  state.mask(mask);
  EXPECT_FALSE(has(mask, end));
  EXPECT_FALSE(state.accept(end));
  ASSERT_TRUE(take("a"));
  state.mask(mask);
  EXPECT_TRUE(has(mask, end));
  ASSERT_TRUE(take("b"));
  state.mask(mask);
  int n_allowed = 0;
  for (const std::uint64_t word : mask) n_allowed += std::popcount(word);
  EXPECT_EQ(n_allowed, static_cast<int>(tiny().masks->ends().size()));
  EXPECT_TRUE(state.accept(end));
  EXPECT_TRUE(state.ended());
  EXPECT_FALSE(state.accept(end));
}

TEST(GrammarState, ControlTokensAndTagsStandNowhere) {
  GrammarState state(tiny().bind(Grammar::from_regex("[\\s\\S]*")));
  std::vector<std::uint64_t> mask(tiny().masks->n_words());
  state.mask(mask);
  for (TokenId id = 0; id < static_cast<TokenId>(tiny().masks->vocab_size()); ++id) {
    if (tiny().masks->is_end(id)) continue;
    if (tiny().tokenizer.kind(id) != exa::TokenKind::kControl) continue;
    EXPECT_FALSE(has(mask, id)) << id;
  }
  for (const char* tag : {"<think>", "</think>", "<tool_call>", "</tool_call>"}) {
    const auto id = tiny().tokenizer.find(tag);
    EXPECT_FALSE(id && has(mask, *id)) << tag;
  }
}

TEST(GrammarState, ToolTagsAreTokens) {
  const auto begin = tiny().tokenizer.find("<tool_call>");
  const auto end = tiny().tokenizer.find("</tool_call>");
  if (!begin || !end) GTEST_SKIP() << "the vocabulary has no tool tags";
  exa::ToolGrammar options;
  options.choice = exa::ToolGrammar::Choice::kRequired;
  const Grammar grammar = Grammar::from_tools(
      R"([{"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}])",
      options);
  GrammarState state(tiny().bind(grammar));
  std::vector<std::uint64_t> mask(tiny().masks->n_words());
  state.mask(mask);
  for (TokenId id = 0; id < static_cast<TokenId>(tiny().masks->vocab_size()); ++id) {
    EXPECT_EQ(has(mask, id), id == *begin);
  }
  ASSERT_TRUE(state.accept(*begin));
  for (const TokenId id : tiny().tokenizer.encode(R"({"name": "now", "arguments": {}})", false)) {
    ASSERT_TRUE(state.accept(id));
  }
  EXPECT_FALSE(state.can_end());
  ASSERT_TRUE(state.accept(*end));
  EXPECT_TRUE(state.can_end());
}

TEST(GrammarState, NewlinesAfterReasoning) {
  const auto bound = tiny().bind(Grammar::from_choices(std::vector<std::string>{"yes"}));
  const auto newline = tiny().tokenizer.encode("\n", false);
  ASSERT_EQ(newline.size(), 1u);
  GrammarState plain(bound);
  EXPECT_FALSE(plain.accept(newline[0]));
  GrammarState after(bound, GrammarState::Begin::kAfterReasoning);
  EXPECT_TRUE(after.accept(newline[0]));
  EXPECT_TRUE(after.accept(newline[0]));
  EXPECT_FALSE(after.accept(newline[0]));
  for (const TokenId id : tiny().tokenizer.encode("yes", false)) EXPECT_TRUE(after.accept(id));
  EXPECT_TRUE(after.can_end());
}

TEST(GrammarState, DeepNestingStopsBeforeItCannotBeClosed) {
  const auto bound = tiny().bind(Grammar::json_object());
  GrammarState state(bound);
  const auto take = [&](const std::string& text) {
    for (const TokenId id : tiny().tokenizer.encode(text, false)) {
      if (!state.accept(id)) return false;
    }
    return true;
  };
  ASSERT_TRUE(take(R"({"a":)"));
  int depth = 0;
  while (depth < 1000 && take("[")) ++depth;
  EXPECT_GT(depth, 50);
  EXPECT_LT(depth, 200);
  for (int i = 0; i < depth; ++i) ASSERT_TRUE(take("]"));
  ASSERT_TRUE(take("}"));
  EXPECT_TRUE(state.can_end());
}

}  // namespace
