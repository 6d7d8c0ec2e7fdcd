// `exaone perplexity`: how well a model predicts a text, and how far it lies from a saved base of logits.
//
// Source: the chunking and the flags of llama-perplexity (a window of n_ctx tokens, its second half counted).
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_perplexity(CLI::App& app);

}  // namespace exa
