#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "jinja/filters.h"
#include "jinja/lex.h"
#include "jinja/text.h"

namespace exa::jinja {

namespace {

using Test = bool (*)(Engine& engine, const Value& subject, const Args& args);

template <bool (*predicate)(const Value&)>
bool plain(Engine&, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "test", {});
  return predicate(subject);
}

template <Operator op>
bool compared(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "test", {"other"});
  return compare(engine, op, subject, bound.need(0));
}

Value remainder(Engine& engine, const Value& subject, const Value& by) {
  return arithmetic(engine, Operator::kModulo, subject, by);
}

bool test_odd(Engine& engine, const Value& subject, const Args&) {
  return equal(remainder(engine, subject, Value(Int(2))), Value(Int(1)), engine.budget);
}
bool test_even(Engine& engine, const Value& subject, const Args&) {
  return equal(remainder(engine, subject, Value(Int(2))), Value(Int(0)), engine.budget);
}
bool test_divisible(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "test_divisibleby", {"num"});
  return equal(remainder(engine, subject, bound.need(0)), Value(Int(0)), engine.budget);
}
bool test_sameas(Engine&, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "test_sameas", {"other"});
  return subject.same_object(bound.need(0));
}
bool test_in(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "test_in", {"seq"});
  return contains(engine, bound.need(0), subject);
}

bool is_defined(const Value& v) {
  return !v.is_undefined();
}
bool is_undefined(const Value& v) {
  return v.is_undefined();
}
bool is_none(const Value& v) {
  return v.is_none();
}
bool is_boolean(const Value& v) {
  return v.boolean() != nullptr;
}
bool is_true(const Value& v) {
  return v.boolean() && *v.boolean();
}
bool is_false(const Value& v) {
  return v.boolean() && !*v.boolean();
}
bool is_integer(const Value& v) {
  return v.integer() != nullptr;
}
bool is_float(const Value& v) {
  return v.real() != nullptr;
}
bool is_number(const Value& v) {
  return v.is_number();
}
bool is_string(const Value& v) {
  return v.is_string();
}
bool is_mapping(const Value& v) {
  return v.dict() != nullptr;
}
bool is_callable(const Value& v) {
  if (v.callable()) return v.callable()->kind != CallableKind::kCycler;
  return v.loop() || v.is_undefined();
}
bool is_escaped(const Value& v) {
  return v.text() && v.text()->markup();
}
bool is_iterable(const Value& v) {
  return v.text() || v.seq() || v.dict() || v.is_undefined() || v.loop();
}
bool is_sequence(const Value& v) {
  if (const Seq* seq = v.seq()) {
    return seq->kind() == SeqKind::kList || seq->kind() == SeqKind::kTuple || seq->kind() == SeqKind::kRange;
  }
  return v.text() || v.dict() || v.is_undefined();
}

// str.islower and str.isupper: at least one cased letter, and none of the other case.
bool has_case(Engine& engine, const Value& subject, bool upper) {
  const TextPtr text = to_text(engine, subject);
  engine.budget.burn_read(text->bytes().size());
  bool cased = false;
  for (std::size_t at = 0; at < text->bytes().size();) {
    const CodePoint point = code_point_at(text->bytes(), at);
    if (upper ? is_lower(point.value) : is_upper(point.value)) return false;
    cased = cased || is_upper(point.value) || is_lower(point.value);
    at += point.size;
  }
  return cased;
}
bool test_lower(Engine& engine, const Value& subject, const Args&) {
  return has_case(engine, subject, false);
}
bool test_upper(Engine& engine, const Value& subject, const Args&) {
  return has_case(engine, subject, true);
}

bool test_filter(Engine&, const Value& subject, const Args&) {
  return subject.text() && filter_exists(subject.text()->bytes());
}
bool test_test(Engine& engine, const Value& subject, const Args& args);

const std::unordered_map<std::string_view, Test>& tests() {
  static const std::unordered_map<std::string_view, Test> kTests = {
      {"defined", plain<is_defined>},
      {"undefined", plain<is_undefined>},
      {"none", plain<is_none>},
      {"boolean", plain<is_boolean>},
      {"true", plain<is_true>},
      {"false", plain<is_false>},
      {"integer", plain<is_integer>},
      {"float", plain<is_float>},
      {"number", plain<is_number>},
      {"string", plain<is_string>},
      {"mapping", plain<is_mapping>},
      {"callable", plain<is_callable>},
      {"escaped", plain<is_escaped>},
      {"iterable", plain<is_iterable>},
      {"sequence", plain<is_sequence>},
      {"odd", test_odd},
      {"even", test_even},
      {"divisibleby", test_divisible},
      {"sameas", test_sameas},
      {"in", test_in},
      {"lower", test_lower},
      {"upper", test_upper},
      {"filter", test_filter},
      {"test", test_test},
      {"==", compared<Operator::kEqual>},
      {"eq", compared<Operator::kEqual>},
      {"equalto", compared<Operator::kEqual>},
      {"!=", compared<Operator::kNotEqual>},
      {"ne", compared<Operator::kNotEqual>},
      {">", compared<Operator::kGreater>},
      {"gt", compared<Operator::kGreater>},
      {"greaterthan", compared<Operator::kGreater>},
      {">=", compared<Operator::kGreaterEqual>},
      {"ge", compared<Operator::kGreaterEqual>},
      {"<", compared<Operator::kLess>},
      {"lt", compared<Operator::kLess>},
      {"lessthan", compared<Operator::kLess>},
      {"<=", compared<Operator::kLessEqual>},
      {"le", compared<Operator::kLessEqual>},
  };
  return kTests;
}

bool test_test(Engine&, const Value& subject, const Args&) {
  return subject.text() && tests().count(subject.text()->bytes()) != 0;
}

// Jinja2 has these; a chat template has never been seen with one.
constexpr std::string_view kUnsupportedFilters[] = {"filesizeformat", "groupby",   "pprint",
                                                    "random",         "striptags", "urlencode",
                                                    "urlize",         "wordwrap",  "xmlattr"};

[[noreturn]] void fail_unsupported_filter(const std::string& name, std::string where) {
  throw Error(ErrorKind::kUnsupported, "the filter '" + name + "' in a chat template", std::move(where));
}

bool is_unsupported_filter(std::string_view name) {
  return std::find(std::begin(kUnsupportedFilters), std::end(kUnsupportedFilters), name) !=
         std::end(kUnsupportedFilters);
}

}  // namespace

void check_builtin(bool filter, const std::string& name, std::uint32_t line) {
  if (filter ? filter_exists(name) : tests().count(name) != 0) return;
  if (filter && is_unsupported_filter(name)) {
    fail_unsupported_filter(name, "template: line " + std::to_string(line));
  }
  fail_syntax(std::string("No ") + (filter ? "filter" : "test") + " named " + repr_string(name) + ".", line);
}

bool test_exists(std::string_view name) {
  return tests().count(name) != 0;
}

void fail_missing_filter(const std::string& name) {
  if (is_unsupported_filter(name)) fail_unsupported_filter(name, "");
  fail("No filter named " + repr_string(name) + " found.");
}

bool apply_test(Engine& engine, const std::string& name, const Value& subject, const Args& args) {
  const auto found = tests().find(name);
  if (found == tests().end()) fail("No test named " + repr_string(name) + " found.");
  return found->second(engine, subject, args);
}

}  // namespace exa::jinja
