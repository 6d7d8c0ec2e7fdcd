// Declarations of tools in the one form that templates and grammars read.
//
// Ownership and threads: pure functions. Source: OpenAI's tools; Anthropic's (input_schema); the Model
// Context Protocol's (inputSchema).
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace exa {

// As read_tools (exaone/messages.h), for what has been parsed.
nlohmann::ordered_json plain_tools(nlohmann::ordered_json tools, const std::string& name);

}  // namespace exa
