// Messages as templates read them.
//
// Ownership and threads: a free function over values.
// Source: product specification M1 to M4; transformers' apply_chat_template (names of reasoning).
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "exaone/messages.h"

namespace exa {

// In the result roles are system, user, assistant and tool; content is a string, or a list of {type: image},
// {type: video} and {type: text, text} where there are pictures, and absent for an assistant without any;
// arguments that are JSON text are values; the results of one assistant's calls stand in the order of the
// calls where all carry ids. Errors: kBadInput, where = "messages[i].…", for an unknown role, text that is
// not UTF-8, what a role cannot have (calls of a user, pictures of anybody else), results that answer no
// call.
nlohmann::ordered_json template_messages(std::span<const Message> messages);

}  // namespace exa
