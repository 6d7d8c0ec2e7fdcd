// Things a template can call, and the loop variable.
//
// Ownership and threads: belong to one render. A macro's closure may form a cycle with the scope that holds
// it; the renderer keeps the scopes and cuts them at its end. Source: Jinja2 3.1's Macro, LoopContext,
// cycler, joiner, as a template sees them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/tree.h"
#include "jinja/value.h"

namespace exa::jinja {

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Puts arguments into the places of a built-in's signature. Errors: kBadInput for too many, doubled or
// unknown names.
class BoundArgs {
 public:
  // what: the built-in's name for messages; names: its parameters in order.
  BoundArgs(const Args& args, std::string_view what, std::vector<std::string_view> names);
  // nullptr where the caller gave nothing.
  const Value* get(std::size_t index) const { return values_[index]; }
  // Errors: kBadInput where missing.
  const Value& need(std::size_t index) const;
  // Python's int arguments. Errors: kBadInput where it is no integer.
  std::optional<std::int64_t> integer(std::size_t index) const;
  bool flag(std::size_t index, bool otherwise) const;

 private:
  std::string what_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;
};

struct Scope;

enum class CallableKind : std::uint8_t { kMethod, kGlobal, kMacro, kCycler, kJoiner };

class Callable : public Object {
 public:
  // A method bound to its value, a global function (self unused), a cycler (self: tuple) or joiner (self:
  // separator).
  Callable(Budget* budget, CallableKind what, Value of, std::string called)
      : Object(budget, sizeof(Callable), of.nesting() + 1),
        kind(what),
        self(std::move(of)),
        name(std::move(called)) {}
  Callable(Budget* budget, const MacroDef* definition, std::shared_ptr<Scope> scope)
      : Object(budget, sizeof(Callable)),
        kind(CallableKind::kMacro),
        name(definition->name),
        macro(definition),
        closure(std::move(scope)) {}

  const CallableKind kind;
  const Value self;
  const std::string name;
  const MacroDef* const macro = nullptr;
  const std::shared_ptr<Scope> closure;
  mutable std::size_t position = 0;  // cycler: next item; joiner: calls so far
};

// One run of a for loop. fetch gives the next item that passes the loop's filter, nothing at the end.
class Loop : public Object {
 public:
  using Fetch = std::function<std::optional<Value>()>;
  Loop(Budget* budget, std::size_t depth, std::size_t nesting, Fetch fetch)
      : Object(budget, sizeof(Loop), nesting), depth0(depth), fetch_(std::move(fetch)) {}

  bool advance();  // false at the end
  void close() { fetch_ = nullptr; }
  std::size_t length();
  const Value& current() const { return *current_; }
  // loop.NAME; nothing where it has no such attribute.
  std::optional<Value> attribute(std::string_view name, Budget& budget);

  const std::size_t depth0;
  std::function<Value(const Value& items)> recurse;  // set for `recursive` loops
  std::optional<std::vector<Value>> last_changed;

 private:
  const Value* peek();
  std::optional<Value> fetched();
  Fetch fetch_;
  bool ended_ = false;
  std::vector<Value> ahead_;  // fetched early, in order
  std::size_t ahead_at_ = 0;
  std::size_t started_ = 0;  // iterations begun
  std::optional<Value> before_, current_;
};

std::size_t loop_nesting(const Loop& loop);
std::size_t loop_length(Loop& loop);
std::string loop_repr(Loop& loop);
std::string callable_type(const Callable& callable);
std::string callable_repr(const Callable& callable);

}  // namespace exa::jinja
