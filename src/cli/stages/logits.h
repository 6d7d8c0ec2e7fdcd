// `exaone logits`: token ids in, logits (and hidden states) out, as safetensors, for checking against other
// code.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_logits(CLI::App& app);

}  // namespace exa
