#include "jinja/call.h"

#include <algorithm>
#include <limits>

namespace exa::jinja {

BoundArgs::BoundArgs(const Args& args, std::string_view what, std::vector<std::string_view> names)
    : what_(what), names_(std::move(names)), values_(names_.size(), nullptr) {
  if (args.positional.size() > names_.size()) {
    fail(what_ + "() takes at most " + std::to_string(names_.size()) + " arguments (" +
         std::to_string(args.positional.size()) + " given)");
  }
  for (std::size_t i = 0; i < args.positional.size(); ++i) values_[i] = &args.positional[i];
  for (const auto& [name, value] : args.named) {
    const auto place = std::find(names_.begin(), names_.end(), name);
    if (place == names_.end()) fail(what_ + "() got an unexpected keyword argument '" + name + "'");
    const auto index = static_cast<std::size_t>(place - names_.begin());
    if (values_[index]) fail(what_ + "() got multiple values for argument '" + name + "'");
    values_[index] = &value;
  }
}

const Value& BoundArgs::need(std::size_t index) const {
  if (!values_[index]) {
    fail(what_ + "() missing 1 required positional argument: '" + std::string(names_[index]) + "'");
  }
  return *values_[index];
}

std::optional<std::int64_t> BoundArgs::integer(std::size_t index) const {
  if (!values_[index]) return std::nullopt;
  const Value& value = *values_[index];
  if (value.is_undefined()) fail(value.undefined()->message());
  if (!value.is_integral()) fail("'" + type_name(value) + "' object cannot be interpreted as an integer");
  const Int bound = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::clamp(value.as_int(), -bound, bound));
}

bool BoundArgs::flag(std::size_t index, bool otherwise) const {
  return values_[index] ? truth(*values_[index]) : otherwise;
}

// fetch_ itself stays: a filter that looks at its own loop may still be running in it.
std::optional<Value> Loop::fetched() {
  if (ended_ || !fetch_) return std::nullopt;
  std::optional<Value> next = fetch_();
  if (!next) ended_ = true;
  return next;
}

const Value* Loop::peek() {
  if (ahead_at_ == ahead_.size()) {
    std::optional<Value> next = fetched();
    if (!next) return nullptr;
    if (ahead_at_ == ahead_.size()) {
      ahead_.clear();
      ahead_at_ = 0;
    }
    ahead_.push_back(std::move(*next));
  }
  return &ahead_[ahead_at_];
}

bool Loop::advance() {
  const Value* next = peek();
  if (!next) return false;
  before_ = std::move(current_);
  current_ = *next;
  ++ahead_at_;
  ++started_;
  return true;
}

std::size_t Loop::length() {
  while (std::optional<Value> next = fetched()) ahead_.push_back(std::move(*next));
  return started_ + ahead_.size() - ahead_at_;
}

std::optional<Value> Loop::attribute(std::string_view name, Budget& budget) {
  const std::size_t index0 = started_ == 0 ? 0 : started_ - 1;
  const auto nothing = [&](const char* hint) {
    return Value(std::make_shared<const Undefined>(&budget, std::string(hint)));
  };
  if (name == "index0") return Value::of_size(index0);
  if (name == "index") return Value::of_size(index0 + 1);
  if (name == "first") return Value(index0 == 0);
  if (name == "last") return Value(peek() == nullptr);
  if (name == "length") return Value::of_size(length());
  if (name == "revindex") return Value::of_size(length() - index0);
  if (name == "revindex0") return Value::of_size(length() - index0 - 1);
  if (name == "depth0") return Value::of_size(depth0);
  if (name == "depth") return Value::of_size(depth0 + 1);
  if (name == "previtem") return before_ ? *before_ : nothing("there is no previous item");
  if (name == "nextitem") {
    const Value* next = peek();
    return next ? *next : nothing("there is no next item");
  }
  return std::nullopt;
}

std::size_t loop_nesting(const Loop& loop) {
  return loop.nesting();
}
std::size_t loop_length(Loop& loop) {
  return loop.length();
}

std::string loop_repr(Loop& loop) {
  Budget unlimited{1000, 0, 1000, 1000};
  const Int index = *loop.attribute("index", unlimited)->integer();
  return "<LoopContext " + int_string(index) + "/" + std::to_string(loop.length()) + ">";
}

std::string callable_type(const Callable& callable) {
  switch (callable.kind) {
    case CallableKind::kMethod:
      return "builtin_function_or_method";
    case CallableKind::kMacro:
      return "Macro";
    case CallableKind::kCycler:
      return "Cycler";
    case CallableKind::kJoiner:
      return "Joiner";
    default:
      return "function";
  }
}

std::string callable_repr(const Callable& callable) {
  if (callable.kind == CallableKind::kMacro) return "<Macro " + repr_string(callable.name) + ">";
  return "<" + callable_type(callable) + " " + callable.name + ">";
}

}  // namespace exa::jinja
