// GBNF, the grammar notation of llama.cpp's users: `root ::= "yes" | [0-9]{1,3} other`, one rule a line.
//
// Literals, classes, ., groups, |, * + ? {n} {n,} {n,m}, comments (#), escapes \n \r \t \\ \" \[ \] \xHH
// \uHHHH \UHHHHHHHH. Refused by name: left recursion, token references, rules without definition. Ownership
// and threads: a pure function. Source: llama.cpp's grammars/README.md (the notation).
#pragma once

#include <string_view>

#include "grammar/rules.h"

namespace exa::grammar {

// Errors: kBadInput or kUnsupported, where: "grammar, line N".
void add_gbnf(std::string_view text, RuleSet& rules);

}  // namespace exa::grammar
