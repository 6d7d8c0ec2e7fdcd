#include "grammar/grammar.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/error.h"
#include "grammar/gbnf.h"
#include "grammar/json_text.h"
#include "grammar/machine.h"
#include "grammar/regex.h"
#include "grammar/rules.h"
#include "grammar/runner.h"
#include "grammar/schema_rules.h"
#include "grammar/tags.h"
#include "grammar/tool_rules.h"
#include "text/utf8.h"

namespace exa {

using grammar::Automaton;
using grammar::Budget;
using grammar::RuleSet;
using grammar::StateId;

namespace {

// Calls open at once in JSON: nested arrays and objects take two at most.
constexpr std::uint32_t kMostJsonCalls = 128;
constexpr std::uint32_t kMostCalls = 1000;  // in other grammars

void require_size(std::string_view text, const std::string& place) {
  if (text.size() <= grammar::kMostBytes) return;
  throw Error(ErrorKind::kUnsupported,
              "expected at most " + std::to_string(grammar::kMostBytes) + " bytes, found " +
                  std::to_string(text.size()),
              place);
}

// Up to two newlines, then the root; the machine knows both beginnings.
grammar::RuleId add_beginning(RuleSet& rules) {
  Automaton body(*rules.budget);
  const StateId second = body.add_state();
  const StateId text = body.add_state();
  const StateId end = body.add_state();
  body.states[end].accepts = true;
  body.add_empty(Automaton::kStart, text);
  body.add_literal(Automaton::kStart, "\n", second);
  body.add_empty(second, text);
  body.add_literal(second, "\n", text);
  body.add_call(text, rules.root, end);
  return rules.add(rules.rules[rules.root].name, std::move(body));
}

}  // namespace

Grammar::Grammar(const RuleSet& rules, bool calls_tools) : calls_tools_(calls_tools) {
  RuleSet whole = rules;
  whole.root = add_beginning(whole);
  machine_ = std::make_shared<const grammar::Machine>(whole);
}

Grammar Grammar::from_json_schema(std::string_view text) {
  Budget budget;
  RuleSet rules{&budget, {}, 0, kMostJsonCalls};
  const auto schema = grammar::parse_json(text, "schema");
  grammar::JsonRules shared(rules);
  rules.root = grammar::SchemaRules(schema, "#", shared).compile();
  return Grammar(rules);
}

Grammar Grammar::json_object() {
  return from_json_schema(R"({"type": "object"})");
}

Grammar Grammar::from_gbnf(std::string_view text) {
  require_size(text, "grammar");
  Budget budget;
  RuleSet rules{&budget, {}, 0, kMostCalls};
  grammar::add_gbnf(text, rules);
  return Grammar(rules);
}

Grammar Grammar::from_regex(std::string_view pattern) {
  Budget budget;
  budget.set_place("regular expression");
  RuleSet rules{&budget, {}, 0, kMostCalls};
  Automaton body = grammar::whole_match(pattern, rules);
  rules.root = rules.add("regular expression", std::move(body));
  return Grammar(rules);
}

Grammar Grammar::from_choices(std::span<const std::string> choices) {
  Budget budget;
  RuleSet rules{&budget, {}, 0, kMostCalls};
  Automaton body(budget);
  const StateId end = body.add_state();
  body.states[end].accepts = true;
  if (choices.empty()) throw Error(ErrorKind::kBadInput, "expected a text to choose, found none", "choices");
  std::size_t n_bytes = 0;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const std::string place = "choices[" + std::to_string(i) + "]";
    const std::string& choice = choices[i];
    if (choice.empty()) throw Error(ErrorKind::kBadInput, "expected a text, found an empty one", place);
    if (const std::size_t bad = find_invalid_utf8(choice); bad != std::string_view::npos) {
      throw Error(ErrorKind::kBadInput, "expected UTF-8", place + ", offset " + std::to_string(bad));
    }
    n_bytes += choice.size();
    if (n_bytes > grammar::kMostBytes) {
      throw Error(ErrorKind::kUnsupported,
                  "expected at most " + std::to_string(grammar::kMostBytes) + " bytes in all, found more",
                  place);
    }
    body.add_literal(Automaton::kStart, choice, end);
  }
  rules.root = rules.add("choices", grammar::determinize(body));
  return Grammar(rules);
}

Grammar Grammar::from_tools(std::string_view tools, const ToolGrammar& options) {
  Budget budget;
  RuleSet rules{&budget, {}, 0, kMostJsonCalls};
  grammar::add_tools(tools, options, rules);
  return Grammar(rules, true);
}

bool Grammar::matches(std::string_view text) const {
  std::string symbols(text);
  if (calls_tools_) {
    const auto replace = [&symbols](std::string_view tag, std::string_view symbol) {
      for (std::size_t at = 0; (at = symbols.find(tag, at)) != std::string::npos;) {
        symbols.replace(at, tag.size(), symbol);
      }
    };
    replace(grammar::kToolCallBegin, grammar::kToolCallBeginSymbol);
    replace(grammar::kToolCallEnd, grammar::kToolCallEndSymbol);
  }
  grammar::Runner runner(*machine_, machine_->most_depth());
  std::vector<grammar::Config> configs;
  std::size_t first = 0;
  bool ended = runner.begin(kTextRule, configs).ended;
  for (const char c : symbols) {
    const std::size_t last = configs.size();
    ended = runner.step(configs, first, last, static_cast<std::uint8_t>(c)).ended;
    configs.erase(configs.begin(), configs.begin() + static_cast<std::ptrdiff_t>(last));
    if (configs.empty() && !ended) return false;
  }
  return ended;
}

std::size_t Grammar::n_states() const {
  return machine_->n_states();
}

}  // namespace exa
