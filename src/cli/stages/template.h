// `exaone template`: a chat template rendered over exactly the variables that come in.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_template(CLI::App& app);

}  // namespace exa
