#include "grammar/json_numbers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "grammar/expression.h"

namespace exa::grammar {
namespace {

constexpr std::uint32_t kMostWhole = 18;
constexpr std::uint32_t kMostFraction = 17;
// Decimals of so many digits are told apart by doubles, so a reader sees x > bound as we do.
constexpr std::size_t kExactDigits = 15;

enum class Relation : std::uint8_t { kAtLeast, kAbove, kAtMost, kBelow };

Expression digit(char low, char high) {
  return Expression::one_of({{static_cast<char32_t>(low), static_cast<char32_t>(high)}});
}

Expression digits(std::uint32_t fewest, std::uint32_t most) {
  return Expression::repeat(digit('0', '9'), fewest, most);
}

Expression maybe(Expression part) {
  return Expression::repeat(std::move(part), 0, 1);
}

Expression join(Expression a, Expression b) {
  std::vector<Expression> parts;
  parts.push_back(std::move(a));
  parts.push_back(std::move(b));
  return Expression::sequence(std::move(parts));
}

Expression any_fraction() {
  return maybe(join(Expression::bytes("."), digits(1, kUnlimited)));
}

// Whole numbers of exactly as many digits as `bound` that are greater or less than it, fraction or not.
void add_other_wholes(std::vector<Expression>& out, const std::string& bound, bool greater) {
  for (std::size_t i = 0; i < bound.size(); ++i) {
    const char least = i == 0 && bound.size() > 1 ? '1' : '0';
    const char low = greater ? static_cast<char>(bound[i] + 1) : least;
    const char high = greater ? '9' : static_cast<char>(bound[i] - 1);
    if (low > high) continue;
    const auto rest = static_cast<std::uint32_t>(bound.size() - 1 - i);
    out.push_back(
        join(join(join(Expression::bytes(bound.substr(0, i)), digit(low, high)), digits(rest, rest)),
             any_fraction()));
  }
}

// ".…" or nothing, behind a whole part that equals the bound's.
Expression fractions(const std::string& bound, Relation relation) {
  std::vector<Expression> out;
  const bool up = relation == Relation::kAtLeast || relation == Relation::kAbove;
  if (relation == Relation::kAtMost || (relation == Relation::kBelow && !bound.empty()) ||
      (relation == Relation::kAtLeast && bound.empty())) {
    out.push_back(Expression::bytes(""));
  }
  for (std::size_t i = 0; i < bound.size(); ++i) {
    const Expression front = Expression::bytes("." + bound.substr(0, i));
    const char low = up ? static_cast<char>(bound[i] + 1) : '0';
    const char high = up ? '9' : static_cast<char>(bound[i] - 1);
    if (low <= high) out.push_back(join(front, join(digit(low, high), digits(0, kUnlimited))));
    // Shorter than the bound is less than the bound, whose last digit is not 0.
    if (!up && i > 0) out.push_back(front);
  }
  const Expression equal = Expression::bytes("." + bound);
  switch (relation) {
    case Relation::kAtLeast:
      out.push_back(join(equal, digits(bound.empty() ? 1 : 0, kUnlimited)));
      break;
    case Relation::kAbove:
      out.push_back(join(equal, join(Expression::repeat(digit('0', '0'), 0, kUnlimited),
                                     join(digit('1', '9'), digits(0, kUnlimited)))));
      break;
    case Relation::kAtMost:
      out.push_back(join(equal, Expression::repeat(digit('0', '0'), bound.empty() ? 1 : 0, kUnlimited)));
      break;
    case Relation::kBelow:
      break;
  }
  return Expression::choice(std::move(out));
}

// Magnitudes in that relation to the bound's magnitude.
Automaton magnitudes(const Decimal& bound, Relation relation, Budget& budget) {
  std::vector<Expression> out;
  const std::string& whole = bound.whole;
  const auto n = static_cast<std::uint32_t>(whole.size());
  if (relation == Relation::kAtLeast || relation == Relation::kAbove) {
    const std::uint32_t longer = whole == "0" ? 0 : n;
    out.push_back(join(join(digit('1', '9'), digits(longer, kUnlimited)), any_fraction()));
    if (whole != "0") add_other_wholes(out, whole, true);
  } else {
    add_other_wholes(out, whole, false);
    if (n > 1) {
      out.push_back(join(digit('0', '0'), any_fraction()));
      out.push_back(join(join(digit('1', '9'), digits(0, n - 2)), any_fraction()));
    }
  }
  Expression last = fractions(bound.fraction, relation);
  if (last.kind != Expression::Kind::kChoice || !last.parts.empty()) {
    out.push_back(join(Expression::bytes(whole), std::move(last)));
  }
  return regular(Expression::choice(std::move(out)), budget);
}

// The numbers' shape without sign and exponent.
Expression shape(bool integers, std::uint32_t most_fraction) {
  std::vector<Expression> whole;
  whole.push_back(Expression::bytes("0"));
  whole.push_back(join(digit('1', '9'), digits(0, kMostWhole - 1)));
  Expression out = Expression::choice(std::move(whole));
  if (!integers) out = join(std::move(out), maybe(join(Expression::bytes("."), digits(1, most_fraction))));
  return out;
}

void check_digits(const NumberBounds::Bound& bound, const Budget& budget) {
  const Decimal& value = bound.value;
  if (value.fraction.size() > kMostFraction ||
      (bound.exclusive && value.whole.size() + value.fraction.size() > kExactDigits)) {
    throw Error(ErrorKind::kUnsupported, "a bound of so many digits is not supported", budget.place());
  }
}

std::uint32_t fraction_digits(const std::optional<NumberBounds::Bound>& bound) {
  if (!bound || !bound->exclusive) return kMostFraction;
  return static_cast<std::uint32_t>(std::max<std::size_t>(kExactDigits - bound->value.whole.size(), 1));
}

// One side of zero: from `low` to `high` in magnitude.
Automaton side(const std::optional<NumberBounds::Bound>& low, const std::optional<NumberBounds::Bound>& high,
               const Automaton& form, Budget& budget) {
  Automaton out = form;
  if (low) {
    const Relation r = low->exclusive ? Relation::kAbove : Relation::kAtLeast;
    out = intersect(out, magnitudes(low->value, r, budget));
  }
  if (high) {
    const Relation r = high->exclusive ? Relation::kBelow : Relation::kAtMost;
    out = intersect(out, magnitudes(high->value, r, budget));
  }
  return out;
}

}  // namespace

int compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  int magnitude = 0;
  if (a.whole.size() != b.whole.size()) {
    magnitude = a.whole.size() < b.whole.size() ? -1 : 1;
  } else {
    magnitude = a.whole.compare(b.whole);
    if (magnitude == 0) magnitude = a.fraction.compare(b.fraction);
  }
  return a.negative ? -magnitude : magnitude;
}

Decimal decimal_of(const nlohmann::ordered_json& number) {
  std::string text;
  if (number.is_number_float()) {
    // Up to 309 digits before the point and more behind it.
    std::array<char, 1200> buffer;
    const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number.get<double>(),
                                      std::chars_format::fixed);
    text.assign(buffer.data(), result.ptr);
  } else {
    text = number.dump();
  }
  Decimal out;
  if (text.starts_with('-')) {
    out.negative = true;
    text.erase(0, 1);
  }
  const std::size_t point = text.find('.');
  out.whole = text.substr(0, point);
  if (point != std::string::npos) out.fraction = text.substr(point + 1);
  while (out.fraction.ends_with('0')) out.fraction.pop_back();
  if (out.is_zero()) out.negative = false;
  return out;
}

void NumberBounds::raise_low(const Bound& bound) {
  const int order = low ? compare(bound.value, low->value) : 1;
  if (order > 0 || (order == 0 && bound.exclusive)) low = bound;
}

void NumberBounds::lower_high(const Bound& bound) {
  const int order = high ? compare(bound.value, high->value) : -1;
  if (order < 0 || (order == 0 && bound.exclusive)) high = bound;
}

bool NumberBounds::holds(const Decimal& value) const {
  if (low) {
    const int order = compare(value, low->value);
    if (order < 0 || (order == 0 && low->exclusive)) return false;
  }
  if (high) {
    const int order = compare(value, high->value);
    if (order > 0 || (order == 0 && high->exclusive)) return false;
  }
  return true;
}

bool NumberBounds::are_apart(const NumberBounds& other) const {
  const auto before = [](const NumberBounds& a, const NumberBounds& b) {
    if (!a.high || !b.low) return false;
    const int order = compare(a.high->value, b.low->value);
    return order < 0 || (order == 0 && (a.high->exclusive || b.low->exclusive));
  };
  return before(*this, other) || before(other, *this);
}

Automaton numbers(const NumberBounds& bounds, bool integers, Budget& budget) {
  if (!bounds.low && !bounds.high) {
    Expression out = join(maybe(Expression::bytes("-")), shape(integers, kMostFraction));
    if (!integers) {
      Expression exponent = join(join(Expression::one_of({{'E', 'E'}, {'e', 'e'}}),
                                      maybe(Expression::one_of({{'+', '+'}, {'-', '-'}}))),
                                 digits(1, 2));
      out = join(std::move(out), maybe(std::move(exponent)));
    }
    return regular(out, budget);
  }
  std::optional<NumberBounds::Bound> low = bounds.low;
  std::optional<NumberBounds::Bound> high = bounds.high;
  if (low) check_digits(*low, budget);
  if (high) check_digits(*high, budget);
  const std::uint32_t most_fraction = std::min(fraction_digits(low), fraction_digits(high));
  const Automaton form = regular(shape(integers, most_fraction), budget);
  const auto magnitude = [](const NumberBounds::Bound& bound) {
    NumberBounds::Bound out = bound;
    out.value.negative = false;
    return out;
  };
  Automaton out(budget);
  const StateId end = out.add_state();
  out.states[end].accepts = true;
  // Zero belongs to the side without a sign.
  const Decimal zero;
  if (!high || !high->value.negative) {
    const bool low_matters = low && !low->value.negative;
    out.add_copy(Automaton::kStart,
                 side(low_matters ? low : std::nullopt, high ? std::optional(magnitude(*high)) : std::nullopt,
                      form, budget),
                 end);
  }
  if (!low || low->value.negative) {
    const StateId sign = out.add_state();
    out.add_literal(Automaton::kStart, "-", sign);
    const auto near = high && high->value.negative ? magnitude(*high) : NumberBounds::Bound{zero, true};
    out.add_copy(sign, side(near, low ? std::optional(magnitude(*low)) : std::nullopt, form, budget), end);
  }
  return determinize(out);
}

}  // namespace exa::grammar
