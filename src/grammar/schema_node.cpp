#include "grammar/schema_node.h"

#include <algorithm>
#include <charconv>

#include "grammar/json_text.h"
#include "text/utf8.h"

namespace exa::grammar {
namespace {

constexpr std::size_t kMostSchemaDepth = 32;
constexpr std::size_t kMostNodes = 10'000;
constexpr std::size_t kMostAlternatives = 256;
// Paths are for people: beyond these bytes they are cut, so that long keys are not copied to every part
// below.
constexpr std::size_t kLongestStep = 100;
constexpr std::size_t kLongestPath = 1000;
// What copying or comparing one part of a schema costs, in elementary steps.
constexpr std::size_t kStepsOfPart = 16;

[[noreturn]] void fail(const SchemaRef& schema, const std::string& message) {
  throw Error(ErrorKind::kBadInput, message, schema.path);
}

[[noreturn]] void refuse(const SchemaRef& schema, const std::string& message) {
  throw Error(ErrorKind::kUnsupported, message, schema.path);
}

SchemaSet both(const SchemaSet& a, const SchemaSet& b) {
  SchemaSet out = a;
  for (const SchemaRef& schema : b) {
    const auto same = [&](const SchemaRef& other) { return other.json == schema.json; };
    if (std::none_of(out.begin(), out.end(), same)) out.push_back(schema);
  }
  return out;
}

std::string pointer_part(std::string_view key) {
  std::string out;
  std::string_view front = key.substr(0, kLongestStep);
  front.remove_suffix(incomplete_tail(front));
  for (const char c : front) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return front.size() < key.size() ? out + "…" : out;
}

SchemaRef below(const SchemaRef& schema, const Json& json, const std::string& steps) {
  if (schema.path.size() > kLongestPath) return {&json, schema.path};
  return {&json, schema.path + "/" + steps};
}

// How much a node holds: what copying it costs.
std::size_t n_parts(const Node& node) {
  return node.properties.size() + node.required.size() + node.prefix.size() + node.patterns.size() +
         node.formats.size() + (node.values ? node.values->size() : 0);
}

// A count that a keyword gives; 5.0 is one too.
std::uint64_t count_of(const SchemaRef& schema, const std::string& key, const Json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  const double number = value.is_number_float() ? value.get<double>() : -1;
  if (number >= 0 && number <= 1e15 && number == static_cast<double>(static_cast<std::uint64_t>(number))) {
    return static_cast<std::uint64_t>(number);
  }
  fail(schema, "\"" + key + "\": expected a whole number from 0, found " + shown(value));
}

bool is_annotation(const std::string& key) {
  static const char* const kNames[] = {
      "title",       "description",     "default",          "examples",      "example",      "deprecated",
      "readOnly",    "writeOnly",       "$comment",         "$schema",       "$anchor",      "$defs",
      "definitions", "contentEncoding", "contentMediaType", "contentSchema", "discriminator"};
  return std::find(std::begin(kNames), std::end(kNames), key) != std::end(kNames);
}

}  // namespace

const Node::Property* Node::find(const std::string& name) const {
  const auto at = std::find_if(properties.begin(), properties.end(),
                               [&](const Property& property) { return property.name == name; });
  return at == properties.end() ? nullptr : &*at;
}

bool Node::requires_property(const std::string& name) const {
  return std::find(required.begin(), required.end(), name) != required.end();
}

const Json& Schemas::anything() {
  static const Json schema(true);
  return schema;
}

std::vector<Node> Schemas::expand(const SchemaSet& schemas) {
  return expand_set(schemas, 0);
}

std::vector<Node> Schemas::expand_set(const SchemaSet& schemas, std::size_t depth) {
  std::vector<Node> out(1);
  out[0].path = schemas.empty() ? root_path_ : schemas[0].path;
  for (const SchemaRef& schema : schemas) out = products(out, expand_one(schema, depth), schema.path);
  return out;
}

std::vector<Node> Schemas::products(const std::vector<Node>& a, const std::vector<Node>& b,
                                    const std::string& path) {
  std::vector<Node> out;
  for (const Node& left : a) {
    for (const Node& right : b) {
      const std::size_t n_compared =
          left.properties.size() * right.properties.size() + left.required.size() * right.required.size() +
          (left.values && right.values ? left.values->size() * right.values->size() : 0);
      budget_.count_steps(64 + kStepsOfPart * (n_parts(left) + n_parts(right)) + n_compared);
      Node node = merged(left, right);
      if (node.types == 0) continue;
      if (out.size() == kMostAlternatives || ++n_nodes_ > kMostNodes) {
        throw Error(ErrorKind::kUnsupported,
                    "the schema is too large: expected at most " + std::to_string(kMostAlternatives) +
                        " alternatives here and " + std::to_string(kMostNodes) + " in all",
                    path);
      }
      out.push_back(std::move(node));
    }
  }
  return out;
}

std::vector<Node> Schemas::expand_one(const SchemaRef& schema, std::size_t depth) {
  if (depth > kMostSchemaDepth) {
    refuse(schema, "expected schemas that apply in place at most " + std::to_string(kMostSchemaDepth) +
                       " deep, found more (a reference back to itself?)");
  }
  const Json& json = *schema.json;
  if (json.is_boolean()) {
    if (!json.get<bool>()) return {};
    std::vector<Node> out(1);
    out[0].path = schema.path;
    return out;
  }
  if (!json.is_object()) fail(schema, "expected a schema, found " + shown(json));
  std::vector<Node> out{read_keywords(schema)};
  if (out[0].types == 0) return {};
  const auto branches_of = [&](const char* key) {
    const Json& list = json[key];
    if (!list.is_array() || list.empty()) {
      fail(schema, "\"" + std::string(key) + "\": expected schemas in an array, found " + shown(list));
    }
    std::vector<SchemaRef> refs;
    for (std::size_t i = 0; i < list.size(); ++i) {
      refs.push_back(below(schema, list[i], std::string(key) + "/" + std::to_string(i)));
    }
    return refs;
  };
  if (json.contains("$ref")) {
    const Json& reference = json["$ref"];
    if (!reference.is_string()) fail(schema, "\"$ref\": expected a string, found " + shown(reference));
    const SchemaRef target = resolve(schema, reference.get<std::string>());
    out = products(out, expand_one(target, depth + 1), schema.path);
  }
  if (json.contains("allOf")) {
    for (const SchemaRef& part : branches_of("allOf")) {
      out = products(out, expand_one(part, depth + 1), schema.path);
    }
  }
  if (json.contains("anyOf")) {
    std::vector<Node> any;
    for (const SchemaRef& part : branches_of("anyOf")) {
      for (Node& node : expand_one(part, depth + 1)) any.push_back(std::move(node));
    }
    out = products(out, any, schema.path);
  }
  if (json.contains("oneOf")) {
    std::vector<std::vector<Node>> branches;
    for (const SchemaRef& part : branches_of("oneOf")) {
      branches.push_back(products(out, expand_one(part, depth + 1), schema.path));
    }
    require_exclusive(branches, schema.path);
    out.clear();
    for (auto& branch : branches) {
      for (Node& node : branch) out.push_back(std::move(node));
    }
  }
  return out;
}

Node Schemas::read_keywords(const SchemaRef& schema) {
  Node node;
  node.path = schema.path;
  for (const auto& [key, value] : schema.json->items()) {
    budget_.count_steps(kStepsOfPart * (1 + (value.is_structured() ? value.size() : 0)));
    read_keyword({schema, key, value}, node);
  }
  return node;
}

void Schemas::read_type(const Keyword& keyword, Node& node) {
  const auto& [schema, key, value] = keyword;
  unsigned types = 0;
  bool whole = false;
  const auto add = [&](const Json& name) {
    if (!name.is_string()) fail(schema, "\"type\": expected a name, found " + shown(name));
    const auto& text = name.get_ref<const std::string&>();
    if (text == "integer") {
      whole = whole || (types & kNumber) == 0;
      types |= kNumber;
      return;
    }
    static constexpr std::pair<const char*, unsigned> kNames[] = {{"null", kNull},     {"boolean", kBoolean},
                                                                  {"number", kNumber}, {"string", kString},
                                                                  {"array", kArray},   {"object", kObject}};
    for (const auto& [known, bit] : kNames) {
      if (text != known) continue;
      if (bit == kNumber) whole = false;
      types |= bit;
      return;
    }
    fail(schema, "\"type\": expected a JSON type, found " + shown(name));
  };
  if (value.is_array()) {
    if (value.empty()) fail(schema, "\"type\": expected a name, found none");
    for (const Json& name : value) add(name);
  } else {
    add(value);
  }
  node.types &= types;
  node.integer = node.integer || whole;
  node.has_type = true;
}

void Schemas::read_values(const Keyword& keyword, Node& node) {
  const Json& value = keyword.value;
  std::vector<const Json*> values;
  if (keyword.name == "const") {
    values.push_back(&value);
  } else {
    if (!value.is_array() || value.empty()) {
      fail(keyword.schema, "\"enum\": expected values in an array, found " + shown(value));
    }
    for (const Json& one : value) values.push_back(&one);
  }
  if (node.values) {
    budget_.count_steps(kStepsOfPart * values.size());
    std::erase_if(values, [&](const Json* one) {
      return std::none_of(node.values->begin(), node.values->end(),
                          [one](const Json* other) { return *one == *other; });
    });
  }
  node.values = std::move(values);
  node.has_type = true;
}

void Schemas::read_bound(const Keyword& keyword, Node& node) {
  const std::string& name = keyword.name;
  if (!keyword.value.is_number()) {
    fail(keyword.schema, "\"" + name + "\": expected a number, found " + shown(keyword.value));
  }
  const NumberBounds::Bound bound{decimal_of(keyword.value), name.starts_with("exclusive")};
  if (name == "minimum" || name == "exclusiveMinimum") {
    node.number.raise_low(bound);
  } else {
    node.number.lower_high(bound);
  }
}

void Schemas::read_length(const Keyword& keyword, Node& node) {
  const std::uint64_t count = count_of(keyword.schema, keyword.name, keyword.value);
  if (keyword.name == "minLength") node.min_length = std::max(node.min_length, count);
  if (keyword.name == "maxLength") node.max_length = count;
  if (keyword.name == "minItems") node.min_items = count;
  if (keyword.name == "maxItems") node.max_items = count;
}

void Schemas::read_form(const Keyword& keyword, Node& node) {
  if (!keyword.value.is_string()) {
    fail(keyword.schema, "\"" + keyword.name + "\": expected a string, found " + shown(keyword.value));
  }
  (keyword.name == "pattern" ? node.patterns : node.formats)
      .emplace_back(keyword.value.get<std::string>(), keyword.schema.path);
}

void Schemas::read_items(const Keyword& keyword, Node& node) {
  const auto& [schema, name, value] = keyword;
  if (name == "items") {
    if (value.is_array()) refuse(schema, "\"items\" as an array is not supported; \"prefixItems\" is");
    node.items = SchemaSet{below(schema, value, "items")};
    return;
  }
  if (!value.is_array() || value.empty()) {
    fail(schema, "\"" + name + "\": expected schemas in an array, found " + shown(value));
  }
  for (std::size_t i = 0; i < value.size(); ++i) {
    node.prefix.push_back({below(schema, value[i], "prefixItems/" + std::to_string(i))});
  }
}

void Schemas::read_properties(const Keyword& keyword, Node& node) {
  const auto& [schema, name, value] = keyword;
  if (name == "additionalProperties") {
    node.additional = SchemaSet{below(schema, value, name)};
    return;
  }
  if (!value.is_object()) fail(schema, "\"properties\": expected an object, found " + shown(value));
  node.has_properties = true;
  for (const auto& [property_name, property] : value.items()) {
    node.properties.push_back(
        {property_name, {below(schema, property, "properties/" + pointer_part(property_name))}});
  }
}

void Schemas::read_required(const Keyword& keyword, Node& node) {
  const auto& [schema, name, value] = keyword;
  if (!value.is_array()) fail(schema, "\"required\": expected names in an array, found " + shown(value));
  budget_.count_steps(value.size() * value.size() / 2);
  for (const Json& property : value) {
    if (!property.is_string()) fail(schema, "\"required\": expected a name, found " + shown(property));
    if (!node.requires_property(property.get<std::string>())) {
      node.required.push_back(property.get<std::string>());
    }
  }
}

void Schemas::read_keyword(const Keyword& keyword, Node& node) {
  struct Row {
    std::string_view name;
    unsigned hinted;                                    // the types that it speaks about
    void (Schemas::*read)(const Keyword&, Node& node);  // null: expand_one's
  };
  static constexpr Row kRows[] = {
      {"$ref", 0, nullptr},
      {"allOf", 0, nullptr},
      {"anyOf", 0, nullptr},
      {"oneOf", 0, nullptr},
      {"type", 0, &Schemas::read_type},
      {"enum", 0, &Schemas::read_values},
      {"const", 0, &Schemas::read_values},
      {"minimum", kNumber, &Schemas::read_bound},
      {"maximum", kNumber, &Schemas::read_bound},
      {"exclusiveMinimum", kNumber, &Schemas::read_bound},
      {"exclusiveMaximum", kNumber, &Schemas::read_bound},
      {"minLength", kString, &Schemas::read_length},
      {"maxLength", kString, &Schemas::read_length},
      {"pattern", kString, &Schemas::read_form},
      {"format", kString, &Schemas::read_form},
      {"prefixItems", kArray, &Schemas::read_items},
      {"items", kArray, &Schemas::read_items},
      {"minItems", kArray, &Schemas::read_length},
      {"maxItems", kArray, &Schemas::read_length},
      {"properties", kObject, &Schemas::read_properties},
      {"required", kObject, &Schemas::read_required},
      {"additionalProperties", kObject, &Schemas::read_properties},
  };
  const auto& [schema, name, value] = keyword;
  if (is_annotation(name) || (name == "$id" && schema.json == &document_)) return;
  // What demands nothing.
  if (name == "uniqueItems" && value == false) return;
  if ((name == "minProperties" || name == "minContains") && value == 0) return;
  for (const Row& row : kRows) {
    if (row.name != name) continue;
    node.hinted |= row.hinted;
    if (row.read) (this->*row.read)(keyword, node);
    return;
  }
  refuse(schema, "the keyword \"" + name + "\" is not supported");
}

SchemaRef Schemas::resolve(const SchemaRef& schema, const std::string& reference) {
  if (reference.empty() || reference[0] != '#' || (reference.size() > 1 && reference[1] != '/')) {
    refuse(schema,
           "\"$ref\": expected a path inside the schema such as #/$defs/name, found " + shown(reference));
  }
  SchemaRef at{&document_, root_path_};
  std::size_t i = 1;
  while (i < reference.size()) {
    const std::size_t end = std::min(reference.find('/', i + 1), reference.size());
    std::string step;
    for (++i; i < end; ++i) {
      const char c = reference[i];
      unsigned byte = 0;
      if (c == '%') {
        const auto [after, error] =
            std::from_chars(reference.data() + i + 1, reference.data() + std::min(i + 3, end), byte, 16);
        if (error != std::errc() || after != reference.data() + i + 3) {
          fail(schema, "\"$ref\": expected two digits after %, found " + shown(reference));
        }
        step += static_cast<char>(byte);
        i += 2;
      } else {
        step += c;
      }
    }
    std::string name;
    for (std::size_t k = 0; k < step.size(); ++k) {
      if (step[k] == '~' && k + 1 < step.size() && (step[k + 1] == '0' || step[k + 1] == '1')) {
        name += step[++k] == '0' ? '~' : '/';
      } else {
        name += step[k];
      }
    }
    const Json* next = nullptr;
    if (at.json->is_object()) {
      const auto found = at.json->find(name);
      if (found != at.json->end()) next = &*found;
    } else if (at.json->is_array()) {
      std::size_t index = 0;
      const auto [after, error] = std::from_chars(name.data(), name.data() + name.size(), index);
      if (error == std::errc() && after == name.data() + name.size() && index < at.json->size()) {
        next = &(*at.json)[index];
      }
    }
    if (!next) fail(schema, "\"$ref\": expected a path that exists, found " + shown(reference));
    at = below(at, *next, pointer_part(name));
  }
  return at;
}

Node Schemas::merged(const Node& a, const Node& b) {
  Node out = a;
  out.types &= b.types;
  out.integer = a.integer || b.integer;
  out.has_type = a.has_type || b.has_type;
  out.hinted |= b.hinted;
  if (b.values) {
    if (!a.values) {
      out.values = b.values;
    } else {
      std::erase_if(*out.values, [&](const Json* one) {
        return std::none_of(b.values->begin(), b.values->end(),
                            [one](const Json* other) { return *one == *other; });
      });
    }
  }
  if (out.values && out.values->empty()) out.types = 0;
  if (b.number.low) out.number.raise_low(*b.number.low);
  if (b.number.high) out.number.lower_high(*b.number.high);

  const auto smaller = [](const auto& x, const auto& y) { return !x ? y : !y ? x : std::min(x, y); };
  out.min_length = std::max(a.min_length, b.min_length);
  out.max_length = smaller(a.max_length, b.max_length);
  out.patterns.insert(out.patterns.end(), b.patterns.begin(), b.patterns.end());
  out.formats.insert(out.formats.end(), b.formats.begin(), b.formats.end());

  out.min_items = std::max(a.min_items, b.min_items);
  out.max_items = smaller(a.max_items, b.max_items);
  out.prefix.resize(std::max(a.prefix.size(), b.prefix.size()));
  for (std::size_t i = 0; i < out.prefix.size(); ++i) {
    const auto item = [i](const Node& node) {
      return i < node.prefix.size() ? node.prefix[i] : node.items.value_or(SchemaSet());
    };
    out.prefix[i] = both(item(a), item(b));
  }
  if (b.items) out.items = a.items ? both(*a.items, *b.items) : *b.items;

  out.has_properties = a.has_properties || b.has_properties;
  for (Node::Property& property : out.properties) {
    if (const Node::Property* other = b.find(property.name)) {
      property.schemas = both(property.schemas, other->schemas);
    } else if (b.additional) {
      property.schemas = both(property.schemas, *b.additional);
    }
  }
  for (const Node::Property& property : b.properties) {
    if (a.find(property.name)) continue;
    out.properties.push_back(property);
    if (a.additional) out.properties.back().schemas = both(*a.additional, property.schemas);
  }
  if (b.additional) out.additional = a.additional ? both(*a.additional, *b.additional) : *b.additional;
  for (const std::string& name : b.required) {
    if (!out.requires_property(name)) out.required.push_back(name);
  }
  return out;
}

}  // namespace exa::grammar
