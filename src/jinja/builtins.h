// The closed lists of what a template can name: filters, tests, global functions, methods of values.
//
// Ownership and threads: free functions; an Engine (one render) carries budget and callbacks.
// Source: Jinja2 3.1's filters, tests and globals as transformers sets them up; Python 3.11's methods of str,
// dict, list and tuple. Whatever is known there but missing here is kUnsupported by name.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "jinja/call.h"
#include "jinja/value.h"

namespace exa::jinja {

// What built-ins need from the renderer that runs them.
class Engine {
 public:
  virtual Value call(const Value& callee, Args args) = 0;
  // Lives until the render ends, so that namespaces may hold each other.
  virtual NamespacePtr new_namespace() = 0;
  Budget budget;

 protected:
  ~Engine() = default;
};

// Parse time. Errors: kBadInput "No filter named 'x'." at the line; kUnsupported.
void check_builtin(bool filter, const std::string& name, std::uint32_t line);

Value apply_filter(Engine& engine, const std::string& name, const Value& subject, const Args& args);
bool apply_test(Engine& engine, const std::string& name, const Value& subject, const Args& args);

// Callable for a global name; nothing where there is none.
std::optional<Value> find_global(Engine& engine, std::string_view name);
Value call_global(Engine& engine, const std::string& name, const Args& args);
// Errors: kBadInput for names that begin with an underscore.
void set_namespace_attribute(Namespace& names, const std::string& attribute, Value value);
Value call_state(Engine& engine, const Callable& callable, const Args& args);  // cycler and joiner

// Python's getattr for the attributes that values have beside their keys (methods); nothing where there is
// none. A method that would change a list or dict, or a dunder, is an Undefined that says so.
std::optional<Value> find_attribute(Engine& engine, const Value& object, std::string_view name);
// Whether object has the method and a template may call it.
bool has_method(const Value& object, std::string_view name);
Value call_method(Engine& engine, const Value& self, const std::string& name, const Args& args);
Value call_text_method(Engine& engine, const Text& self, const Value& self_value, const std::string& name,
                       const Args& args);

// object.name and object[key], as Jinja2 looks them up: never fails but on undefined objects.
Value get_attribute(Engine& engine, const Value& object, const std::string& name);
Value get_item(Engine& engine, const Value& object, const Value& key);
// Errors: kBadInput in Python's words.
Value get_slice(Engine& engine, const Value& object, const Value& start, const Value& stop,
                const Value& step);

// a OP b for + - * / // % **, comparison, membership.
Value arithmetic(Engine& engine, Operator op, const Value& a, const Value& b);
bool compare(Engine& engine, Operator op, const Value& a, const Value& b);
bool contains(Engine& engine, const Value& container, const Value& item);
Value negate(Engine& engine, const Value& value, bool minus);

// json.dumps. indent: nothing for one line.
struct JsonStyle {
  bool ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
std::string to_json(Engine& engine, const Value& value, const JsonStyle& style);

// "%s" % values and "{}".format(values).
TextPtr format_percent(Engine& engine, const Text& format, const Value& values);
TextPtr format_braces(Engine& engine, const Text& format, const Args& args);
// Text of a number by a format specification such as ".2f" or "05d"; also strings with widths.
std::string format_spec(const Value& value, std::string_view spec);

// HTML escaping of |escape, of Markup + text.
TextPtr escape_html(Engine& engine, const Value& value);
// Numbers written in text, as Python's int() and float() read them.
std::optional<Int> parse_int(std::string_view text, int base);
std::optional<double> parse_float(std::string_view text);

// A new text from the bytes with the origin of the text they were made of.
Value derived_text(Engine& engine, const Text& source, std::string bytes);
// str(value)
TextPtr to_text(Engine& engine, const Value& value);
Value undefined_hint(Engine& engine, std::string hint);

}  // namespace exa::jinja
