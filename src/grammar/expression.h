// What a regular expression or the right side of a GBNF rule says, as a tree, and its way into automata.
//
// Ownership and threads: a value; trees are at most kMostNesting deep, so walking them may recurse.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "grammar/rules.h"

namespace exa::grammar {

struct Expression {
  enum class Kind : std::uint8_t {
    kBytes,     // text, perhaps empty
    kSet,       // one code point of a set
    kSequence,  // parts in order
    kChoice,    // one of the parts
    kRepeat,    // parts[0], fewest to most times
    kRule,      // a call
  };
  Kind kind = Kind::kBytes;
  std::string text;
  CodePointSet set;
  std::vector<Expression> parts;
  std::uint32_t fewest = 0;
  std::uint32_t most = 0;
  RuleId rule = 0;

  static Expression bytes(std::string value);
  static Expression one_of(CodePointSet value);
  static Expression sequence(std::vector<Expression> parts);
  static Expression choice(std::vector<Expression> parts);
  static Expression repeat(Expression part, std::uint32_t fewest, std::uint32_t most);
  static Expression call(RuleId rule);
};

// The expression between two states of `into`. Long repetitions become rules of `rules`; where there is none
// (the result must be regular) they are written out. Errors: the budget's; kUnsupported for a long repetition
// of something that calls rules and may be empty.
void add_expression(const Expression& expression, Automaton& into, StateId from, StateId to, RuleSet* rules);

// A deterministic regular automaton. The expression calls no rules.
Automaton regular(const Expression& expression, Budget& budget);

// The smaller of the rule's body and its deterministic form, as finished bodies should be.
Automaton settled(const Automaton& body);

}  // namespace exa::grammar
