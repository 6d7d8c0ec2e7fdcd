#include "grammar/schema_rules.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "grammar/expression.h"
#include "grammar/json_strings.h"
#include "grammar/json_text.h"

namespace exa::grammar {
namespace {

Automaton with_quotes(const Automaton& text, Budget& budget) {
  Automaton out(budget);
  const StateId begin = out.add_state();
  const StateId end = out.add_state();
  const StateId after = out.add_state();
  out.states[after].accepts = true;
  out.add_literal(Automaton::kStart, "\"", begin);
  out.add_copy(begin, text, end);
  out.add_literal(end, "\"", after);
  return determinize(out);
}

std::uint32_t repetitions(std::uint64_t count) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(count, kMostRepetitions));
}

void require_reachable(std::uint64_t fewest, const char* keyword, const Node& node) {
  if (fewest <= kMostRepetitions) return;
  throw Error(ErrorKind::kUnsupported,
              "\"" + std::string(keyword) + "\": expected at most " + std::to_string(kMostRepetitions) +
                  ", found " + std::to_string(fewest),
              node.path);
}

}  // namespace

StateId add_separator(Automaton& into, StateId from, char mark) {
  const StateId after = into.add_state();
  const StateId next = into.add_state();
  into.add_literal(from, std::string_view(&mark, 1), after);
  into.add_bytes(after, ' ', ' ', next);
  into.add_empty(after, next);
  return next;
}

RuleId JsonRules::any_text() {
  if (!text_) text_ = rules_.add("a string", any_string(*rules_.budget));
  return *text_;
}

RuleId JsonRules::any_number(bool integers) {
  auto& rule = integers ? integer_ : number_;
  if (!rule) rule = rules_.add("a number", numbers({}, integers, *rules_.budget));
  return *rule;
}

RuleId JsonRules::character() {
  if (!character_) character_ = string_character(*rules_.budget);
  return rules_.add("a string's characters", *character_);
}

RuleId JsonRules::any_value() {
  if (value_) return *value_;
  value_ = rules_.reserve("a JSON value");
  Automaton body(*rules_.budget);
  const StateId start = Automaton::kStart;
  const StateId end = body.add_state();
  body.states[end].accepts = true;
  body.add_call(start, any_text(), end);
  body.add_call(start, any_number(false), end);
  for (const char* word : {"true", "false", "null", "[]", "{}"}) body.add_literal(start, word, end);
  const StateId item = body.add_state();
  const StateId after_item = body.add_state();
  body.add_literal(start, "[", item);
  body.add_call(item, *value_, after_item);
  body.add_empty(add_separator(body, after_item, ','), item);
  body.add_literal(after_item, "]", end);
  const StateId key = body.add_state();
  const StateId after_key = body.add_state();
  const StateId after_member = body.add_state();
  body.add_literal(start, "{", key);
  body.add_call(key, any_text(), after_key);
  body.add_call(add_separator(body, after_key, ':'), *value_, after_member);
  body.add_empty(add_separator(body, after_member, ','), key);
  body.add_literal(after_member, "}", end);
  rules_.rules[*value_].body = settled(body);
  return *value_;
}

RuleId SchemaRules::compile(bool only_objects) {
  static const Json kAnObject = {{"type", "object"}};
  SchemaSet schemas{root_};
  if (only_objects) schemas.push_back({&kAnObject, root_.path});
  const RuleId root = rule_of(schemas);
  while (!pending_.empty()) {
    const auto [rule, set] = std::move(pending_.front());
    pending_.pop_front();
    Automaton body(*rules_.budget);
    const StateId end = body.add_state();
    body.states[end].accepts = true;
    for (const Node& node : schemas_.expand(set)) {
      rules_.budget->set_place(node.path);
      add_node(body, Automaton::kStart, node, end);
    }
    rules_.rules[rule].body = settled(body);
  }
  return root;
}

RuleId SchemaRules::rule_of(const SchemaSet& schemas) {
  const auto is_true = [](const SchemaRef& schema) {
    return schema.json->is_boolean() && schema.json->get<bool>();
  };
  if (std::all_of(schemas.begin(), schemas.end(), is_true)) return shared_.any_value();
  std::vector<const Json*> key;
  for (const SchemaRef& schema : schemas) key.push_back(schema.json);
  std::sort(key.begin(), key.end());
  const auto [at, is_new] = known_.try_emplace(std::move(key), 0);
  if (is_new) {
    at->second = rules_.reserve(schemas[0].path);
    pending_.emplace_back(at->second, schemas);
  }
  return at->second;
}

void SchemaRules::add_node(Automaton& into, StateId from, const Node& node, StateId to) {
  if (node.values) {
    Node others = node;
    others.values.reset();
    for (const Json* value : *node.values) {
      if (schemas_.satisfies(*value, others)) add_value(into, from, *value, to);
    }
    return;
  }
  const unsigned types = node.made_types();
  if ((types & kNull) != 0) into.add_literal(from, "null", to);
  if ((types & kBoolean) != 0) {
    into.add_literal(from, "true", to);
    into.add_literal(from, "false", to);
  }
  if ((types & kNumber) != 0) add_number(into, from, node, to);
  if ((types & kString) != 0) add_string(into, from, node, to);
  if ((types & kArray) != 0) add_array(into, from, node, to);
  if ((types & kObject) != 0) add_object(into, from, node, to);
}

void SchemaRules::add_number(Automaton& into, StateId from, const Node& node, StateId to) {
  if (!node.number.low && !node.number.high) {
    return into.add_call(from, shared_.any_number(node.integer), to);
  }
  into.add_call(from, rules_.add(node.path, numbers(node.number, node.integer, *rules_.budget)), to);
}

void SchemaRules::add_string(Automaton& into, StateId from, const Node& node, StateId to) {
  if (node.max_length && *node.max_length < node.min_length) return;
  if (!node.patterns.empty() || !node.formats.empty()) {
    const Automaton text = with_quotes(escaped(schemas_.decoded_strings(node)), *rules_.budget);
    return into.add_call(from, rules_.add(node.path, text), to);
  }
  if (node.min_length == 0 && !node.max_length) return into.add_call(from, shared_.any_text(), to);
  require_reachable(node.min_length, "minLength", node);
  if (node.max_length == std::uint64_t{0}) return into.add_literal(from, "\"\"", to);
  const StateId begin = into.add_state();
  const StateId end = into.add_state();
  into.add_literal(from, "\"", begin);
  into.add_literal(end, "\"", to);
  const RuleId characters = shared_.character();
  rules_.rules[characters].fewest = repetitions(node.min_length);
  rules_.rules[characters].most = node.max_length ? repetitions(*node.max_length) : kUnlimited;
  into.add_call(begin, characters, end);
}

void SchemaRules::add_array(Automaton& into, StateId from, const Node& node, StateId to) {
  const std::uint64_t most = node.max_items.value_or(kUnlimited);
  if (most < node.min_items) return;
  require_reachable(node.min_items, "minItems", node);
  StateId at = into.add_state();
  into.add_literal(from, "[", at);
  if (node.min_items == 0) into.add_literal(at, "]", to);
  const SchemaSet others = node.items.value_or(SchemaSet());
  const std::size_t n_single = std::max<std::size_t>(node.prefix.size(), 1);
  for (std::size_t i = 0; i < n_single; ++i) {
    if (i >= most) return;
    if (i > 0) at = add_separator(into, at, ',');
    const StateId after = into.add_state();
    into.add_call(at, rule_of(i < node.prefix.size() ? node.prefix[i] : others), after);
    at = after;
    if (i + 1 >= node.min_items) into.add_literal(at, "]", to);
  }
  if (n_single >= most) return;
  const RuleId item = rule_of(others);
  const std::uint64_t fewest_more = node.min_items > n_single ? node.min_items - n_single : 0;
  if (fewest_more == 0 && !node.max_items) {
    return into.add_call(add_separator(into, at, ','), item, at);
  }
  Automaton body(*rules_.budget);
  const StateId end = body.add_state();
  body.states[end].accepts = true;
  body.add_call(add_separator(body, Automaton::kStart, ','), item, end);
  const std::uint32_t most_more = node.max_items ? repetitions(most - n_single) : kUnlimited;
  const RuleId rest =
      rules_.add(node.path + "/items", settled(body), repetitions(fewest_more), std::max(most_more, 1u));
  const StateId after = into.add_state();
  into.add_call(at, rest, after);
  into.add_literal(after, "]", to);
}

RuleId SchemaRules::other_keys(const std::vector<Node::Property>& known, const std::string& path) {
  if (known.empty()) return shared_.any_text();
  Budget& budget = *rules_.budget;
  Automaton names(budget);
  const StateId end = names.add_state();
  names.states[end].accepts = true;
  for (const Node::Property& property : known) names.add_literal(Automaton::kStart, property.name, end);
  Automaton any(budget);
  any.states[Automaton::kStart].accepts = true;
  any.add_code_points(Automaton::kStart, CodePointSet::all(), Automaton::kStart);
  const Automaton others = intersect(complement(determinize(names)), determinize(any));
  return rules_.add(path, with_quotes(escaped(others), budget));
}

void SchemaRules::add_object(Automaton& into, StateId from, const Node& node, StateId to) {
  std::vector<Node::Property> members = node.properties;
  const SchemaSet others = node.additional.value_or(SchemaSet());
  for (const std::string& name : node.required) {
    if (!node.find(name)) members.push_back({name, others});
  }
  rules_.budget->count_steps(members.size() * (16 + node.required.size()));
  std::size_t n_needed = node.required.size();
  const auto closes = [&](StateId at) {
    if (n_needed == 0) into.add_literal(at, "}", to);
  };
  // at: a member with this index or a later one comes next.
  StateId at = into.add_state();
  const StateId begin = into.add_state();
  into.add_literal(from, "{", begin);
  into.add_empty(begin, at);
  closes(begin);
  for (const Node::Property& member : members) {
    const bool is_needed = node.requires_property(member.name);
    const StateId next = into.add_state();
    if (is_needed) {
      --n_needed;
    } else {
      into.add_empty(at, next);
    }
    const StateId key = into.add_state();
    const StateId after = into.add_state();
    into.add_literal(at, json_quoted(member.name), key);
    into.add_call(add_separator(into, key, ':'), rule_of(member.schemas), after);
    into.add_empty(add_separator(into, after, ','), next);
    closes(after);
    at = next;
  }
  const bool is_closed = !node.is_open() || (others.size() == 1 && *others[0].json == Json(false));
  if (is_closed) return;
  const StateId key = into.add_state();
  const StateId after = into.add_state();
  into.add_call(at, other_keys(members, node.path), key);
  into.add_call(add_separator(into, key, ':'), rule_of(others), after);
  into.add_empty(add_separator(into, after, ','), at);
  closes(after);
}

}  // namespace exa::grammar
