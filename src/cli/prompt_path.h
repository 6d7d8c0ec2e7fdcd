// The flags that choose the path of prompts, and the backend of commands that do without the engine.
//
// Ownership and threads: free functions; used on the main thread. Source: PromptPath.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "exaone/engine.h"
#include "kernels/backend.h"

namespace exa {

// --deterministic --fast-prefill. The path must outlive the command.
void add_prompt_path_flags(CLI::App& command, PromptPath& path);

// `pool` outlives it. Errors: kUnsupported where the machine has no such path.
std::unique_ptr<Backend> make_backend(ThreadPool& pool, PromptPath path);

}  // namespace exa
