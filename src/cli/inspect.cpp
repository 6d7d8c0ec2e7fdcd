#include "cli/inspect.h"

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/inspect_report.h"
#include "cli/streams.h"

namespace exa {
namespace {

struct InspectOptions {
  std::filesystem::path model;
  std::int64_t context_tokens = 0;
  bool json = false;
};

void run_inspect(const InspectOptions& options) {
  const InspectReport report = inspect_model(options.model, options.context_tokens);
  if (options.json) {
    write_out(to_json(report).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  } else {
    write_out(to_text(report));
  }
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command =
      app.add_subcommand("inspect", "Show what a model file holds and what it takes to run it");
  command
      ->add_option("-m,--model,MODEL", options->model,
                   "A .gguf or .safetensors file or a Hugging Face folder")
      ->required();
  command
      ->add_option("-c,--ctx", options->context_tokens,
                   "Context in tokens that memory is computed for (default: the model's limit)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  command->add_flag("--json", options->json, "One JSON object instead of text");
  command->callback([options] { run_inspect(*options); });
}

}  // namespace exa
