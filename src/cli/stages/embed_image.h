// `exaone embed-image`: what the vision tower makes of pictures, for checking against other code.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_embed_image(CLI::App& app);

}  // namespace exa
