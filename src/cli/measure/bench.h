// `exaone bench`: speed of prompt processing, generation and batches, beside what the machine could give.
//
// Source: the flags, columns and JSON keys of llama-bench.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

void add_bench(CLI::App& app);

}  // namespace exa
