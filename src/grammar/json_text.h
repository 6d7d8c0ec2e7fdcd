// JSON in and out: foreign JSON read strictly, and the one spelling in which a grammar writes a value.
//
// Ownership and threads: pure functions. Source: RFC 8259; rules R2 and R6 of the reliability specification.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "grammar/automaton.h"

namespace exa::grammar {

// As read_json; at most kMostBytes, 64 deep, 50,000 values and 1,024 keys an object. Errors: kUnsupported beyond
// these.
nlohmann::ordered_json parse_json(std::string_view text, const std::string& place);

// A string as grammars spell it: escapes only where JSON demands them, the short ones where there are some.
std::string json_quoted(std::string_view text);

// The value with nothing or one space after each comma and colon; 2.0 as 2.
void add_value(Automaton& into, StateId from, const nlohmann::ordered_json& value, StateId to);

// Short, for messages.
std::string shown(const nlohmann::ordered_json& value);

}  // namespace exa::grammar
