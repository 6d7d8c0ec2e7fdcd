// JSON schemas into rules: what an understood schema looks like as JSON text.
//
// Objects have their properties in the schema's order, each at most once, then the others where there may be
// some; one space may follow a comma or a colon, no other white space.
// Ownership and threads: borrow the rule set; one compilation, one thread.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "grammar/rules.h"
#include "grammar/schema_node.h"

namespace exa::grammar {

// Rules that all schemas of a grammar share, made when first asked for.
class JsonRules {
 public:
  explicit JsonRules(RuleSet& rules) : rules_(rules) {}

  RuleSet& rules() { return rules_; }
  RuleId any_value();
  RuleId any_text();  // a string
  RuleId any_number(bool integers);
  RuleId character();

 private:
  RuleSet& rules_;
  std::optional<RuleId> value_, text_, number_, integer_;
  std::optional<Automaton> character_;
};

class SchemaRules {
 public:
  SchemaRules(const Json& document, const std::string& root_path, JsonRules& shared)
      : shared_(shared),
        rules_(shared.rules()),
        root_{&document, root_path},
        schemas_(document, root_path, *rules_.budget) {}

  // The rule of the document's root; with `only_objects`, of its objects. Errors: as Schemas::expand.
  RuleId compile(bool only_objects = false);

 private:
  RuleId rule_of(const SchemaSet& schemas);
  void add_node(Automaton& into, StateId from, const Node& node, StateId to);
  void add_number(Automaton& into, StateId from, const Node& node, StateId to);
  void add_string(Automaton& into, StateId from, const Node& node, StateId to);
  void add_array(Automaton& into, StateId from, const Node& node, StateId to);
  void add_object(Automaton& into, StateId from, const Node& node, StateId to);
  RuleId other_keys(const std::vector<Node::Property>& known, const std::string& path);

  JsonRules& shared_;
  RuleSet& rules_;
  SchemaRef root_;
  Schemas schemas_;
  std::map<std::vector<const Json*>, RuleId> known_;
  std::deque<std::pair<RuleId, SchemaSet>> pending_;
};

// `mark` and perhaps a space; where that leads.
StateId add_separator(Automaton& into, StateId from, char mark);

}  // namespace exa::grammar
