// `exaone tokenize`: text in, token ids out, and back; plain or one JSON object a line.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>

#include "text/tokenizer.h"

namespace exa {

void add_tokenize(CLI::App& app);

// The tokenizer of a model, or a tokenizer.json alone. Errors: those of reading them.
Tokenizer open_tokenizer(const std::filesystem::path& path);

}  // namespace exa
