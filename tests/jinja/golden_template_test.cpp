// The official templates, 400 conversations each rendered by transformers: text, errors and token ids must be
// equal.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>

#include "base/error.h"
#include "jinja/jinja.h"
#include "text/tokenizer.h"

namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

const fs::path kShared = EXAONE_SHARED_DIR;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

ordered_json variables_of(const ordered_json& row) {
  ordered_json variables = row["kwargs"];
  variables["messages"] = row["messages"];
  variables["tools"] = row["tools"];
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = row["add_generation_prompt"];
  return variables;
}

class GoldenTemplates : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kShared / "golden/chat/chat_template.cases.jsonl")) {
      GTEST_SKIP() << "the folder of golden data is absent";
    }
  }
};

TEST_F(GoldenTemplates, RenderAsTransformersDoes) {
  const exa::Template old_template =
      exa::Template::parse(read_file(kShared / "data/exaone-4.0-1.2b/chat_template.jinja"));
  const exa::Template new_template =
      exa::Template::parse(read_file(kShared / "data/exaone-4.5-33b/chat_template.jinja"));
  const exa::Tokenizer old_tokenizer =
      exa::Tokenizer::from_json_file(kShared / "golden/tokenizer/exaone-4.0.tokenizer.json");
  const exa::Tokenizer new_tokenizer =
      exa::Tokenizer::from_json_file(kShared / "golden/tokenizer/exaone-4.5-like.tokenizer.json");
  std::ifstream cases(kShared / "golden/chat/chat_template.cases.jsonl");
  std::string line;
  int texts = 0, errors = 0, ids = 0;
  for (int number = 1; std::getline(cases, line); ++number) {
    SCOPED_TRACE("line " + std::to_string(number));
    const ordered_json row = ordered_json::parse(line);
    const bool is_old = row["template"] == "4.0";
    const exa::Template& chat_template = is_old ? old_template : new_template;
    if (row.contains("error")) {
      const std::string prefix = "TemplateError: ";
      const std::string expected = row["error"].get<std::string>();
      ASSERT_EQ(expected.substr(0, prefix.size()), prefix);
      try {
        chat_template.render(variables_of(row));
        ADD_FAILURE() << "rendered, expected " << expected;
      } catch (const exa::Error& error) {
        EXPECT_EQ(error.kind(), exa::ErrorKind::kBadInput);
        EXPECT_EQ(error.message(), expected.substr(prefix.size()));
      }
      ++errors;
      continue;
    }
    const exa::Rendered rendered = chat_template.render(variables_of(row));
    EXPECT_EQ(rendered.text, row["expected"].get<std::string>());
    ++texts;
    if (!row.contains("ids")) continue;
    const exa::Tokenizer& tokenizer = is_old ? old_tokenizer : new_tokenizer;
    EXPECT_EQ(tokenizer.encode(rendered.text, rendered.spans), row["ids"].get<std::vector<exa::TokenId>>());
    ++ids;
  }
  EXPECT_GE(texts, 350);
  EXPECT_GE(errors, 10);
  EXPECT_GE(ids, 50);
}

}  // namespace
