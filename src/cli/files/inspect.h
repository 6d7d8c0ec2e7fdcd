// `exaone inspect`: what a model file or folder holds, and what it takes to run it.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_inspect(CLI::App& app);

}  // namespace exa
