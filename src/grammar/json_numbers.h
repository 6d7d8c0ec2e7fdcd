// JSON numbers between bounds as automata, compared digit by digit.
//
// Integers have at most 18 digits, numbers at most 18 before and 17 behind the point and two in an exponent,
// so that every reader can hold them; numbers with bounds have no exponent. Ownership and threads: pure
// functions. Source: RFC 8259 section 6.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "grammar/automaton.h"

namespace exa::grammar {

// A finite decimal number: digits without needless zeros ("0" for none before the point).
struct Decimal {
  bool negative = false;
  std::string whole = "0";
  std::string fraction;

  bool is_zero() const { return whole == "0" && fraction.empty(); }
};

// Less than, equal, greater: negative, 0, positive.
int compare(const Decimal& a, const Decimal& b);
// The number as it was meant: the shortest decimal that is read as the same double.
Decimal decimal_of(const nlohmann::ordered_json& number);

struct NumberBounds {
  struct Bound {
    Decimal value;
    bool exclusive;
  };
  std::optional<Bound> low, high;

  // The tighter of the old and the new bound stays.
  void raise_low(const Bound& bound);
  void lower_high(const Bound& bound);
  bool holds(const Decimal& value) const;
  bool are_apart(const NumberBounds& other) const;
};

// Deterministic; accepts nothing where no number lies between the bounds. Errors: kUnsupported for bounds of
// more digits than numbers have.
Automaton numbers(const NumberBounds& bounds, bool integers, Budget& budget);

}  // namespace exa::grammar
