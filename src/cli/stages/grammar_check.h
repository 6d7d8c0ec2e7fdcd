// `exaone grammar-check`: which texts a schema, grammar, pattern or choice lets through, and what a model
// that knows nothing writes under it.
//
// Ownership and threads: the callback runs on the main thread.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_grammar_check(CLI::App& app);

}  // namespace exa
