// `exaone quantize IN OUT TYPE`: a model file or folder into a smaller GGUF file.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_quantize(CLI::App& app);

}  // namespace exa
