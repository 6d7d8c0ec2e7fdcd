// The backend of commands that do without the engine, with the path of prompts that the flags chose.
//
// Ownership and threads: a free function. Source: PromptPath.
#pragma once

#include <memory>

#include "exaone/engine.h"
#include "kernels/backend.h"

namespace exa {

// `pool` outlives it. Errors: kUnsupported where the machine has no such path.
std::unique_ptr<Backend> make_backend(ThreadPool& pool, PromptPath path);

}  // namespace exa
