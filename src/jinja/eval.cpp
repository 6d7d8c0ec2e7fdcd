#include "base/error.h"
#include "jinja/level.h"
#include "jinja/run.h"

namespace exa::jinja {

Value Renderer::eval(const Expr& expr) {
  const Level level(*this);
  budget.burn(1);
  switch (expr.kind) {
    case ExprKind::kLiteral:
      return expr.value;
    case ExprKind::kName:
      return eval_name(expr);
    case ExprKind::kTuple:
      return Value(make_seq(budget, eval_items(expr), SeqKind::kTuple));
    case ExprKind::kList:
      return Value(make_seq(budget, eval_items(expr)));
    case ExprKind::kDict:
      return eval_dict(expr);
    case ExprKind::kConditional:
      return eval_conditional(expr);
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      Value value;
      for (const ExprPtr& item : expr.items) {
        value = eval(*item);
        if (truth(value) == (expr.kind == ExprKind::kOr)) break;
      }
      return value;
    }
    case ExprKind::kNot:
      return Value(!truth(eval(*expr.items[0])));
    case ExprKind::kNegative:
      return negate(*this, eval(*expr.items[0]), true);
    case ExprKind::kPositive:
      return negate(*this, eval(*expr.items[0]), false);
    case ExprKind::kCompare:
      return eval_compare(expr);
    case ExprKind::kArithmetic: {
      Value value = eval(*expr.items[0]);
      for (std::size_t i = 0; i < expr.operators.size(); ++i) {
        value = arithmetic(*this, expr.operators[i], value, eval(*expr.items[i + 1]));
      }
      return value;
    }
    case ExprKind::kConcat:
      return eval_concat(expr);
    case ExprKind::kAttribute:
      return get_attribute(*this, eval(*expr.items[0]), expr.text);
    case ExprKind::kItem: {
      const Value object = eval(*expr.items[0]);
      return get_item(*this, object, eval(*expr.items[1]));
    }
    case ExprKind::kSlice: {
      const Value object = eval(*expr.items[0]);
      const auto part = [&](std::size_t i) { return expr.items[i] ? eval(*expr.items[i]) : Value(); };
      const Value start = part(1);
      const Value stop = part(2);
      return get_slice(*this, object, start, stop, part(3));
    }
    case ExprKind::kCall:
      return eval_call(expr);
    case ExprKind::kFilter:
      return eval_filter(expr, nullptr);
    case ExprKind::kTest: {
      const Value subject = eval(*expr.items[0]);
      return Value(apply_test(*this, expr.text, subject, eval_args(expr.args)));
    }
  }
  throw Error(ErrorKind::kInternal, "an expression of no kind in a template");
}

Value Renderer::eval_name(const Expr& expr) {
  if (const Value* value = find(expr.name)) return *value;
  const std::string& name = tree_.names[expr.name];
  if (std::optional<Value> global = find_global(*this, name)) return std::move(*global);
  return Value(UndefinedPtr(std::make_shared<const Undefined>(&budget, "", repr_string(name), true)));
}

Value Renderer::eval_conditional(const Expr& expr) {
  if (truth(eval(*expr.items[0]))) return eval(*expr.items[1]);
  if (expr.items[2]) return eval(*expr.items[2]);
  return undefined_hint(*this, "the inline if-expression on line " + std::to_string(expr.line) +
                                   " evaluated to false and no else section was defined.");
}

Value Renderer::eval_compare(const Expr& expr) {
  Value left = eval(*expr.items[0]);
  for (std::size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = eval(*expr.items[i + 1]);
    if (!compare(*this, expr.operators[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

std::vector<Value> Renderer::eval_items(const Expr& expr) {
  std::vector<Value> items;
  items.reserve(expr.items.size());
  for (const ExprPtr& item : expr.items) items.push_back(eval(*item));
  return items;
}

Value Renderer::eval_dict(const Expr& expr) {
  std::vector<Dict::Entry> entries;
  entries.reserve(expr.items.size() / 2);
  for (std::size_t i = 0; i + 1 < expr.items.size(); i += 2) {
    Value key = eval(*expr.items[i]);
    entries.emplace_back(std::move(key), eval(*expr.items[i + 1]));
  }
  return Value(make_dict(budget, std::move(entries)));
}

Value Renderer::eval_concat(const Expr& expr) {
  TextBuilder text(&budget);
  for (const ExprPtr& item : expr.items) text.append(eval(*item));
  return Value(text.finish());
}

Args Renderer::eval_args(const CallArgs& args) {
  Args values;
  values.positional.reserve(args.positional.size());
  for (const ExprPtr& item : args.positional) values.positional.push_back(eval(*item));
  for (const auto& [name, item] : args.named) {
    for (const auto& [other, value] : values.named) {
      if (other == name) fail("keyword argument repeated: " + name);
    }
    values.named.emplace_back(name, eval(*item));
  }
  if (args.star) {
    for (const Value& item : iterate(eval(*args.star), budget)) values.positional.push_back(item);
  }
  if (args.double_star) {
    const Value extra = eval(*args.double_star);
    if (!extra.dict()) fail("argument after ** must be a mapping, not " + type_name(extra));
    budget.burn(extra.dict()->size());
    for (const auto& [key, value] : extra.dict()->entries()) {
      if (!key.text()) fail("keywords must be strings");
      values.named.emplace_back(key.text()->bytes(), value);
    }
  }
  return values;
}

Value Renderer::eval_call(const Expr& expr) {
  const Expr& callee = *expr.items[0];
  if (callee.kind == ExprKind::kAttribute) {
    const Value self = eval(*callee.items[0]);
    if (has_method(self, callee.text)) return call_method(*this, self, callee.text, eval_args(expr.args));
    const Value function = get_attribute(*this, self, callee.text);
    return call(function, eval_args(expr.args));
  }
  const Value function = eval(callee);
  return call(function, eval_args(expr.args));
}

Value Renderer::eval_filter(const Expr& expr, const Value* subject) {
  // The innermost filter of a block's chain has no expression of its own: it gets the captured text.
  const Value value = !expr.items[0] ? *subject
                      : expr.items[0]->kind == ExprKind::kFilter && subject
                          ? eval_filter(*expr.items[0], subject)
                          : eval(*expr.items[0]);
  return apply_filter(*this, expr.text, value, eval_args(expr.args));
}

Value Renderer::call(const Value& callee, Args args) {
  const Level level(*this);
  if (callee.is_undefined()) fail(callee.undefined()->message());
  if (const Loop* loop = callee.loop()) {
    if (!loop->recurse) fail("The loop must have the 'recursive' marker to be called recursively.");
    const BoundArgs bound(args, "loop", {"iterable"});
    struct Calling {
      std::size_t& calls;
      ~Calling() { --calls; }
    } calling{++calls_};
    if (calls_ > limits_.depth)
      fail_limit("loops call themselves deeper than " + std::to_string(limits_.depth));
    const LoopPtr alive = callee.loop_ptr();
    return alive->recurse(bound.need(0));
  }
  const Callable* function = callee.callable();
  if (!function) fail("'" + type_name(callee) + "' object is not callable");
  switch (function->kind) {
    case CallableKind::kMacro:
      return call_macro(*function, std::move(args));
    case CallableKind::kMethod:
      return call_method(*this, function->self, function->name, args);
    case CallableKind::kGlobal:
      return call_global(*this, function->name, args);
    default:
      return call_state(*this, *function, args);
  }
}

}  // namespace exa::jinja
