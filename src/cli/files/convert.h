// `exaone convert`: a Hugging Face folder into GGUF.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_convert(CLI::App& app);

}  // namespace exa
