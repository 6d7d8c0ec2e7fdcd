// Regular expressions without backtracking: the part of ECMA-262's syntax that denotes regular languages.
//
// Literals, ., classes, \d \w \s \D \W \S, escapes (\n \t \r \f \v \0 \xHH \uHHHH \u{H…} \cX), groups
// (plain, (?:…), (?<name>…)), |, * + ? {n} {n,} {n,m} (lazy forms mean the same), ^ and $ anywhere. Refused
// by name: lookaround, backreferences, \b, \B, \p{…}, flags. Ownership and threads: pure functions. Source:
// ECMA-262 22.2 with the u flag.
#pragma once

#include <string>
#include <string_view>

#include "grammar/expression.h"

namespace exa::grammar {

// The text must match from end to end; ^ and $ at its ends change nothing. Long repetitions become rules.
// Errors: kBadInput (not a regular expression; where: the budget's place, byte offset), kUnsupported naming
// the construct.
Automaton whole_match(std::string_view pattern, RuleSet& rules);
// The pattern is found somewhere in the text, as JSON Schema's "pattern". Deterministic, regular. Errors: as
// whole_match.
Automaton search_match(std::string_view pattern, Budget& budget);

}  // namespace exa::grammar
