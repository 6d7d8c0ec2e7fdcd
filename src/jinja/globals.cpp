#include <algorithm>
#include <ctime>
#include <limits>

#include "base/error.h"
#include "jinja/builtins.h"

namespace exa::jinja {

namespace {

constexpr std::string_view kGlobals[] = {"range",  "dict",   "namespace",       "cycler",
                                         "joiner", "lipsum", "raise_exception", "strftime_now"};
constexpr Int kLongestRange = 100'000;

Value range(Engine& engine, const Args& args) {
  if (!args.named.empty()) fail("range() takes no keyword arguments");
  if (args.positional.empty()) fail("range expected at least 1 argument, got 0");
  if (args.positional.size() > 3) {
    fail("range expected at most 3 arguments, got " + std::to_string(args.positional.size()));
  }
  const BoundArgs bound(args, "range", {"start", "stop", "step"});
  const bool one = args.positional.size() == 1;
  const Int start = one ? 0 : *bound.integer(0);
  const Int stop = one ? *bound.integer(0) : *bound.integer(1);
  const Int step = bound.integer(2).value_or(1);
  if (step == 0) fail("range() arg 3 must not be zero");
  const Int span = step > 0 ? stop - start : start - stop;
  const Int size = span <= 0 ? 0 : (span - 1) / (step > 0 ? step : -step) + 1;
  if (size > kLongestRange) {
    fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (" + int_string(kLongestRange) +
         ").");
  }
  engine.budget.burn(static_cast<std::size_t>(1 + size / 4));
  std::optional<Holding> holding(std::in_place, engine.budget,
                                 static_cast<std::size_t>(size) * sizeof(Value));
  std::vector<Value> items;
  items.reserve(static_cast<std::size_t>(size));
  for (Int i = 0; i < size; ++i) items.push_back(Value(start + i * step));
  holding.reset();
  return Value(SeqPtr(std::make_shared<const Range>(&engine.budget, start, stop, step, std::move(items))));
}

std::vector<Dict::Entry> dict_entries(Engine& engine, const Args& args, std::string_view what) {
  std::vector<Dict::Entry> entries;
  if (args.positional.size() > 1) {
    fail(std::string(what) + " expected at most 1 argument, got " + std::to_string(args.positional.size()));
  }
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    if (source.dict()) {
      entries = source.dict()->entries();
    } else {
      for (const Value& pair : iterate(source, engine.budget)) {
        if (!pair.seq() && !pair.dict() && !pair.text()) {
          fail("cannot convert dictionary update sequence element #" + std::to_string(entries.size()) +
               " to a sequence");
        }
        const Items parts = iterate(pair, engine.budget);
        if (parts.size() != 2) {
          fail("dictionary update sequence element #" + std::to_string(entries.size()) + " has length " +
               std::to_string(parts.size()) + "; 2 is required");
        }
        entries.emplace_back(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : args.named) {
    entries.emplace_back(Value(make_text(&engine.budget, name, TextOrigin::kTemplate)), value);
  }
  return entries;
}

Value strftime_now(Engine& engine, const Args& args) {
  const BoundArgs bound(args, "strftime_now", {"format"});
  const Text* format = bound.need(0).text();
  if (!format) fail("strftime() argument 1 must be str, not " + type_name(bound.need(0)));
  if (format->bytes().empty()) return Value(to_text(engine, bound.need(0)));
  if (format->bytes().size() > 1000) fail_limit("a time format longer than 1000 bytes");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::string out(16'000, '\0');
  out.resize(std::strftime(out.data(), out.size(), format->bytes().c_str(), &local));
  return derived_text(engine, *format, std::move(out));
}

}  // namespace

std::optional<Value> find_global(Engine& engine, std::string_view name) {
  if (std::find(std::begin(kGlobals), std::end(kGlobals), name) == std::end(kGlobals)) return std::nullopt;
  return Value(CallablePtr(
      std::make_shared<const Callable>(&engine.budget, CallableKind::kGlobal, Value(), std::string(name))));
}

Value call_global(Engine& engine, const std::string& name, const Args& args) {
  if (name == "range") return range(engine, args);
  if (name == "dict") return Value(make_dict(engine.budget, dict_entries(engine, args, "dict")));
  if (name == "namespace") {
    const NamespacePtr names = engine.new_namespace();
    for (auto& [key, value] : dict_entries(engine, args, "dict")) {
      if (key.text()) set_namespace_attribute(*names, key.text()->bytes(), std::move(value));
    }
    return Value(names);
  }
  if (name == "raise_exception") {
    const BoundArgs bound(args, "raise_exception", {"message"});
    fail(to_text(engine, bound.need(0))->bytes());
  }
  if (name == "strftime_now") return strftime_now(engine, args);
  if (name == "cycler") {
    if (args.positional.empty()) fail("at least one item has to be provided");
    return Value(CallablePtr(std::make_shared<const Callable>(
        &engine.budget, CallableKind::kCycler,
        Value(make_seq(engine.budget, args.positional, SeqKind::kTuple)), name)));
  }
  if (name == "joiner") {
    const BoundArgs bound(args, "joiner", {"sep"});
    const Value separator =
        bound.get(0) ? *bound.get(0) : Value(make_text(&engine.budget, ", ", TextOrigin::kTemplate));
    return Value(CallablePtr(
        std::make_shared<const Callable>(&engine.budget, CallableKind::kJoiner, separator, name)));
  }
  throw Error(ErrorKind::kUnsupported, name + "() in a chat template");
}

Value call_state(Engine& engine, const Callable& callable, const Args& args) {
  if (callable.kind != CallableKind::kJoiner) fail("'Cycler' object is not callable");
  const BoundArgs bound(args, "joiner", {});
  if (callable.position++ == 0) return Value(make_text(&engine.budget, "", TextOrigin::kTemplate));
  return callable.self;
}

}  // namespace exa::jinja
