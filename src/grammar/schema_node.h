// JSON Schema, understood: a set of schemas that hold together becomes alternatives without references.
//
// Ownership and threads: a Schemas object borrows the parsed document and serves one compilation, on one
// thread. Source: JSON Schema 2020-12 core and validation.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "grammar/json_numbers.h"

namespace exa::grammar {

using Json = nlohmann::ordered_json;

// A schema inside the document; path: "#/properties/a".
struct SchemaRef {
  const Json* json;
  std::string path;
};

// Schemas that all hold; none: anything.
using SchemaSet = std::vector<SchemaRef>;

constexpr unsigned kNull = 1;
constexpr unsigned kBoolean = 2;
constexpr unsigned kNumber = 4;
constexpr unsigned kString = 8;
constexpr unsigned kArray = 16;
constexpr unsigned kObject = 32;
constexpr unsigned kAllTypes = 63;

// One way to satisfy a set of schemas.
struct Node {
  std::string path;
  unsigned types = kAllTypes;
  bool integer = false;   // numbers are whole
  bool has_type = false;  // "type", "enum" or "const" said which
  unsigned hinted = 0;    // types that other keywords speak about

  std::optional<std::vector<const Json*>> values;  // of "enum" and "const"
  NumberBounds number;

  std::uint64_t min_length = 0;
  std::optional<std::uint64_t> max_length;
  std::vector<std::pair<std::string, std::string>> patterns;  // and their paths
  std::vector<std::pair<std::string, std::string>> formats;

  std::vector<SchemaSet> prefix;   // of the first items
  std::optional<SchemaSet> items;  // of the others; unset: anything
  std::uint64_t min_items = 0;
  std::optional<std::uint64_t> max_items;

  struct Property {
    std::string name;
    SchemaSet schemas;
  };
  bool has_properties = false;  // the keyword was there
  std::vector<Property> properties;
  std::vector<std::string> required;
  std::optional<SchemaSet> additional;  // unset: the keyword was not there

  // What is generated: where no type is said, the types that the keywords speak about.
  unsigned made_types() const { return !has_type && hinted != 0 ? types & hinted : types; }
  // Properties that are not named are generated only where the schema speaks of them or of none at all.
  bool is_open() const { return additional.has_value() || !has_properties; }
  const Property* find(const std::string& name) const;
  bool requires_property(const std::string& name) const;
};

class Schemas {
 public:
  // The document's root is what "#" refers to; root_path stands for it in paths.
  Schemas(const Json& document, std::string root_path, Budget& budget)
      : document_(document), root_path_(std::move(root_path)), budget_(budget) {}

  // The alternatives. Errors: kBadInput, kUnsupported naming the keyword; where: its schema's path.
  std::vector<Node> expand(const SchemaSet& schemas);
  // What strings of the node decode to; deterministic. Length only where it is not implied.
  Automaton decoded_strings(const Node& node);
  // A value against what is understood of the schemas, as JSON Schema has it.
  bool satisfies(const Json& value, const Node& node);

  static const Json& anything();

 private:
  std::vector<Node> expand_one(const SchemaRef& schema, std::size_t depth);
  std::vector<Node> expand_set(const SchemaSet& schemas, std::size_t depth);
  Node read_keywords(const SchemaRef& schema);
  // A keyword where it stands.
  struct Keyword {
    const SchemaRef& schema;
    const std::string& name;
    const Json& value;
  };
  void read_keyword(const Keyword& keyword, Node& node);
  void read_type(const Keyword& keyword, Node& node);
  void read_values(const Keyword& keyword, Node& node);      // enum, const
  void read_bound(const Keyword& keyword, Node& node);       // minimum, exclusiveMaximum, …
  void read_length(const Keyword& keyword, Node& node);      // of strings and arrays
  void read_form(const Keyword& keyword, Node& node);        // pattern, format
  void read_items(const Keyword& keyword, Node& node);       // and prefixItems
  void read_properties(const Keyword& keyword, Node& node);  // and additionalProperties
  void read_required(const Keyword& keyword, Node& node);
  SchemaRef resolve(const SchemaRef& schema, const std::string& reference);
  Node merged(const Node& a, const Node& b);
  std::vector<Node> products(const std::vector<Node>& a, const std::vector<Node>& b, const std::string& path);
  void require_exclusive(const std::vector<std::vector<Node>>& branches, const std::string& path);
  // Nothing generated for `made` satisfies `other`: proved, or false.
  bool are_apart(const Node& made, const Node& other, std::size_t depth);
  bool objects_apart(const Node& made, const Node& other, std::size_t depth);
  bool satisfies_any(const Json& value, const SchemaSet& schemas);

  const Json& document_;
  std::string root_path_;
  Budget& budget_;
  std::size_t n_nodes_ = 0;
};

}  // namespace exa::grammar
