// The model that comes with the program, for a command line that names none.
//
// Ownership and threads: pure functions, but for the look at the file system.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace exa {

// Where EXAONE-nano.Q8_0.gguf may lie for a program in `folder`, in the order of looking: beside it, in
// ../share/exaone where it is installed, in ../../models where it was built in a source tree.
std::vector<std::filesystem::path> shipped_model_places(const std::filesystem::path& folder);

// The first of the places of this executable that is a file. Errors: kUsage, naming all places.
std::string find_shipped_model();

// Makes the model of a subcommand, named by none of the command line, $EXAONE_MODEL and the configuration
// file, the shipped one before the subcommand's callback runs. `model` must outlive the command.
template <typename Model>  // std::string or std::filesystem::path
void default_to_shipped_model(CLI::App& command, Model& model) {
  command.parse_complete_callback([&model] {
    if (model.empty()) model = find_shipped_model();
  });
}

}  // namespace exa
