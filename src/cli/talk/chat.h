// `exaone chat`: a conversation on a terminal, or line by line through a pipe.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/talk/chat_session.h"

namespace exa {

void add_chat(CLI::App& app);

// Talks until the person leaves. Errors: kInterrupted; where nobody reads along, what ChatSession::take
// throws.
void talk(ChatSession& session, bool interactive);

}  // namespace exa
