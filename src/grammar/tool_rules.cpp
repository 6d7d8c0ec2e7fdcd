#include "grammar/tool_rules.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "grammar/expression.h"
#include "grammar/json_text.h"
#include "grammar/regex.h"
#include "grammar/schema_rules.h"
#include "grammar/tags.h"

namespace exa::grammar {
namespace {

constexpr std::size_t kMostTools = 128;

struct Tool {
  std::string name;
  RuleId arguments;
};

RuleId arguments_of(const Json& function, const std::string& path, JsonRules& shared) {
  // Omitted parameters: a function without any.
  static const Json kNothing = {{"type", "object"}, {"properties", Json::object()}};
  static const Json kAnything = {{"type", "object"}};
  const auto parameters = function.find("parameters");
  if (parameters == function.end() || parameters->is_null()) {
    return SchemaRules(kNothing, path, shared).compile();
  }
  const auto strict = function.find("strict");
  const bool is_strict = strict != function.end() && *strict == true;
  const std::string place = path + ".parameters";
  try {
    return SchemaRules(*parameters, place, shared).compile(true);
  } catch (const Error& error) {
    const bool of_schema = error.kind() == ErrorKind::kUnsupported || error.kind() == ErrorKind::kBadInput;
    if (is_strict || !of_schema || !(parameters->is_object() || parameters->is_boolean())) throw;
    return SchemaRules(kAnything, place, shared).compile();
  }
}

std::vector<Tool> read_tools(const Json& list, const ToolGrammar& options, JsonRules& shared) {
  if (!list.is_array()) {
    throw Error(ErrorKind::kBadInput, "expected an array of tools, found " + shown(list), "tools");
  }
  if (list.size() > kMostTools) {
    throw Error(
        ErrorKind::kUnsupported,
        "expected at most " + std::to_string(kMostTools) + " tools, found " + std::to_string(list.size()),
        "tools");
  }
  std::vector<Tool> out;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Json& tool = list[i];
    const std::string path = "tools[" + std::to_string(i) + "]";
    if (!tool.is_object()) throw Error(ErrorKind::kBadInput, "expected a tool, found " + shown(tool), path);
    const auto type = tool.find("type");
    if (type != tool.end() && *type != "function") continue;
    const auto wrapped = tool.find("function");
    const Json& function = wrapped != tool.end() ? *wrapped : tool;
    const std::string where = wrapped != tool.end() ? path + ".function" : path;
    const auto name = function.find("name");
    if (!function.is_object() || name == function.end() || !name->is_string()) {
      throw Error(ErrorKind::kBadInput, "expected a name, found none", where);
    }
    const auto& word = name->get_ref<const std::string&>();
    if (std::find(names.begin(), names.end(), word) != names.end()) {
      throw Error(ErrorKind::kBadInput, "expected each name once, found " + shown(*name) + " twice", where);
    }
    names.push_back(word);
    if (options.name && *options.name != word) continue;
    out.push_back({word, arguments_of(function, where, shared)});
  }
  if (options.name && out.empty()) {
    throw Error(ErrorKind::kBadInput, "expected a tool named " + shown(*options.name) + ", found none",
                "tools");
  }
  if (out.empty()) throw Error(ErrorKind::kBadInput, "expected a function to call, found none", "tools");
  return out;
}

RuleId call_rule(const std::vector<Tool>& tools, RuleSet& rules) {
  Automaton body(*rules.budget);
  const StateId name = body.add_state();
  const StateId end = body.add_state();
  const StateId after = body.add_state();
  body.states[after].accepts = true;
  const StateId key = body.add_state();
  body.add_literal(Automaton::kStart, std::string(kToolCallBeginSymbol) + "{\"name\"", key);
  body.add_empty(add_separator(body, key, ':'), name);
  for (const Tool& tool : tools) {
    const StateId comma = body.add_state();
    body.add_literal(name, json_quoted(tool.name), comma);
    const StateId word = body.add_state();
    body.add_literal(add_separator(body, comma, ','), "\"arguments\"", word);
    body.add_call(add_separator(body, word, ':'), tool.arguments, end);
  }
  body.add_literal(end, "}" + std::string(kToolCallEndSymbol), after);
  return rules.add("a tool call", settled(body));
}

// Text in which no call begins.
Automaton plain_text(Budget& budget) {
  Automaton any(budget);
  any.states[Automaton::kStart].accepts = true;
  any.add_code_points(Automaton::kStart, CodePointSet::all(), Automaton::kStart);
  return intersect(complement(search_match(kToolCallBegin, budget)), determinize(any));
}

}  // namespace

void add_tools(std::string_view tools, const ToolGrammar& options, RuleSet& rules) {
  const Json list = parse_json(tools, "tools");
  JsonRules shared(rules);
  const RuleId call = call_rule(read_tools(list, options, shared), rules);
  Automaton body(*rules.budget);
  const StateId first = body.add_state();
  const StateId end = body.add_state();
  body.states[end].accepts = true;
  body.add_call(first, call, end);
  if (options.parallel) body.add_literal(end, "\n", first);
  Json answer;  // outlives the schema's rules
  if (options.choice == ToolGrammar::Choice::kRequired) {
    body.add_empty(Automaton::kStart, first);
  } else if (options.answer_schema) {
    answer = parse_json(*options.answer_schema, "schema");
    const StateId answered = body.add_state();
    body.states[answered].accepts = true;
    body.add_call(Automaton::kStart, SchemaRules(answer, "#", shared).compile(), answered);
    body.add_empty(Automaton::kStart, first);
  } else {
    const StateId answered = body.add_state();
    body.states[answered].accepts = true;
    body.add_copy(Automaton::kStart, plain_text(*rules.budget), answered);
    body.add_empty(answered, first);
  }
  rules.root = rules.add("an answer", settled(body));
}

}  // namespace exa::grammar
