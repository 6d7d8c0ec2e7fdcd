// Values of JSON Schema's "format" that this project enforces, as automata over the decoded string.
//
// Ownership and threads: pure functions.
// Source: RFC 3339 (date, time), RFC 2673 and 4291 (addresses), RFC 4122 (uuid), RFC 1123 (hostname), RFC
// 5321 (email; the part without quotes, comments and address literals).
#pragma once

#include <optional>
#include <string_view>

#include "grammar/automaton.h"

namespace exa::grammar {

// "date, date-time, …" for messages.
std::string_view format_names();
// Nothing for a format that is not known.
std::optional<Automaton> format_automaton(std::string_view format, Budget& budget);

}  // namespace exa::grammar
