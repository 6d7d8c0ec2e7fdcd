// The conversation of the public API as the JSON that chat/prompt reads.
//
// Ownership and threads: pure functions.
// Source: OpenAI's chat messages (the shape of the JSON).
#pragma once

#include <nlohmann/json.hpp>

#include "exaone/engine.h"

namespace exa {

// Errors: kBadInput naming the message for an unknown role, text that is not UTF-8, a message that its role
// cannot have (calls of a user, pictures of anybody else).
nlohmann::ordered_json messages_json(const GenerateRequest& request);

// The declared tools as an array, null where the request has none or may not call any. Errors: kBadInput for
// text that is no JSON array of function declarations, or a named tool that is not among them.
nlohmann::ordered_json tools_json(const GenerateRequest& request);

// The further template variables, an object. Errors: kBadInput.
nlohmann::ordered_json template_arguments_json(const GenerateRequest& request);

}  // namespace exa
