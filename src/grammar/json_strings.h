// JSON strings as automata: any string, strings of a length, and strings whose decoded text an automaton
// says.
//
// Ownership and threads: pure functions. Source: RFC 8259 section 7.
#pragma once

#include "grammar/rules.h"

namespace exa::grammar {

// Any JSON string with its quotes, in every spelling but lone surrogates.
Automaton any_string(Budget& budget);
// One character of such a string: itself or an escape.
Automaton string_character(Budget& budget);
// `decoded`: deterministic, regular, over UTF-8. The same texts inside a JSON string (no quotes), each in the
// spelling of json_quoted().
Automaton escaped(const Automaton& decoded);

}  // namespace exa::grammar
