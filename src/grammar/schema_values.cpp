// Values and strings against an understood schema: for "enum", "const" and the proofs of "oneOf".
#include <algorithm>
#include <cmath>

#include "grammar/formats.h"
#include "grammar/json_text.h"
#include "grammar/regex.h"
#include "grammar/schema_node.h"

namespace exa::grammar {
namespace {

constexpr std::size_t kMostProofDepth = 6;

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
  budget_.count_steps(16 + (node.values ? node.values->size() : 0) + node.required.size());
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

void Schemas::require_exclusive(const std::vector<std::vector<Node>>& branches, const std::string& path) {
  for (std::size_t i = 0; i < branches.size(); ++i) {
    for (std::size_t j = 0; j < branches.size(); ++j) {
      if (i == j) continue;
      for (const Node& made : branches[i]) {
        for (const Node& other : branches[j]) {
          if (are_apart(made, other, 0)) continue;
          throw Error(ErrorKind::kUnsupported,
                      "\"oneOf\": expected branches that exclude one another by type, values or required "
                      "properties; cannot tell " +
                          std::to_string(std::min(i, j)) + " and " + std::to_string(std::max(i, j)) +
                          " apart (\"anyOf\" needs no proof)",
                      path);
        }
      }
    }
  }
}

bool Schemas::are_apart(const Node& made, const Node& other, std::size_t depth) {
  budget_.count_steps(100);
  if (depth > kMostProofDepth) return false;
  if (made.values) {
    return std::none_of(made.values->begin(), made.values->end(), [&](const Json* value) {
      return satisfies(*value, made) && satisfies(*value, other);
    });
  }
  if (other.values) {
    return std::none_of(other.values->begin(), other.values->end(), [&](const Json* value) {
      return satisfies(*value, made) && satisfies(*value, other);
    });
  }
  const unsigned types = made.made_types() & other.types;
  if ((types & (kNull | kBoolean)) != 0) return false;
  if ((types & kNumber) != 0 && !made.number.are_apart(other.number)) return false;
  if ((types & kString) != 0) {
    const auto range_apart = [](const Node& a, const Node& b) {
      return a.max_length && *a.max_length < b.min_length;
    };
    if (!range_apart(made, other) && !range_apart(other, made) &&
        !is_empty(intersect(decoded_strings(made), decoded_strings(other)))) {
      return false;
    }
  }
  if ((types & kArray) != 0) {
    const auto range_apart = [](const Node& a, const Node& b) {
      return a.max_items && *a.max_items < b.min_items;
    };
    if (!range_apart(made, other) && !range_apart(other, made)) return false;
  }
  return (types & kObject) == 0 || objects_apart(made, other, depth);
}

bool Schemas::objects_apart(const Node& made, const Node& other, std::size_t depth) {
  const auto schemas_of = [](const Node& node, const std::string& name) {
    const Node::Property* property = node.find(name);
    return property ? property->schemas : node.additional.value_or(SchemaSet());
  };
  for (const std::string& name : other.required) {
    if (!made.find(name) && !made.requires_property(name) && !made.is_open()) return true;
    if (!made.requires_property(name)) continue;
    const std::vector<Node> ours = expand(schemas_of(made, name));
    const std::vector<Node> theirs = expand(schemas_of(other, name));
    const bool apart = std::all_of(ours.begin(), ours.end(), [&](const Node& a) {
      return std::all_of(theirs.begin(), theirs.end(),
                         [&](const Node& b) { return are_apart(a, b, depth + 1); });
    });
    if (apart) return true;
  }
  for (const std::string& name : made.required) {
    if (!other.find(name) && other.additional && expand(*other.additional).empty()) return true;
  }
  return false;
}

}  // namespace exa::grammar
