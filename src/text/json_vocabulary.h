// A JSON reader that keeps the two huge parts of a tokenizer file, vocabulary and merges, out of the document
// tree.
//
// Ownership and threads: free function; `parts` takes the strings.
// Source: Hugging Face tokenizers' serialisation; nlohmann-json's SAX interface.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "text/tokenizer_parts.h"

namespace exa {

enum class VocabularyFile {
  kTokenizerJson,  // model.vocab and model.merges go into parts, the rest is returned
  kVocabJson,      // the whole file is the vocabulary; returns null
};

// Errors: kBadInput for invalid JSON (byte), a vocabulary that does not map text to ids, merges that are
// neither "a b" nor ["a", "b"], nesting deeper than 64.
nlohmann::json read_vocabulary_file(std::string_view text, VocabularyFile kind, TokenizerParts& parts);

}  // namespace exa
