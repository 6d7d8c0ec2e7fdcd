// Flags that were not typed: from the environment, else from the configuration file, else their default.
//
// Every flag --max-tokens is also EXAONE_MAX_TOKENS, and max-tokens in config.toml: at the top for every
// subcommand that has it, or under [run] for one.
// Ownership and threads: borrows the parser; used on the main thread before it parses and by --print-config.
// What the file says becomes the process's environment: a child started later sees it.
// Source: the XDG base directory specification; TOML as CLI11 reads it.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace exa {

class Settings {
 public:
  // Binds the flags of the subcommand that argv names, and gives every subcommand --print-config.
  // Errors: kUsage for a file that is no TOML, or a key that is no flag of any subcommand; kIo.
  Settings(CLI::App& app, int argc, const char* const* argv);

  // $EXAONE_CONFIG, else $XDG_CONFIG_HOME/exaone/config.toml, else ~/.config/exaone/config.toml; empty where
  // there is no home.
  static std::filesystem::path file();

 private:
  void read_file(const CLI::App& app, const std::string& command);
  void bind(CLI::App& command);
  std::string describe(const CLI::App& command) const;
  bool typed(const CLI::Option& option) const;

  bool print_ = false;
  std::vector<std::string> words_;                // of the command line
  std::map<std::string, std::string> from_file_;  // environment name → what the file says
};

}  // namespace exa
