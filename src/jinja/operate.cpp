#include <cmath>
#include <limits>

#include "base/error.h"
#include "jinja/builtins.h"
#include "jinja/text.h"

namespace exa::jinja {

namespace {

[[noreturn]] void fail_operands(std::string_view symbol, const Value& a, const Value& b) {
  if (a.is_undefined()) fail(a.undefined()->message());
  if (b.is_undefined()) fail(b.undefined()->message());
  fail("unsupported operand type(s) for " + std::string(symbol) + ": '" + type_name(a) + "' and '" +
       type_name(b) + "'");
}

// By reference: the operation that sets value is the other argument.
Int checked(bool overflow, const Int& value) {
  if (overflow) fail_limit("an integer became too large");
  return value;
}

Int floor_divide(Int a, Int b) {
  if (a == std::numeric_limits<Int>::min() && b == -1) return checked(true, 0);
  const Int quotient = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

Int floor_modulo(Int a, Int b) {
  if (b == -1) return 0;
  const Int rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Value add(Engine& engine, const Value& a, const Value& b) {
  const Text* x = a.text();
  const Text* y = b.text();
  if (x && y) {
    const bool markup = x->markup() || y->markup();
    TextBuilder out(&engine.budget);
    out.append(markup && !x->markup() ? *escape_html(engine, a) : *x);
    out.append(markup && !y->markup() ? *escape_html(engine, b) : *y);
    return Value(out.finish(markup));
  }
  const Seq* left = a.seq();
  const Seq* right = b.seq();
  const auto joins = [](const Seq* seq) {
    return seq && (seq->kind() == SeqKind::kList || seq->kind() == SeqKind::kTuple);
  };
  if (joins(left) && joins(right) && left->kind() == right->kind()) {
    std::vector<Value> items;
    engine.budget.burn(1 + (left->size() + right->size()) / 4);
    const Holding holding(engine.budget, (left->size() + right->size()) * sizeof(Value));
    items.reserve(left->size() + right->size());
    items.insert(items.end(), left->items().begin(), left->items().end());
    items.insert(items.end(), right->items().begin(), right->items().end());
    return Value(make_seq(engine.budget, std::move(items), left->kind()));
  }
  if (a.is_undefined() || b.is_undefined()) fail_operands("+", a, b);
  if (x) fail("can only concatenate str (not \"" + type_name(b) + "\") to str");
  if (joins(left)) {
    fail("can only concatenate " + type_name(a) + " (not \"" + type_name(b) + "\") to " + type_name(a));
  }
  fail_operands("+", a, b);
}

Value repeat(Engine& engine, const Value& value, Int times) {
  if (times < 0) times = 0;
  if (const Text* text = value.text()) {
    const std::size_t size = text->bytes().size();
    if (size != 0 && times > static_cast<Int>(engine.budget.text_limit / size)) {
      fail_limit("text longer than " + std::to_string(engine.budget.text_limit) + " bytes");
    }
    TextBuilder out(&engine.budget);
    if (size == 0) times = 0;
    for (Int i = 0; i < times; ++i) out.append(*text);
    return Value(out.finish(text->markup()));
  }
  const Seq& seq = *value.seq();
  std::vector<Value> items;
  if (seq.size() != 0) {
    const auto limit = static_cast<Int>(engine.budget.fuel / seq.size());
    if (times > limit) fail_limit("the template needs more steps than allowed");
    engine.budget.burn(static_cast<std::size_t>(times) * seq.size());
    const Holding holding(engine.budget, static_cast<std::size_t>(times) * seq.size() * sizeof(Value));
    items.reserve(static_cast<std::size_t>(times) * seq.size());
    for (Int i = 0; i < times; ++i) items.insert(items.end(), seq.items().begin(), seq.items().end());
  }
  return Value(make_seq(engine.budget, std::move(items), seq.kind()));
}

Value multiply(Engine& engine, const Value& a, const Value& b) {
  const auto repeats = [](const Value& v) {
    return v.text() || (v.seq() && (v.seq()->kind() == SeqKind::kList || v.seq()->kind() == SeqKind::kTuple));
  };
  if (repeats(a) && b.is_integral()) return repeat(engine, a, b.as_int());
  if (repeats(b) && a.is_integral()) return repeat(engine, b, a.as_int());
  if (a.is_undefined() || b.is_undefined()) fail_operands("*", a, b);
  if (repeats(a) || repeats(b)) {
    fail("can't multiply sequence by non-int of type '" + type_name(repeats(a) ? b : a) + "'");
  }
  fail_operands("*", a, b);
}

Value power(const Value& a, const Value& b) {
  if (!a.is_integral() || !b.is_integral() || b.as_int() < 0) {
    const double base = a.as_double();
    if (base == 0 && b.as_double() < 0) fail("0.0 cannot be raised to a negative power");
    const double result = std::pow(base, b.as_double());
    if (std::isnan(result) && base < 0)
      throw Error(ErrorKind::kUnsupported, "a complex number in a template");
    if (std::isinf(result) && !std::isinf(base) && !std::isinf(b.as_double())) {
      fail("(34, 'Numerical result out of range')");
    }
    return Value(result);
  }
  const Int base = a.as_int();
  Int exponent = b.as_int();
  Int result = 1;
  if (base == 0 || base == 1) return Value(exponent == 0 ? Int(1) : base);
  if (base == -1) return Value(exponent % 2 == 0 ? Int(1) : Int(-1));
  for (; exponent > 0; --exponent) result = checked(__builtin_mul_overflow(result, base, &result), result);
  return Value(result);
}

Value arithmetic_integers(Operator op, Int a, Int b) {
  Int result = 0;
  switch (op) {
    case Operator::kAdd:
      return Value(checked(__builtin_add_overflow(a, b, &result), result));
    case Operator::kSubtract:
      return Value(checked(__builtin_sub_overflow(a, b, &result), result));
    case Operator::kMultiply:
      return Value(checked(__builtin_mul_overflow(a, b, &result), result));
    case Operator::kDivide:
      if (b == 0) fail("division by zero");
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case Operator::kFloorDivide:
      if (b == 0) fail("integer division or modulo by zero");
      return Value(floor_divide(a, b));
    default:
      if (b == 0) fail("integer modulo by zero");
      return Value(floor_modulo(a, b));
  }
}

Value arithmetic_reals(Operator op, double a, double b) {
  switch (op) {
    case Operator::kAdd:
      return Value(a + b);
    case Operator::kSubtract:
      return Value(a - b);
    case Operator::kMultiply:
      return Value(a * b);
    case Operator::kDivide:
      if (b == 0) fail("float division by zero");
      return Value(a / b);
    case Operator::kFloorDivide:
      if (b == 0) fail("float floor division by zero");
      return Value(std::floor(a / b));
    default: {
      if (b == 0) fail("float modulo");
      const double rest = std::fmod(a, b);
      return Value(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
    }
  }
}

std::string_view symbol(Operator op) {
  static constexpr std::string_view kSymbols[] = {"+",  "-",  "*", "/",  "//", "%", "** or pow()",
                                                  "==", "!=", "<", "<=", ">",  ">="};
  return kSymbols[static_cast<std::size_t>(op)];
}

}  // namespace

Value arithmetic(Engine& engine, Operator op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (op == Operator::kPower) return power(a, b);
    if (a.is_integral() && b.is_integral()) return arithmetic_integers(op, a.as_int(), b.as_int());
    return arithmetic_reals(op, a.as_double(), b.as_double());
  }
  if (op == Operator::kAdd) return add(engine, a, b);
  if (op == Operator::kMultiply) return multiply(engine, a, b);
  if (op == Operator::kModulo && a.text()) return Value(format_percent(engine, *a.text(), b));
  fail_operands(symbol(op), a, b);
}

Value negate(Engine&, const Value& value, bool minus) {
  if (value.is_undefined()) fail(value.undefined()->message());
  if (value.real()) return Value(minus ? -*value.real() : *value.real());
  if (!value.is_integral()) {
    fail(std::string("bad operand type for unary ") + (minus ? "-" : "+") + ": '" + type_name(value) + "'");
  }
  const Int number = value.as_int();
  if (minus && number == std::numeric_limits<Int>::min()) fail_limit("an integer became too large");
  return Value(minus ? -number : number);
}

bool contains(Engine& engine, const Value& container, const Value& item) {
  Budget& budget = engine.budget;
  if (const Text* text = container.text()) {
    if (!item.text()) fail("'in <string>' requires string as left operand, not " + type_name(item));
    budget.burn_read(text->bytes().size() + item.text()->bytes().size());
    return find_first(text->bytes(), item.text()->bytes()) != std::string_view::npos;
  }
  if (const Dict* dict = container.dict()) {
    budget.burn(dict->size() < 16 ? dict->size() / 8 : 1);
    return dict->find(item) != nullptr;
  }
  if (const Seq* seq = container.seq()) {
    for (const Value& candidate : seq->iterate()) {
      if (equal(candidate, item, budget)) return true;
    }
    return false;
  }
  if (container.is_undefined()) return false;
  fail("argument of type '" + type_name(container) + "' is not iterable");
}

bool compare(Engine& engine, Operator op, const Value& a, const Value& b) {
  Budget& budget = engine.budget;
  switch (op) {
    case Operator::kEqual:
      return equal(a, b, budget);
    case Operator::kNotEqual:
      return !equal(a, b, budget);
    case Operator::kLess:
      return less(a, b, "<", false, budget);
    case Operator::kGreater:
      return less(b, a, ">", true, budget);
    case Operator::kLessEqual:
      return !less(b, a, "<=", true, budget);
    case Operator::kGreaterEqual:
      return !less(a, b, ">=", false, budget);
    case Operator::kIn:
      return contains(engine, b, a);
    case Operator::kNotIn:
      return !contains(engine, b, a);
    default:
      throw Error(ErrorKind::kInternal, "a comparison with an operator that compares nothing");
  }
}

}  // namespace exa::jinja
