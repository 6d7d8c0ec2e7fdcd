// The parts of a tokenizer, checked and put together.
//
// Ownership and threads: immutable after assemble().
// Source: see tokenizer.h.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"
#include "text/vocabulary.h"

namespace exa {

struct LoadedTokenizer {
  // Errors: kBadInput for ids that are named twice or differently, merges of unknown tokens, a missing byte,
  // an added token that is empty, too long or not UTF-8.
  static LoadedTokenizer assemble(const TokenizerParts& parts);

  Vocabulary vocabulary;
  Bpe bpe;
  SplitterKind splitter;
  Normalization normalization;
  bool ignore_merges;
  AddedTokens raw_added;         // matched before normalisation
  AddedTokens normalized_added;  // matched after it
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::vector<TokenId> end_of_generation;  // sorted
};

struct Tokenizer::Impl {
  LoadedTokenizer loaded;
};

}  // namespace exa
