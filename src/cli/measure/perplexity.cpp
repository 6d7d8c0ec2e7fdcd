#include "cli/measure/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/threads.h"
#include "cli/flags/model_flag.h"
#include "cli/flags/prompt_path.h"
#include "cli/flags/threads_flag.h"
#include "cli/measure/kl_base.h"
#include "cli/measure/prompt_backend.h"
#include "cli/terminal/streams.h"
#include "engine/prompt_path.h"
#include "formats/arrays.h"
#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "model/decoder.h"
#include "model/kv_cache.h"
#include "model/score.h"
#include "model/weights.h"
#include "text/tokenizer.h"

namespace exa {
namespace {

constexpr std::uint64_t kMaxTextBytes = std::uint64_t{1} << 30;

struct PerplexityOptions {
  std::filesystem::path model;
  std::filesystem::path text;
  std::filesystem::path kl_base;
  bool compare = false;
  bool json = false;
  PromptPath prompt_path = PromptPath::kUsual;
  int n_threads = 0;
  std::int32_t context = 512;
  std::int64_t n_chunks = 0;
};

// Mean and its standard error, one value at a time.
struct Mean {
  std::int64_t n = 0;
  double sum = 0;
  double sum_of_squares = 0;

  void add(double x) {
    ++n;
    sum += x;
    sum_of_squares += x * x;
  }
  double value() const { return n > 0 ? sum / static_cast<double>(n) : 0; }
  double error() const {
    if (n < 2) return 0;
    const double variance = sum_of_squares / static_cast<double>(n) - value() * value();
    return std::sqrt(std::max(variance, 0.0) / static_cast<double>(n - 1));
  }
};

// log softmax of a row, in place.
void to_log_probs(std::span<float> row) {
  const double top = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const float x : row) sum += std::exp(static_cast<double>(x) - top);
  const double norm = top + std::log(sum);
  for (float& x : row) x = static_cast<float>(static_cast<double>(x) - norm);
}

void require_finite(std::span<const float> logits, std::size_t chunk, const std::filesystem::path& model) {
  const auto is_finite = [](float x) { return std::isfinite(x); };
  if (std::all_of(logits.begin(), logits.end(), is_finite)) return;
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("the model's logits are not finite numbers in chunk {}, expected sound weights", chunk + 1),
      model.string());
}

struct Measured {
  Mean nll;       // of the model, per counted token
  Mean base_nll;  // of the base
  std::vector<double> kl;
  std::int64_t top1_equal = 0;
};

double kl_divergence(std::span<const float> base, std::span<const float> ours) {
  double kl = 0;
  for (std::size_t i = 0; i < base.size(); ++i) {
    const double p = static_cast<double>(base[i]);
    kl += std::exp(p) * (p - static_cast<double>(ours[i]));
  }
  return kl;
}

void print(const Measured& m, bool json) {
  const double ppl = std::exp(m.nll.value());
  nlohmann::ordered_json out{
      {"tokens", m.nll.n}, {"perplexity", ppl}, {"perplexity_error", ppl * m.nll.error()}};
  std::string text = fmt::format("Final estimate: PPL = {:.4f} +/- {:.4f} over {} tokens\n", ppl,
                                 ppl * m.nll.error(), m.nll.n);
  if (!m.kl.empty()) {
    std::vector<double> sorted = m.kl;
    std::sort(sorted.begin(), sorted.end());
    const auto quantile = [&](double q) {
      return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
    };
    Mean kl;
    for (const double x : sorted) kl.add(x);
    const double base_ppl = std::exp(m.base_nll.value());
    const double same_top = static_cast<double>(m.top1_equal) / static_cast<double>(m.kl.size());
    text += fmt::format(
        "Base PPL:  {:.4f}, ratio {:.6f}\nMean KLD:  {:.6f} +/- {:.6f}\nMaximum KLD: {:.6f}, 99.0%: {:.6f}, "
        "median: {:.6f}\n"
        "Same top p: {:.3f} %\n",
        base_ppl, ppl / base_ppl, kl.value(), kl.error(), sorted.back(), quantile(0.99), quantile(0.5),
        100 * same_top);
    out["base_perplexity"] = base_ppl;
    out["mean_kl"] = kl.value();
    out["mean_kl_error"] = kl.error();
    out["max_kl"] = sorted.back();
    out["p99_kl"] = quantile(0.99);
    out["median_kl"] = quantile(0.5);
    out["same_top"] = same_top;
  }
  write_out(json ? out.dump(2) + "\n" : text);
}

void run_perplexity(const PerplexityOptions& options) {
  if (options.compare && options.kl_base.empty()) {
    throw Error(ErrorKind::kUsage, "--kl-divergence needs a base: expected --kl-divergence-base FILE");
  }
  const Checkpoint checkpoint = Checkpoint::open(options.model);
  const Tokenizer tokenizer = Tokenizer::from_checkpoint(checkpoint);
  const std::string text = read_text_file(options.text, kMaxTextBytes);
  const std::vector<TokenId> all_ids = tokenizer.encode(text, true);
  const auto context = static_cast<std::size_t>(options.context);
  std::size_t n_chunks = all_ids.size() / context;
  if (options.n_chunks > 0) n_chunks = std::min(n_chunks, static_cast<std::size_t>(options.n_chunks));
  if (n_chunks == 0) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("the text has {} tokens, expected at least one context of {}", all_ids.size(), context),
        options.text.string());
  }
  const std::span<const TokenId> ids = std::span(all_ids).first(n_chunks * context);

  ThreadPool pool(options.n_threads > 0 ? options.n_threads : usable_cores());
  const std::unique_ptr<Backend> backend = make_backend(pool, options.prompt_path);
  const Weights weights = load_weights(checkpoint, read_config(checkpoint), *backend, Precision::kProduction);
  const std::int64_t rows_a_step = std::min<std::int64_t>(options.context, 128);
  Decoder decoder(weights, *backend, rows_a_step);

  // Rows of the second half predict the token after them; the last row of a context has none.
  std::vector<std::int32_t> positions(context - context / 2 - 1);
  std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(context / 2));
  const std::uint64_t n_rows = n_chunks * positions.size();
  const auto vocab = static_cast<std::uint64_t>(weights.config.vocab);
  std::optional<KlBaseReader> base;
  std::optional<KlBaseWriter> save;
  if (options.compare) {
    base.emplace(options.kl_base, ids, options.context, n_rows, vocab);
  } else if (!options.kl_base.empty()) {
    save.emplace(options.kl_base, ids, options.context, n_rows, vocab);
  }

  Measured measured;
  std::vector<float> ours;
  for (std::size_t chunk = 0; chunk < n_chunks; ++chunk) {
    KvCache cache(weights.config, KvType::kBF16, rows_a_step);
    const std::span<const TokenId> chunk_ids = ids.subspan(chunk * context, context);
    score(
        decoder, cache, chunk_ids, positions, rows_a_step,
        [&](std::size_t index, std::span<const float> logits) {
          ours.assign(logits.begin(), logits.end());
          require_finite(ours, chunk, options.model);
          to_log_probs(ours);
          const auto next =
              static_cast<std::size_t>(chunk_ids[static_cast<std::size_t>(positions[index]) + 1]);
          measured.nll.add(-static_cast<double>(ours[next]));
          if (save) save->add(ours);
          if (base) {
            const std::span<const float> expected = base->next();
            measured.base_nll.add(-static_cast<double>(expected[next]));
            measured.kl.push_back(kl_divergence(expected, ours));
            if (argmax(expected) == argmax(ours)) ++measured.top1_equal;
          }
        },
        prompt_role(options.prompt_path));
    write_note(fmt::format("[{}]{:.4f}{}", chunk + 1, std::exp(measured.nll.value()),
                           chunk + 1 < n_chunks ? "," : "\n"));
  }
  if (save) save->commit();
  print(measured, options.json);
}

}  // namespace

void add_perplexity(CLI::App& app) {
  auto options = std::make_shared<PerplexityOptions>();
  CLI::App* command =
      app.add_subcommand("perplexity", "Perplexity of a text, KL divergence against a saved base");
  add_model_option(*command, options->model);
  command->add_option("-f,--file", options->text, "UTF-8 text")->required();
  command->add_option("--kl-divergence-base,--kl-base", options->kl_base,
                      "Saves the log-probabilities to this file, or with --kl-divergence compares with them");
  command->add_flag("--kl-divergence", options->compare, "Compare with the base instead of saving it");
  command->add_option("-c,--ctx,--ctx-size", options->context, "Tokens a context (default 512)")
      ->check(CLI::Range(8, 1 << 20));
  command->add_option("--chunks", options->n_chunks, "At most so many contexts (default: the whole text)")
      ->check(CLI::Range(1, 1 << 30));
  add_threads_flag(*command, options->n_threads);
  add_prompt_path_flags(*command, options->prompt_path);
  command->add_flag("--json", options->json, "One JSON object on stdout");
  command->callback([options] { run_perplexity(*options); });
}

}  // namespace exa
