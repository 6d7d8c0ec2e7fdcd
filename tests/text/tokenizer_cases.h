// Texts with the ids that Hugging Face's library gives for them, one JSON object a line.
//
// Ownership and threads: plain data.
// Source: golden/README.md; tools/reference/make_tokenizer_cases.py writes the same format.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace exa {

struct TokenizerCase {
  std::string text;
  std::vector<TokenId> ids;
  std::string decoded;  // of ids; the text itself unless the normaliser changed it
};

std::vector<TokenizerCase> read_tokenizer_cases(const std::filesystem::path& jsonl);

// Encodes and decodes every case and reports the first differences.
void expect_cases(const Tokenizer& tokenizer, const std::vector<TokenizerCase>& cases);

}  // namespace exa
