#include "cli/files/inspect.h"

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/threads.h"
#include "cli/files/inspect_checksums.h"
#include "cli/files/inspect_report.h"
#include "cli/flags/model_flag.h"
#include "cli/terminal/streams.h"

namespace exa {
namespace {

struct InspectOptions {
  std::filesystem::path model;
  std::int64_t context_tokens = 0;
  bool json = false;
  bool checksums = false;
};

void run_checksums(const InspectOptions& options) {
  const ModelSums sums = checksum_model(Checkpoint::open(options.model), usable_cores());
  if (options.json) {
    write_out(to_json(sums).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  } else {
    write_out(to_text(sums));
  }
  if (const std::string damaged = first_damaged(sums); !damaged.empty()) {
    throw Error(ErrorKind::kBadInput, "the bytes have another CRC32C than the file states",
                options.model.string() + ", tensor " + damaged);
  }
}

void run_inspect(const InspectOptions& options) {
  if (options.checksums) {
    run_checksums(options);
    return;
  }
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
  add_model_option(*command, options->model, "A .gguf or .safetensors file or a Hugging Face folder",
                   "-m,--model,MODEL");
  command
      ->add_option("-c,--ctx", options->context_tokens,
                   "Context in tokens that memory is computed for (default: the model's limit)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  command->add_flag("--checksums", options->checksums,
                    "Instead, XXH3 and SHA-256 of every file and tensor, and a search for NaN and Inf");
  command->add_flag("--json", options->json, "One JSON object instead of text");
  command->callback([options] { run_inspect(*options); });
}

}  // namespace exa
