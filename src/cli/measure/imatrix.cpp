#include "cli/measure/imatrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/threads.h"
#include "chat/prompt.h"
#include "cli/flags/model_flag.h"
#include "cli/flags/threads_flag.h"
#include "cli/terminal/streams.h"
#include "convert/imatrix_file.h"
#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "model/decoder.h"
#include "model/kv_cache.h"
#include "model/score.h"
#include "model/weights.h"
#include "text/tokenizer.h"

namespace exa {
namespace {

constexpr std::uint64_t kMaxCalibrationBytes = std::uint64_t{1} << 30;

struct ImatrixOptions {
  std::filesystem::path model;
  std::filesystem::path text;
  std::filesystem::path output;
  bool raw = false;
  int n_threads = 0;
  std::int64_t context = 512;
  std::int64_t n_chunks = 0;
};

// Paragraphs, parted by empty lines.
std::vector<std::string> paragraphs(std::string_view text) {
  std::vector<std::string> all;
  std::string current;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
      current.append(current.empty() ? "" : "\n").append(line);
    } else if (!current.empty()) {
      all.push_back(std::move(current));
      current.clear();
    }
  }
  if (!current.empty()) all.push_back(std::move(current));
  return all;
}

// The text as conversations: a quantized model is used behind its template, so it is calibrated behind it
// too.
std::vector<TokenId> templated_ids(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                                   const std::string& text) {
  const std::optional<std::string> chat_template = checkpoint.chat_template();
  if (!chat_template) {
    throw Error(ErrorKind::kBadInput, "the model has no chat template, expected --raw",
                checkpoint.path().string());
  }
  const PromptBuilder prompts(tokenizer, Template::parse(*chat_template));
  const std::vector<std::string> parts = paragraphs(text);
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < parts.size(); i += 2) {
    std::vector<Message> messages = {{"user", parts[i]}};
    if (i + 1 < parts.size()) messages.emplace_back("assistant", parts[i + 1]);
    const Prompt prompt = prompts.chat(messages, nullptr, Thinking::kAuto);
    ids.insert(ids.end(), prompt.ids.begin(), prompt.ids.end());
  }
  return ids;
}

// Sums of squares of the inputs of every weight.
class Collector {
 public:
  explicit Collector(const std::filesystem::path& model) : model_(model) {}

  // Errors: kBadInput naming the layer for numbers that are none.
  void add(const Decoder::MatmulInputs& inputs) {
    if (inputs.layer < 0) return;
    const auto width = static_cast<std::size_t>(inputs.width);
    sums_.assign(width, 0.0);
    for (std::size_t i = 0; i < inputs.rows.size(); i += width) {
      for (std::size_t j = 0; j < width; ++j) {
        const auto x = static_cast<double>(inputs.rows[i + j]);
        sums_[j] += x * x;
      }
    }
    if (!std::all_of(sums_.begin(), sums_.end(), [](double sum) { return std::isfinite(sum); })) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("the inputs of {} in layer {} are not finite numbers, expected sound weights",
                              inputs.parts.front(), inputs.layer),
                  model_.string());
    }
    for (const std::string_view part : inputs.parts) {
      Entry& entry = entries_[{inputs.layer, std::string(part)}];
      entry.sums.resize(width, 0.0);
      for (std::size_t j = 0; j < width; ++j) entry.sums[j] += sums_[j];
      entry.n_tokens += inputs.rows.size() / width;
    }
  }

  std::vector<ImatrixEntry> entries() const {
    std::vector<ImatrixEntry> all;
    for (const auto& [key, entry] : entries_) {
      all.push_back({.name = fmt::format("blk.{}.{}.weight", key.first, key.second),
                     .n_cols = entry.sums.size(),
                     .sums = {entry.sums.begin(), entry.sums.end()},
                     .counts = {static_cast<float>(entry.n_tokens)}});
    }
    return all;
  }

 private:
  struct Entry {
    std::vector<double> sums;
    std::size_t n_tokens = 0;
  };

  std::filesystem::path model_;  // for errors
  std::map<std::pair<std::int64_t, std::string>, Entry> entries_;
  std::vector<double> sums_;
};

void run_imatrix(const ImatrixOptions& options) {
  const Checkpoint checkpoint = Checkpoint::open(options.model);
  const Tokenizer tokenizer = Tokenizer::from_checkpoint(checkpoint);
  const std::string text = read_text_file(options.text, kMaxCalibrationBytes);
  const std::vector<TokenId> ids =
      options.raw ? tokenizer.encode(text, true) : templated_ids(checkpoint, tokenizer, text);
  if (ids.empty()) throw Error(ErrorKind::kBadInput, "expected text, found none", options.text.string());
  const auto context = static_cast<std::size_t>(options.context);
  std::size_t n_chunks = std::max<std::size_t>(1, ids.size() / context);
  if (options.n_chunks > 0) n_chunks = std::min(n_chunks, static_cast<std::size_t>(options.n_chunks));

  ThreadPool pool(options.n_threads > 0 ? options.n_threads : usable_cores());
  const std::unique_ptr<Backend> backend = make_cpu_backend(pool);
  const Weights weights = load_weights(checkpoint, read_config(checkpoint), *backend, Precision::kProduction);
  Decoder decoder(weights, *backend, options.context);
  Collector collector(options.model);
  decoder.observe_inputs([&](const Decoder::MatmulInputs& inputs) { collector.add(inputs); });
  for (std::size_t chunk = 0; chunk < n_chunks; ++chunk) {
    KvCache cache(weights.config, KvType::kBF16, options.context);
    const std::size_t begin = chunk * context;
    score(decoder, cache, std::span(ids).subspan(begin, std::min(context, ids.size() - begin)), {},
          options.context, [](std::size_t, std::span<const float>) {});
    write_note(
        fmt::format("[{:>4}/{}] {} tokens\n", chunk + 1, n_chunks, std::min(begin + context, ids.size())));
  }
  write_imatrix(options.output, {.datasets = {options.text.filename().string()},
                                 .n_chunks = static_cast<std::uint32_t>(n_chunks),
                                 .chunk_tokens = static_cast<std::uint32_t>(options.context),
                                 .entries = collector.entries()});
}

}  // namespace

void add_imatrix(CLI::App& app) {
  auto options = std::make_shared<ImatrixOptions>();
  CLI::App* command =
      app.add_subcommand("imatrix", "Measure the importance of each weight's columns on a text");
  add_model_option(*command, options->model);
  command
      ->add_option("-f,--file", options->text,
                   "UTF-8 text; its paragraphs become the turns of conversations in the model's template")
      ->required();
  command->add_option("-o,--output", options->output, "The imatrix to write (GGUF)")->required();
  command->add_flag("--raw", options->raw,
                    "Take the text as it is, without the template; control tokens in it match");
  command->add_option("-c,--ctx,--ctx-size", options->context, "Tokens a chunk (default 512)")
      ->check(CLI::Range(8, 8192));
  command->add_option("--chunks", options->n_chunks, "At most so many chunks (default: the whole text)")
      ->check(CLI::Range(1, 1 << 30));
  add_threads_flag(*command, options->n_threads);
  command->callback([options] { run_imatrix(*options); });
}

}  // namespace exa
