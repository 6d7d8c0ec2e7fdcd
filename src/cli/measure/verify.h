// `exaone verify`: compares this engine with reference outputs, exact and production, and says whether it is
// within the stated tolerance.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_verify(CLI::App& app);

}  // namespace exa
