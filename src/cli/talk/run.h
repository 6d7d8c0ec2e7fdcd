// `exaone run`: one prompt in, one answer out.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_run(CLI::App& app);

}  // namespace exa
