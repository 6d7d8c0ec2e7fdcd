#include "engine/constraints.h"

#include <optional>

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostKept = 8;

std::optional<std::string> schema_of(const Constraint& constraint) {
  if (constraint.kind == Constraint::Kind::kJsonSchema) return constraint.text;
  if (constraint.kind == Constraint::Kind::kJsonObject) return R"({"type": "object"})";
  return std::nullopt;
}

Grammar tool_grammar(const GenerateRequest& request, const Json& tools) {
  const Constraint::Kind kind = request.constraint.kind;
  if (kind == Constraint::Kind::kGbnf || kind == Constraint::Kind::kRegex ||
      kind == Constraint::Kind::kChoice) {
    throw Error(
        ErrorKind::kUsage,
        "tools go together with a JSON schema only, not with a grammar, a regular expression or a choice");
  }
  const ToolChoice::Kind choice = request.tool_choice.kind;
  ToolGrammar options;
  if (choice == ToolChoice::Kind::kRequired || choice == ToolChoice::Kind::kNamed) {
    options.choice = ToolGrammar::Choice::kRequired;
  } else {
    options.answer_schema = schema_of(request.constraint);
  }
  if (choice == ToolChoice::Kind::kNamed) options.name = request.tool_choice.name;
  options.parallel = request.parallel_tool_calls;
  return Grammar::from_tools(tools.dump(), options);
}

Grammar grammar_of(const Constraint& constraint) {
  switch (constraint.kind) {
    case Constraint::Kind::kGbnf:
      return Grammar::from_gbnf(constraint.text);
    case Constraint::Kind::kRegex:
      return Grammar::from_regex(constraint.text);
    case Constraint::Kind::kChoice:
      return Grammar::from_choices(constraint.choices);
    case Constraint::Kind::kJsonSchema:
      return Grammar::from_json_schema(constraint.text);
    case Constraint::Kind::kJsonObject:
    case Constraint::Kind::kNone:
      break;
  }
  return Grammar::json_object();
}

}  // namespace

std::shared_ptr<BoundGrammar> Constraints::bind(const GenerateRequest& request, const Json& tools) {
  const Constraint& constraint = request.constraint;
  if (tools.is_null() && constraint.kind == Constraint::Kind::kNone) return nullptr;
  const Json key = {
      static_cast<int>(constraint.kind),          constraint.text,          constraint.choices,         tools,
      static_cast<int>(request.tool_choice.kind), request.tool_choice.name, request.parallel_tool_calls};
  const std::string name = key.dump(-1, ' ', false, Json::error_handler_t::replace);
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [known, grammar] : recent_) {
      if (known == name) return grammar;
    }
  }
  // Without the lock: a schema may take long, and others need not wait for it.
  Grammar grammar = tools.is_null() ? grammar_of(constraint) : tool_grammar(request, tools);
  const std::lock_guard lock(mutex_);
  if (!vocabulary_) vocabulary_ = std::make_shared<const TokenMasks>(*tokenizer_);
  auto bound = std::make_shared<BoundGrammar>(std::move(grammar), vocabulary_);
  recent_.emplace_front(name, bound);
  if (recent_.size() > kMostKept) recent_.pop_back();
  return bound;
}

}  // namespace exa
