// Messages as clients send them → messages as templates read them.
//
// Ownership and threads: a free function over values.
// Source: product specification M1 to M4; transformers' apply_chat_template (null keys dropped, names of
// reasoning).
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace exa {

// Errors: kBadInput where value nests deeper than 128 arrays and objects; deeper ones cannot be copied
// safely.
void require_shallow(const nlohmann::ordered_json& value, const std::string& where);

// messages: an array of OpenAI-shaped objects. In the result roles are system, user, assistant and tool; null
// keys are gone; content of text parts alone is one string, other parts are {type: image}, {type: video} or
// {type: text, text}; arguments that are JSON text are values; reasoning is in reasoning_content; the results
// of one assistant's calls stand in the order of the calls where all carry ids. Errors: kBadInput, where =
// "messages[i].…".
nlohmann::ordered_json template_messages(const nlohmann::ordered_json& messages);

}  // namespace exa
