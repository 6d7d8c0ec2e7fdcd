// Methods of dicts, lists, loops and cyclers.
#include <algorithm>

#include "base/error.h"
#include "jinja/builtins.h"

namespace exa::jinja {

namespace {

[[noreturn]] void fail_unsupported(const Value& self, const std::string& name) {
  throw Error(ErrorKind::kUnsupported, type_name(self) + "." + name + "() in a chat template");
}

Value dict_method(Engine& engine, const Value& self, const std::string& name, const Args& args) {
  const Dict& dict = *self.dict();
  if (name == "get") {
    if (!args.named.empty()) fail("dict.get() takes no keyword arguments");
    if (args.positional.empty()) fail("get expected at least 1 argument, got 0");
    if (args.positional.size() > 2) {
      fail("get expected at most 2 arguments, got " + std::to_string(args.positional.size()));
    }
    engine.budget.burn(dict.size() < 16 ? dict.size() / 8 : 1);
    if (const Value* value = dict.find(args.positional[0])) return *value;
    return args.positional.size() == 2 ? args.positional[1] : Value();
  }
  if (!args.positional.empty() || !args.named.empty()) {
    fail("dict." + name + "() takes no arguments (" +
         std::to_string(args.positional.size() + args.named.size()) + " given)");
  }
  if (name == "copy") return self;
  const bool keys = name == "keys";
  if (!keys && name != "values" && name != "items") fail_unsupported(self, name);
  std::vector<Value> items;
  items.reserve(dict.size());
  for (const auto& [key, value] : dict.entries()) {
    items.push_back(keys               ? key
                    : name == "values" ? value
                                       : Value(make_seq(engine.budget, {key, value}, SeqKind::kTuple)));
  }
  const SeqKind kind = keys ? SeqKind::kKeys : name == "values" ? SeqKind::kValues : SeqKind::kItems;
  return Value(make_seq(engine.budget, std::move(items), kind));
}

Value seq_method(Engine& engine, const Value& self, const std::string& name, const Args& args) {
  const Seq& seq = *self.seq();
  const std::string what = type_name(self) + "." + name;
  if (!args.named.empty()) fail(what + "() takes no keyword arguments");
  if (name == "copy") return self;
  if (name == "count") {
    if (args.positional.size() != 1) {
      fail(what + "() takes exactly one argument (" + std::to_string(args.positional.size()) + " given)");
    }
    std::size_t count = 0;
    for (const Value& item : seq.items()) count += equal(item, args.positional[0], engine.budget);
    return Value::of_size(count);
  }
  const BoundArgs bound(args, name, {"value", "start", "stop"});
  const Value& wanted = bound.need(0);
  const auto size = static_cast<std::int64_t>(seq.size());
  const auto place = [&](std::size_t i, std::int64_t otherwise) {
    const std::int64_t at = bound.integer(i).value_or(otherwise);
    return std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size);
  };
  const std::int64_t stop = place(2, size);
  for (std::int64_t at = place(1, 0); at < stop; ++at) {
    if (equal(seq.items()[static_cast<std::size_t>(at)], wanted, engine.budget))
      return Value(static_cast<Int>(at));
  }
  if (seq.kind() == SeqKind::kTuple) fail("tuple.index(x): x not in tuple");
  TextBuilder text(&engine.budget);
  append_repr(text, wanted);
  fail(text.take_bytes() + " is not in " + type_name(self));
}

Value loop_method(Engine& engine, Loop& loop, const std::string& name, const Args& args) {
  if (!args.named.empty())
    fail("LoopContext." + name + "() got an unexpected keyword argument '" + args.named[0].first + "'");
  if (name == "cycle") {
    if (args.positional.empty()) fail("no items for cycling given");
    const auto index = static_cast<std::size_t>(*loop.attribute("index0", engine.budget)->integer());
    return args.positional[index % args.positional.size()];
  }
  bool changed = !loop.last_changed || loop.last_changed->size() != args.positional.size();
  for (std::size_t i = 0; !changed && i < args.positional.size(); ++i) {
    changed = !equal((*loop.last_changed)[i], args.positional[i], engine.budget);
  }
  // Values that could hold this loop again would never be freed.
  for (const Value& value : args.positional) {
    if (value.loop() || value.seq() || value.dict() || value.callable()) {
      throw Error(ErrorKind::kUnsupported, "loop.changed() of a " + type_name(value) + " in a chat template");
    }
  }
  if (changed) loop.last_changed = args.positional;
  return Value(changed);
}

Value cycler_method(const Callable& cycler, const std::string& name) {
  const std::vector<Value>& items = cycler.self.seq()->items();
  if (name == "reset") {
    cycler.position = 0;
    return Value();
  }
  Value current = items[cycler.position];
  cycler.position = (cycler.position + 1) % items.size();
  return current;
}

}  // namespace

Value call_method(Engine& engine, const Value& self, const std::string& name, const Args& args) {
  engine.budget.burn(1);
  if (const Text* text = self.text()) return call_text_method(engine, *text, self, name, args);
  if (self.dict()) return dict_method(engine, self, name, args);
  if (self.seq()) return seq_method(engine, self, name, args);
  if (Loop* loop = self.loop()) return loop_method(engine, *loop, name, args);
  if (const Callable* callable = self.callable()) return cycler_method(*callable, name);
  fail_unsupported(self, name);
}

}  // namespace exa::jinja
