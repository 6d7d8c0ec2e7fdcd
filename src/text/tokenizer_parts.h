// What a tokenizer's files say, before it is checked and put together: the common ground of tokenizer.json,
// GGUF metadata and the older vocab.json with merges.txt.
//
// Ownership and threads: plain data, filled by one reader and taken by Tokenizer.
// Source: Hugging Face tokenizers' serialisation; GGUF keys tokenizer.ggml.*.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/splitter.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace exa {

struct TokenizerParts {
  // Larger vocabularies are refused: ids are foreign numbers that size our tables.
  static constexpr TokenId kMaxVocabulary = TokenId{1} << 21;

  struct Text {  // a stretch of `arena`
    std::uint32_t offset;
    std::uint32_t length;
  };
  struct Ordinary {
    Text printable;  // in the byte alphabet
    TokenId id;
  };
  struct Added {
    std::string text;
    TokenId id;
    bool control;
    bool normalized;  // matched in the normalised text, not in the raw one
  };
  struct Merge {
    Text left;
    Text right;
  };

  std::string where;  // file (or key) to blame
  SplitterKind splitter = SplitterKind::kExaone4;
  Normalization normalization = Normalization::kNone;
  bool ignore_merges = false;  // a piece that is a token stays whole
  std::string arena;
  std::vector<Ordinary> ordinary;
  std::vector<Added> added;
  std::vector<Merge> merges;       // in rank order
  std::size_t min_vocabulary = 0;  // ids below it exist even if nothing names them
  std::optional<TokenId> bos;
  std::vector<TokenId> eos;  // the first is the turn's end, all end a generation
  std::string bos_text;      // used where there is no id; may be empty
  std::string eos_text;

  std::string_view text(Text t) const { return std::string_view(arena).substr(t.offset, t.length); }
  // Copies into the arena. Errors: kUnsupported past 4 GiB.
  Text keep(std::string_view text);
  // "a b", split at the first space from index 1 on. Errors: kBadInput naming the merge.
  void add_merge_line(std::string_view line);
};

// Each fills parts from the text of one file. `where` names it in errors: kBadInput (JSON path, expected,
// found), kUnsupported (a kind of tokenizer this program does not know, by name).
TokenizerParts read_tokenizer_json(std::string_view json, const std::string& where);
// The folder form: vocab.json (text -> id) and merges.txt; splitter exaone4, no normaliser.
TokenizerParts read_vocab_and_merges(std::string_view vocab_json, const std::string& vocab_where,
                                     std::string_view merges_txt, const std::string& merges_where);
// tokenizer_config.json: bos_token and eos_token, and with `with_added_tokens` its added_tokens_decoder.
void read_tokenizer_config(std::string_view json, const std::string& where, bool with_added_tokens,
                           TokenizerParts& parts);

}  // namespace exa
