// Values and strings against an understood schema: for "enum", "const" and the proofs of "oneOf".
#include <algorithm>
#include <cmath>

#include "chat/grammar/formats.h"
#include "chat/grammar/json_text.h"
#include "chat/grammar/regex.h"
#include "chat/grammar/schema_node.h"

namespace exa::grammar {
namespace {

std::uint64_t count_characters(const std::string& text) {
  return static_cast<std::uint64_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

unsigned type_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return kNull;
    case Json::value_t::boolean:
      return kBoolean;
    case Json::value_t::string:
      return kString;
    case Json::value_t::array:
      return kArray;
    case Json::value_t::object:
      return kObject;
    default:
      return kNumber;
  }
}

Automaton texts_of_length(std::uint64_t fewest, std::optional<std::uint64_t> most, Budget& budget) {
  Automaton out(budget);
  StateId at = Automaton::kStart;
  for (std::uint64_t i = 0;; ++i) {
    out.states[at].accepts = i >= fewest;
    if (most ? i == *most : i >= fewest) break;
    const StateId next = out.add_state();
    out.add_code_points(at, CodePointSet::all(), next);
    at = next;
  }
  if (!most) out.add_code_points(at, CodePointSet::all(), at);
  return determinize(out);
}

}  // namespace

Automaton Schemas::decoded_strings(const Node& node) {
  std::optional<Automaton> out;
  const auto narrow = [&](const Automaton& more) { out = out ? intersect(*out, more) : more; };
  for (const auto& [pattern, path] : node.patterns) {
    budget_.set_place(path + "/pattern");
    narrow(search_match(pattern, budget_));
  }
  for (const auto& [format, path] : node.formats) {
    budget_.set_place(path);
    const auto automaton = format_automaton(format, budget_);
    if (!automaton) {
      throw Error(ErrorKind::kUnsupported,
                  "\"format\": expected " + std::string(format_names()) + ", found " + shown(format), path);
    }
    narrow(*automaton);
  }
  if (out) {
    if (is_empty(*out)) return *out;
    const LengthRange range = count_code_points(*out);
    const bool implied = range.fewest >= node.min_length &&
                         (!node.max_length || (range.most && *range.most <= *node.max_length));
    if (implied) return *out;
    // A bound beyond what the others allow costs nothing.
    std::optional<std::uint64_t> most = node.max_length;
    if (most && range.most && *range.most <= *most) most.reset();
    budget_.set_place(node.path);
    return intersect(*out, texts_of_length(node.min_length, most, budget_));
  }
  budget_.set_place(node.path);
  return texts_of_length(node.min_length, node.max_length, budget_);
}

bool Schemas::satisfies(const Json& value, const Node& node) {
  budget_.count_steps(16);
  const unsigned type = type_of(value);
  if ((node.types & type) == 0) return false;
  if (node.values && std::none_of(node.values->begin(), node.values->end(),
                                  [&](const Json* one) { return *one == value; })) {
    return false;
  }
  switch (type) {
    case kNumber: {
      const Decimal decimal = decimal_of(value);
      return (!node.integer || decimal.fraction.empty()) && node.number.holds(decimal);
    }
    case kString: {
      const auto& text = value.get_ref<const std::string&>();
      const std::uint64_t length = count_characters(text);
      if (length < node.min_length || (node.max_length && length > *node.max_length)) return false;
      if (node.patterns.empty() && node.formats.empty()) return true;
      Node without_length = node;
      without_length.min_length = 0;
      without_length.max_length.reset();
      return matches(decoded_strings(without_length), text);
    }
    case kArray: {
      if (value.size() < node.min_items || (node.max_items && value.size() > *node.max_items)) return false;
      for (std::size_t i = 0; i < value.size(); ++i) {
        const SchemaSet schemas = i < node.prefix.size() ? node.prefix[i] : node.items.value_or(SchemaSet());
        if (!satisfies_any(value[i], schemas)) return false;
      }
      return true;
    }
    case kObject: {
      for (const std::string& name : node.required) {
        if (!value.contains(name)) return false;
      }
      for (const auto& [name, part] : value.items()) {
        const Node::Property* property = node.find(name);
        if (!satisfies_any(part, property ? property->schemas : node.additional.value_or(SchemaSet())))
          return false;
      }
      return true;
    }
    default:
      return true;
  }
}

bool Schemas::satisfies_any(const Json& value, const SchemaSet& schemas) {
  const std::vector<Node> nodes = expand(schemas);
  return std::any_of(nodes.begin(), nodes.end(), [&](const Node& node) { return satisfies(value, node); });
}

}  // namespace exa::grammar
