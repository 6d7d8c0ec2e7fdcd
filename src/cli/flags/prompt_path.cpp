#include "cli/flags/prompt_path.h"

namespace exa {

void add_prompt_path_flags(CLI::App& command, PromptPath& path) {
  CLI::Option* const deterministic = command.add_flag_callback(
      "--deterministic", [&path] { path = PromptPath::kDeterministic; },
      "Compute prompts to the bit as answers are computed (slower on some machines)");
  command
      .add_flag_callback(
          "--fast-prefill", [&path] { path = PromptPath::kFast; },
          "Read prompts faster and more roughly where the processor has AMX and the weights 4 or 5 bits")
      ->excludes(deterministic);
}

}  // namespace exa
