#include <algorithm>
#include <array>

#include "base/error.h"
#include "jinja/builtins.h"
#include "jinja/text.h"

namespace exa::jinja {

namespace {

using Names = std::string_view;

// Public attributes of Python 3.11's types, found before keys; a template gets them as methods.
constexpr std::array kTextMethods = {
    Names("capitalize"),   Names("casefold"),     Names("center"),       Names("count"),
    Names("encode"),       Names("endswith"),     Names("expandtabs"),   Names("find"),
    Names("format"),       Names("format_map"),   Names("index"),        Names("isalnum"),
    Names("isalpha"),      Names("isascii"),      Names("isdecimal"),    Names("isdigit"),
    Names("isidentifier"), Names("islower"),      Names("isnumeric"),    Names("isprintable"),
    Names("isspace"),      Names("istitle"),      Names("isupper"),      Names("join"),
    Names("ljust"),        Names("lower"),        Names("lstrip"),       Names("maketrans"),
    Names("partition"),    Names("removeprefix"), Names("removesuffix"), Names("replace"),
    Names("rfind"),        Names("rindex"),       Names("rjust"),        Names("rpartition"),
    Names("rsplit"),       Names("rstrip"),       Names("split"),        Names("splitlines"),
    Names("startswith"),   Names("strip"),        Names("swapcase"),     Names("title"),
    Names("translate"),    Names("upper"),        Names("zfill")};
constexpr std::array kDictMethods = {Names("copy"),  Names("fromkeys"), Names("get"),
                                     Names("items"), Names("keys"),     Names("values")};
constexpr std::array kDictChanges = {Names("clear"), Names("pop"), Names("popitem"), Names("setdefault"),
                                     Names("update")};
constexpr std::array kListMethods = {Names("copy"), Names("count"), Names("index")};
constexpr std::array kListChanges = {Names("append"), Names("clear"),  Names("extend"),  Names("insert"),
                                     Names("pop"),    Names("remove"), Names("reverse"), Names("sort")};
constexpr std::array kTupleMethods = {Names("count"), Names("index")};
constexpr std::array kLoopMethods = {Names("cycle"), Names("changed")};
constexpr std::array kCyclerMethods = {Names("next"), Names("reset")};
constexpr std::array kIntMethods = {Names("bit_length"), Names("bit_count"), Names("conjugate")};
constexpr std::array kFloatMethods = {Names("is_integer"), Names("conjugate"), Names("hex")};

template <typename List>
bool listed(const List& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

bool changes(const Value& object, std::string_view name) {
  if (object.dict()) return listed(kDictChanges, name);
  return object.seq() && object.seq()->kind() == SeqKind::kList && listed(kListChanges, name);
}

}  // namespace

bool has_method(const Value& object, std::string_view name) {
  if (object.text()) return listed(kTextMethods, name);
  if (object.dict()) return listed(kDictMethods, name);
  if (object.integer()) return listed(kIntMethods, name);
  if (object.real()) return listed(kFloatMethods, name);
  if (object.loop()) return listed(kLoopMethods, name);
  if (const Callable* callable = object.callable()) {
    return callable->kind == CallableKind::kCycler && listed(kCyclerMethods, name);
  }
  const Seq* seq = object.seq();
  if (!seq) return false;
  if (seq->kind() == SeqKind::kList) return listed(kListMethods, name);
  return (seq->kind() == SeqKind::kTuple || seq->kind() == SeqKind::kRange) && listed(kTupleMethods, name);
}

std::optional<Value> find_attribute(Engine& engine, const Value& object, std::string_view name) {
  const bool dunder = name.size() > 4 && name.substr(0, 2) == "__" && name.substr(name.size() - 2) == "__";
  if (dunder || changes(object, name)) {
    return undefined_hint(engine, "access to attribute " + repr_string(name) + " of " +
                                      repr_string(type_name(object)) + " object is unsafe.");
  }
  if (has_method(object, name)) {
    return Value(CallablePtr(
        std::make_shared<const Callable>(&engine.budget, CallableKind::kMethod, object, std::string(name))));
  }
  if (Loop* loop = object.loop()) return loop->attribute(name, engine.budget);
  if (const Namespace* names = object.name_space()) {
    const Value* value = names->find(name);
    return value ? std::optional<Value>(*value) : std::nullopt;
  }
  if (const Callable* callable = object.callable()) {
    if (callable->kind == CallableKind::kMacro && name == "name") {
      return Value(make_text(&engine.budget, callable->name, TextOrigin::kTemplate));
    }
    if (callable->kind == CallableKind::kCycler && name == "current") {
      const auto& items = callable->self.seq()->items();
      return items[callable->position];
    }
  }
  if (object.seq() && object.seq()->kind() == SeqKind::kRange) {
    const auto& range = static_cast<const Range&>(*object.seq());
    if (name == "start") return Value(range.start);
    if (name == "stop") return Value(range.stop);
    if (name == "step") return Value(range.step);
  }
  if (object.is_integral() && (name == "real" || name == "numerator")) return Value(object.as_int());
  if (object.is_integral() && name == "imag") return Value(Int(0));
  if (object.is_integral() && name == "denominator") return Value(Int(1));
  return std::nullopt;
}

Value undefined_hint(Engine& engine, std::string hint) {
  return Value(UndefinedPtr(std::make_shared<const Undefined>(&engine.budget, std::move(hint))));
}

namespace {

Value undefined_of(Engine& engine, const Value& object, const Value& key) {
  TextBuilder name(&engine.budget);
  append_repr(name, key);
  return Value(UndefinedPtr(std::make_shared<const Undefined>(&engine.budget, object_name(object),
                                                              name.take_bytes(), key.is_string())));
}

// object[key] of Python where it does not raise; nothing where it does.
std::optional<Value> subscript(Engine& engine, const Value& object, const Value& key) {
  if (const Dict* dict = object.dict()) {
    if ((key.seq() && key.seq()->kind() != SeqKind::kTuple) || key.dict()) return std::nullopt;
    engine.budget.burn(dict->size() < 16 ? dict->size() / 8 : 1);
    const Value* value = dict->find(key);
    return value ? std::optional<Value>(*value) : std::nullopt;
  }
  if (!key.is_integral()) return std::nullopt;
  Int index = key.as_int();
  if (const Text* text = object.text()) {
    const auto size = static_cast<Int>(text->length());
    if (index < 0) index += size;
    if (index < 0 || index >= size) return std::nullopt;
    if (!text->ascii()) engine.budget.burn(static_cast<std::size_t>(index) / 8);
    const std::size_t begin = text->byte_offset(static_cast<std::size_t>(index));
    return Value(sub_text(&engine.budget, *text, begin, next_code_point(text->bytes(), begin)));
  }
  const Seq* seq = object.seq();
  if (!seq ||
      (seq->kind() != SeqKind::kList && seq->kind() != SeqKind::kTuple && seq->kind() != SeqKind::kRange)) {
    return std::nullopt;
  }
  const auto size = static_cast<Int>(seq->size());
  if (index < 0) index += size;
  if (index < 0 || index >= size) return std::nullopt;
  return seq->items()[static_cast<std::size_t>(index)];
}

}  // namespace

Value get_attribute(Engine& engine, const Value& object, const std::string& name) {
  if (object.is_undefined()) fail(object.undefined()->message());
  if (std::optional<Value> found = find_attribute(engine, object, name)) return std::move(*found);
  if (const Dict* dict = object.dict()) {
    engine.budget.burn(dict->size() < 16 ? dict->size() / 8 : 1);
    if (const Value* value = dict->find(name)) return *value;
  }
  return Value(UndefinedPtr(
      std::make_shared<const Undefined>(&engine.budget, object_name(object), repr_string(name), true)));
}

Value get_item(Engine& engine, const Value& object, const Value& key) {
  if (object.is_undefined()) fail(object.undefined()->message());
  if (std::optional<Value> found = subscript(engine, object, key)) return std::move(*found);
  if (const Text* name = key.text()) {
    if (std::optional<Value> found = find_attribute(engine, object, name->bytes())) return std::move(*found);
  }
  return undefined_of(engine, object, key);
}

Value get_slice(Engine& engine, const Value& object, const Value& start, const Value& stop,
                const Value& step) {
  if (object.is_undefined()) fail(object.undefined()->message());
  const Text* text = object.text();
  const Seq* seq = object.seq();
  if (object.dict()) fail("unhashable type: 'slice'");
  const bool sliced = seq && (seq->kind() == SeqKind::kList || seq->kind() == SeqKind::kTuple ||
                              seq->kind() == SeqKind::kRange);
  if (!text && !sliced) fail("'" + type_name(object) + "' object is not subscriptable");
  const auto index = [](const Value& value, Int otherwise) {
    if (value.is_none()) return otherwise;
    if (!value.is_integral()) fail("slice indices must be integers or None or have an __index__ method");
    return value.as_int();
  };
  const auto size = static_cast<Int>(text ? text->length() : seq->size());
  const Int by = index(step, 1);
  if (by == 0) fail("slice step cannot be zero");
  const Int lowest = by > 0 ? 0 : -1;
  const Int highest = by > 0 ? size : size - 1;
  const auto place = [&](const Value& value, Int otherwise) {
    if (value.is_none()) return otherwise;
    const Int given = index(value, 0);
    return std::clamp(given < 0 ? given + size : given, lowest, highest);
  };
  const Int from = place(start, by > 0 ? 0 : size - 1);
  const Int to = place(stop, by > 0 ? size : -1);
  const auto more = [&](Int at) { return by > 0 ? at < to : at > to; };
  if (text && by == 1) {
    if (from >= to) return Value(make_text(&engine.budget, "", TextOrigin::kTemplate, text->markup()));
    if (!text->ascii()) engine.budget.burn(static_cast<std::size_t>(from + (to < size ? to : 0)) / 8);
    const std::size_t begin = text->byte_offset(static_cast<std::size_t>(from));
    return Value(sub_text(&engine.budget, *text, begin, text->byte_offset(static_cast<std::size_t>(to))));
  }
  if (text) {
    std::vector<std::size_t> offsets;
    engine.budget.burn(1 + text->length() / 4);
    const Holding holding(engine.budget, (text->length() + 1) * sizeof(std::size_t));
    offsets.reserve(text->length() + 1);
    for (std::size_t at = 0; at < text->bytes().size(); at = next_code_point(text->bytes(), at))
      offsets.push_back(at);
    offsets.push_back(text->bytes().size());
    TextBuilder out(&engine.budget);
    for (Int at = from; more(at); at += by) {
      const auto i = static_cast<std::size_t>(at);
      out.append(*text, offsets[i], offsets[i + 1]);
    }
    return Value(out.finish(text->markup()));
  }
  const Holding holding(engine.budget, seq->size() * sizeof(Value));
  engine.budget.burn(seq->size() / 8);
  std::vector<Value> items;
  for (Int at = from; more(at); at += by) items.push_back(seq->items()[static_cast<std::size_t>(at)]);
  if (seq->kind() == SeqKind::kRange) {
    const auto& range = static_cast<const Range&>(*seq);
    return Value(SeqPtr(std::make_shared<const Range>(&engine.budget, range.start + from * range.step,
                                                      range.start + to * range.step, range.step * by,
                                                      std::move(items))));
  }
  return Value(make_seq(engine.budget, std::move(items), seq->kind()));
}

void set_namespace_attribute(Namespace& names, const std::string& attribute, Value value) {
  if (!attribute.empty() && attribute[0] == '_') {
    fail("Chat templates cannot store underscore-prefixed attributes on a namespace, but got " +
         repr_string(attribute) + ". Please rename the attribute.");
  }
  names.set(attribute, std::move(value));
}

}  // namespace exa::jinja
