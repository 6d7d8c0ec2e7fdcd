// `exaone chat`: a conversation, turn by turn.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_chat(CLI::App& app);

}  // namespace exa
