// `exaone imatrix`: runs a text through the model and writes how strongly each column of each weight is used.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_imatrix(CLI::App& app);

}  // namespace exa
