#include "cli/stages/logits.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "cli/flags/model_flag.h"
#include "cli/flags/threads_flag.h"
#include "formats/arrays.h"
#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "model/decoder.h"
#include "model/kv_cache.h"
#include "model/score.h"
#include "model/weights.h"

namespace exa {
namespace {

struct LogitsOptions {
  std::filesystem::path model;
  std::filesystem::path input;
  std::filesystem::path output;
  int n_threads = 0;
  std::int64_t chunk = 0;
  std::string role = "prompt";
  bool exact = false;
  bool hidden = false;
};

NamedArray f32_array(std::string name, std::vector<std::uint64_t> shape, std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return {std::move(name), DType::kF32, std::move(shape), {bytes.begin(), bytes.end()}};
}

void run_logits(const LogitsOptions& options) {
  const Checkpoint input = Checkpoint::open(options.input);
  const std::vector<std::int32_t> ids = read_i32(input, "ids");
  std::vector<std::int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  if (input.find("positions")) positions = read_i32(input, "positions");
  if (ids.empty())
    throw Error(ErrorKind::kBadInput, "expected at least one id, found none",
                options.input.string() + ", array ids");

  const Checkpoint checkpoint = Checkpoint::open(options.model);
  ThreadPool pool(options.n_threads > 0 ? options.n_threads : usable_cores());
  const std::unique_ptr<Backend> backend = make_cpu_backend(pool);
  const Precision precision = options.exact ? Precision::kExact : Precision::kProduction;
  const Weights weights = load_weights(checkpoint, read_config(checkpoint), *backend, precision);
  const ModelConfig& config = weights.config;
  if (static_cast<std::int64_t>(ids.size()) > config.max_context) {
    throw Error(ErrorKind::kBadInput,
                "prompt has " + std::to_string(ids.size()) + " tokens, the context holds " +
                    std::to_string(config.max_context),
                options.input.string());
  }
  // Generated rows are computed one at a time, prompt rows together.
  const std::int64_t chunk = options.chunk > 0 ? options.chunk : options.role == "generated" ? 1 : 512;
  Decoder decoder(weights, *backend, chunk);
  KvCache cache(config, options.exact ? KvType::kF32 : KvType::kBF16, chunk);

  const auto hidden_width = static_cast<std::size_t>(config.hidden);
  std::vector<std::vector<float>> hidden(options.hidden ? static_cast<std::size_t>(config.n_layers()) + 1
                                                        : 0);
  if (options.hidden) {
    decoder.observe_hidden([&](std::int64_t i, std::span<const float> rows) {
      auto& all = hidden[static_cast<std::size_t>(i)];
      all.insert(all.end(), rows.begin(), rows.end());
    });
  }
  const auto vocab = static_cast<std::size_t>(config.vocab);
  std::vector<float> logits(positions.size() * vocab);
  score(
      decoder, cache, ids, positions, chunk,
      [&](std::size_t index, std::span<const float> row) {
        std::copy(row.begin(), row.end(), logits.begin() + static_cast<std::ptrdiff_t>(index * vocab));
      },
      options.role == "prompt" ? Role::kPrompt : Role::kGenerated);

  std::vector<NamedArray> arrays;
  arrays.push_back(f32_array("logits", {positions.size(), vocab}, logits));
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    arrays.push_back(f32_array("hidden." + std::to_string(i), {ids.size(), hidden_width}, hidden[i]));
  }
  write_safetensors(options.output, arrays);
}

}  // namespace

void add_logits(CLI::App& app) {
  auto options = std::make_shared<LogitsOptions>();
  CLI::App* command = app.add_subcommand("logits", "Write the logits of given token ids as safetensors");
  add_model_option(*command, options->model);
  command->add_option("--input", options->input, "safetensors with ids i32 [T], optionally positions i32 [n]")
      ->required();
  command->add_option("--output", options->output, "safetensors to write: logits f32 [n, vocab]")->required();
  add_threads_flag(*command, options->n_threads);
  command->add_option("--chunk", options->chunk, "Rows computed together (default 512)")
      ->check(CLI::Range(1, 8192));
  command->add_option("--as", options->role, "Compute all rows as prompt rows or as generated rows")
      ->check(CLI::IsMember({"prompt", "generated"}));
  command->add_flag("--hidden", options->hidden,
                    "Also write hidden.i f32 [T, hidden] before each layer and after the final norm");
  command->add_flag("--exact", options->exact, "Weights, activations, attention and cache in fp32");
  command->callback([options] { run_logits(*options); });
}

}  // namespace exa
