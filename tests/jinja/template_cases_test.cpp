// Templates of our own against what Jinja2 with transformers' settings made of them (tools/reference).
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/error.h"
#include "jinja/jinja.h"

namespace {

using nlohmann::ordered_json;

struct Outcome {
  std::optional<std::string> text;
  std::string error;
  std::string where;
};

Outcome render(const std::string& source, const ordered_json& variables) {
  try {
    const exa::Rendered rendered = exa::Template::parse(source).render(variables);
    std::size_t at = 0;
    for (const exa::TextSpan& span : rendered.spans) {
      EXPECT_EQ(span.begin, at);
      EXPECT_LT(span.begin, span.end);
      at = span.end;
    }
    EXPECT_EQ(at, rendered.text.size());
    return {rendered.text, {}, {}};
  } catch (const exa::Error& error) {
    return {std::nullopt, error.message(), error.where()};
  }
}

TEST(TemplateCases, EqualJinja2) {
  std::ifstream cases(std::string(EXAONE_SOURCE_DIR) + "/tests/data/chat/template_cases.jsonl");
  ASSERT_TRUE(cases) << "tests/data/chat/template_cases.jsonl is missing";
  ordered_json variables;
  std::string conversation_template;
  std::string line;
  int checked = 0;
  while (std::getline(cases, line)) {
    const ordered_json row = ordered_json::parse(line);
    if (row.contains("conversation_template")) {
      conversation_template = row["conversation_template"];
      continue;
    }
    if (!row.contains("text") && !row.contains("error")) {
      variables = row["variables"];
      continue;
    }
    const std::string source =
        row.contains("template") ? row["template"].get<std::string>() : conversation_template;
    SCOPED_TRACE(row.contains("template") ? source : row["variables"].dump());
    const Outcome outcome = render(source, row.contains("variables") ? row["variables"] : variables);
    ++checked;
    if (row.contains("text")) {
      EXPECT_EQ(outcome.text.value_or("error: " + outcome.where + ": " + outcome.error),
                row["text"].get<std::string>());
      continue;
    }
    if (outcome.text) {
      ADD_FAILURE() << "rendered " << *outcome.text << "\nexpected the error " << row["error"];
      continue;
    }
    EXPECT_EQ(outcome.error, row["error"].get<std::string>());
    // Python's own compiler, which sees `break` outside a loop, counts other lines.
    if (row.contains("line") && row["line"] != 0) {
      EXPECT_EQ(outcome.where, "template: line " + row["line"].dump());
    }
  }
  EXPECT_GE(checked, 850);
}

}  // namespace
