// `exaone tokenize`: text in, token ids out, and back; plain or one JSON object a line.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_tokenize(CLI::App& app);

}  // namespace exa
