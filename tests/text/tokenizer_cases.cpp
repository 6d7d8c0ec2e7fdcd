#include "tokenizer_cases.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace exa {

std::vector<TokenizerCase> read_tokenizer_cases(const std::filesystem::path& jsonl) {
  std::ifstream file(jsonl);
  std::vector<TokenizerCase> cases;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line);
    TokenizerCase one;
    one.text = json["text"].get<std::string>();
    one.ids = json["ids"].get<std::vector<TokenId>>();
    one.decoded = json.value("decoded", one.text);
    cases.push_back(std::move(one));
  }
  return cases;
}

void expect_cases(const Tokenizer& tokenizer, const std::vector<TokenizerCase>& cases) {
  int n_shown = 0;
  for (std::size_t i = 0; i < cases.size() && n_shown < 5; ++i) {
    const auto ids = tokenizer.encode(cases[i].text, true);
    EXPECT_EQ(ids, cases[i].ids) << "case " << i << ": " << cases[i].text.substr(0, 200);
    const std::string decoded = tokenizer.decode(ids);
    EXPECT_EQ(decoded, cases[i].decoded) << "case " << i;
    n_shown += ids != cases[i].ids || decoded != cases[i].decoded;
  }
}

}  // namespace exa
