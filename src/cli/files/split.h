// `exaone split` and `exaone merge`: one GGUF file into shards and back.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

// Registers both.
void add_split(CLI::App& app);

}  // namespace exa
