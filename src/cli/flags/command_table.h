// What the subcommands and flags are, read back from the parser: completion and man pages are made of it.
//
// Ownership and threads: values; pure functions over the parser.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace exa {

struct FlagRow {
  std::vector<std::string> names;    // "-m", "--model"; a positional's name without dashes
  std::string value;                 // "FILE", "INT"; empty: takes none
  std::vector<std::string> choices;  // the only values it takes; empty: any
  std::string help;
  std::string default_value;  // empty: none
  bool positional = false;
};

struct CommandRow {
  std::string name;
  std::string help;
  std::vector<FlagRow> flags;
};

// In the order in which they were added; hidden ones are left out.
std::vector<CommandRow> command_table(const CLI::App& app);

// "EXAONE_MAX_TOKENS" for "max-tokens"
std::string environment_name(const std::string& long_name);

// `exaone completion SHELL` and `exaone man [COMMAND]`
void add_completion(CLI::App& app);
void add_man_page(CLI::App& app);

}  // namespace exa
