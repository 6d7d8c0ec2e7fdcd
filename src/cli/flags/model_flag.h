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

// Adds the flag -m, --model (names: other spellings of it) to a subcommand. Where none of the command line,
// $EXAONE_MODEL and the configuration file names a model, it is the shipped one before the subcommand's
// callback runs. kinds: what the flag takes. `model` must outlive the command.
template <typename Model>  // std::string or std::filesystem::path
void add_model_option(CLI::App& command, Model& model,
                      const std::string& kinds = "A .gguf file or a Hugging Face folder",
                      const std::string& names = "-m,--model") {
  command.add_option(names, model, kinds + " (default: the model that comes with the program)");
  command.parse_complete_callback([&model] {
    if (model.empty()) model = find_shipped_model();
  });
}

}  // namespace exa
