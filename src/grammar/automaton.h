// Finite automata over bytes whose edges may also call rules: what every kind of grammar is built from.
//
// An Automaton may be nondeterministic while it is being built. A *regular* one has no calls; a
// *deterministic* one has no empty edges, and the byte edges of a state are sorted and apart from one
// another. Ownership and threads: values that borrow the Budget of their compilation. Source: Rabin and Scott
// 1959 (subset construction, products).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "grammar/budget.h"
#include "grammar/code_points.h"

namespace exa::grammar {

using StateId = std::uint32_t;
using RuleId = std::uint32_t;

struct ByteEdge {
  std::uint8_t low, high;  // inclusive
  StateId to;
};

struct CallEdge {
  RuleId rule;
  StateId to;  // after the rule is through
};

struct State {
  std::vector<ByteEdge> bytes;
  std::vector<StateId> empties;
  std::vector<CallEdge> calls;
  bool accepts = false;
};

class Automaton {
 public:
  // One state, the start, which does not accept.
  explicit Automaton(Budget& budget) : budget_(&budget) { add_state(); }

  static constexpr StateId kStart = 0;
  StateId add_state();
  void add_bytes(StateId from, std::uint8_t low, std::uint8_t high, StateId to);
  void add_empty(StateId from, StateId to) { states[from].empties.push_back(to); }
  void add_call(StateId from, RuleId rule, StateId to) { states[from].calls.push_back({rule, to}); }
  void add_literal(StateId from, std::string_view bytes, StateId to);
  void add_code_points(StateId from, const CodePointSet& set, StateId to);
  // A copy of `part` between the two states.
  void add_copy(StateId from, const Automaton& part, StateId to);

  Budget& budget() const { return *budget_; }

  std::vector<State> states;

 private:
  Budget* budget_;
};

// The same language, deterministic, without states that lead nowhere. Nothing where it would take more than
// `most_states`; an error where it exceeds the budget.
std::optional<Automaton> determinize(const Automaton& automaton, std::size_t most_states);
// The same with no limit but the budget's.
Automaton determinize(const Automaton& automaton);

// Of deterministic regular automata; the results are deterministic.
Automaton intersect(const Automaton& a, const Automaton& b);
Automaton complement(const Automaton& a);  // within all byte strings
Automaton without_empty(const Automaton& a);
bool is_empty(const Automaton& a);
bool matches(const Automaton& a, std::string_view bytes);

// Of a deterministic regular automaton over valid UTF-8 that accepts something.
struct LengthRange {
  std::size_t fewest;
  std::optional<std::size_t> most;  // nothing: no limit
};
LengthRange count_code_points(const Automaton& a);

// Of any automaton: states from which no end can be reached go (calls count as passable).
Automaton trimmed(const Automaton& a);

}  // namespace exa::grammar
