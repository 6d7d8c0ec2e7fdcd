// Calls of offered tools in EXAONE's format, and text around them, into rules.
//
// `<tool_call>{"name": "…", "arguments": {…}}</tool_call>`, several joined by a newline.
// Ownership and threads: a pure function. Source: exaone-models specification 6.1 and 6.5.
#pragma once

#include <string_view>

#include "grammar/grammar.h"
#include "grammar/rules.h"

namespace exa::grammar {

// Errors: as Grammar::from_tools.
void add_tools(std::string_view tools, const ToolGrammar& options, RuleSet& rules);

}  // namespace exa::grammar
