// The flags that choose the path of prompts.
//
// Ownership and threads: free functions; used on the main thread. Source: PromptPath.
#pragma once

#include <CLI/CLI.hpp>

#include "exaone/engine.h"

namespace exa {

// --deterministic --fast-prefill. The path must outlive the command.
void add_prompt_path_flags(CLI::App& command, PromptPath& path);

}  // namespace exa
