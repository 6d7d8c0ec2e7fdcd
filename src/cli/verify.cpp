#include "cli/verify.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "cli/arrays.h"
#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "kernels/isa/matmul.h"
#include "model/decoder.h"
#include "model/kv_cache.h"
#include "model/score.h"
#include "model/weights.h"

namespace exa {
namespace {

// docs/numerics.md states these limits and why they lie where they do.
constexpr double kExactLogitTolerance = 2e-4;
constexpr double kExactHiddenTolerance = 2e-4;  // of the largest magnitude in the array
constexpr double kFloatKlTolerance = 8e-4;      // rows computed with fp32 or bf16 activations
constexpr double kInt8KlTolerance = 3e-3;       // rows computed with int8 activations per 32
constexpr std::int64_t kPromptChunk = 512;

struct VerifyOptions {
  std::filesystem::path model;
  std::filesystem::path reference;
  int n_threads = 0;
  bool json = false;
};

struct Difference {
  double max_abs = 0;
  double kl_sum = 0;
  std::int64_t n_rows = 0;
  std::int64_t top1_equal = 0;

  double mean_kl() const { return n_rows > 0 ? kl_sum / static_cast<double>(n_rows) : 0; }
  void add(const Difference& other) {
    max_abs = std::max(max_abs, other.max_abs);
    kl_sum += other.kl_sum;
    n_rows += other.n_rows;
    top1_equal += other.top1_equal;
  }
};

double log_sum_exp(std::span<const float> row) {
  const double top = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const float x : row) sum += std::exp(static_cast<double>(x) - top);
  return top + std::log(sum);
}

std::size_t argmax(std::span<const float> row) {
  return static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

// One row of ours against one of the reference; KL is sum p_ref (log p_ref − log p_ours). A NaN counts as
// infinite.
Difference compare_row(std::span<const float> reference, std::span<const float> ours) {
  Difference d;
  d.n_rows = 1;
  const double reference_norm = log_sum_exp(reference);
  const double our_norm = log_sum_exp(ours);
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double delta = std::abs(static_cast<double>(reference[i]) - static_cast<double>(ours[i]));
    d.max_abs = std::isfinite(delta) ? std::max(d.max_abs, delta) : std::numeric_limits<double>::infinity();
    const double log_p = static_cast<double>(reference[i]) - reference_norm;
    d.kl_sum += std::exp(log_p) * (log_p - (static_cast<double>(ours[i]) - our_norm));
  }
  if (!std::isfinite(d.kl_sum)) d.kl_sum = std::numeric_limits<double>::infinity();
  d.top1_equal = argmax(reference) == argmax(ours) ? 1 : 0;
  return d;
}

// What one way of computing (precision and role) gave for one case.
struct Outcome {
  std::string case_name;
  std::string precision;
  std::string role;
  Difference logits{};
  std::optional<double> hidden_max_relative{};
  std::optional<std::int64_t> greedy_equal{};     // steps that agree before the first that does not
  std::optional<std::int64_t> greedy_compared{};  // steps until the reference's margin falls below the error
  bool passed = true;
};

struct Report {
  std::vector<Outcome> outcomes;
  struct Pooled {
    std::string precision;
    std::string role;
    Difference logits;
    double tolerance;
    bool passed;
  };
  std::vector<Pooled> pooled;
  std::vector<std::pair<std::string, std::string>> skipped;  // case, why
  bool passed = true;
};

struct Case {
  std::string name;
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> positions;
  std::vector<float> logits;
};

struct Reference {
  std::vector<Case> cases;
  std::vector<std::vector<float>> hidden;  // of case "short"
  std::vector<std::int32_t> greedy_ids;    // continue "short"
  std::vector<float> greedy_margin;
  std::vector<std::pair<std::string, std::string>> skipped;
};

Reference read_reference(const Checkpoint& file, std::int64_t vocab) {
  Reference reference;
  for (const TensorInfo& tensor : file.tensors()) {
    constexpr std::string_view kSuffix = ".ids";
    if (!tensor.name.ends_with(kSuffix) || tensor.name == "greedy.ids") continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - kSuffix.size());
    if (name.starts_with("image") || name == "two_images") {
      reference.skipped.emplace_back(name, "needs the vision tower");
      continue;
    }
    if (name == "mtp") {
      reference.skipped.emplace_back(name, "needs the drafting layer");
      continue;
    }
    Case c{.name = name,
           .ids = read_i32(file, tensor.name),
           .positions = {},
           .logits = read_f32(file, name + ".logits")};
    if (file.find(name + ".positions")) {
      c.positions = read_i32(file, name + ".positions");
    } else {
      c.positions.resize(c.ids.size());
      std::iota(c.positions.begin(), c.positions.end(), 0);
    }
    if (c.logits.size() != c.positions.size() * static_cast<std::size_t>(vocab)) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("expected {} rows of {} logits, found {} numbers", c.positions.size(), vocab,
                              c.logits.size()),
                  file.path().string() + ", array " + name + ".logits");
    }
    reference.cases.push_back(std::move(c));
  }
  if (file.find("video.frames_u8")) reference.skipped.emplace_back("video", "needs the vision tower");
  const auto is_short = [](const Case& c) { return c.name == "short"; };
  std::stable_partition(reference.cases.begin(), reference.cases.end(), is_short);
  if (!reference.cases.empty() && is_short(reference.cases.front()) && file.find("greedy.ids")) {
    reference.greedy_ids = read_i32(file, "greedy.ids");
    reference.greedy_margin = read_f32(file, "greedy.margin");
    if (reference.greedy_margin.size() != reference.greedy_ids.size()) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("expected {} margins, found {}", reference.greedy_ids.size(),
                              reference.greedy_margin.size()),
                  file.path().string() + ", array greedy.margin");
    }
  }
  while (file.find("short.hidden." + std::to_string(reference.hidden.size()))) {
    reference.hidden.push_back(read_f32(file, "short.hidden." + std::to_string(reference.hidden.size())));
  }
  return reference;
}

class Verifier {
 public:
  Verifier(const Checkpoint& checkpoint, ThreadPool& pool, Precision precision)
      : backend_(make_cpu_backend(pool)),
        weights_(load_weights(checkpoint, *backend_, precision)),
        exact_(precision == Precision::kExact) {}

  const ModelConfig& config() const { return weights_.config; }

  bool uses_int8() const {
    if (exact_) return false;
    const auto int8 = [](const Matrix& m) { return uses_int8_activations(m.type); };
    return std::any_of(weights_.layers.begin(), weights_.layers.end(),
                       [&](const LayerWeights& w) {
                         return int8(w.q) || int8(w.k) || int8(w.v) || int8(w.o) || int8(w.gate) ||
                                int8(w.up) || int8(w.down);
                       }) ||
           int8(weights_.head_matrix());
  }

  // All cases in one role; adds outcomes and the pooled verdict to the report.
  void run(const Reference& reference, const std::string& role, Report& report) {
    const std::int64_t chunk = role == "generated" ? 1 : kPromptChunk;
    Decoder decoder(weights_, *backend_, chunk);
    Difference pooled;
    for (const Case& c : reference.cases) {
      Outcome outcome{.case_name = c.name, .precision = precision_name(), .role = role};
      outcome.logits = compare(decoder, c, role, chunk);
      if (exact_ && c.name == "short" && !reference.hidden.empty() && role == "prompt") {
        outcome.hidden_max_relative = compare_hidden(decoder, c, reference.hidden);
        outcome.passed = *outcome.hidden_max_relative <= kExactHiddenTolerance;
      }
      if (exact_) outcome.passed = outcome.passed && outcome.logits.max_abs <= kExactLogitTolerance;
      pooled.add(outcome.logits);
      report.outcomes.push_back(std::move(outcome));
    }
    if (!reference.greedy_ids.empty())
      report.outcomes.push_back(greedy(decoder, reference, role, chunk, pooled.max_abs));
    const double tolerance = exact_        ? kExactLogitTolerance
                             : uses_int8() ? kInt8KlTolerance
                                           : kFloatKlTolerance;
    const double measured = exact_ ? pooled.max_abs : pooled.mean_kl();
    report.pooled.push_back(
        {precision_name(), role, pooled, tolerance, measured <= tolerance && pooled.n_rows > 0});
  }

 private:
  static Role role_of(const std::string& role) {
    return role == "generated" ? Role::kGenerated : Role::kPrompt;
  }

  std::string precision_name() const { return exact_ ? "exact" : "production"; }

  KvCache new_cache(std::int64_t chunk) const {
    return KvCache(weights_.config, exact_ ? KvType::kF32 : KvType::kBF16, chunk);
  }

  Difference compare(Decoder& decoder, const Case& c, const std::string& role, std::int64_t chunk) {
    KvCache cache = new_cache(chunk);
    Difference total;
    const auto vocab = static_cast<std::size_t>(config().vocab);
    const auto add = [&](std::size_t index, std::span<const float> row) {
      total.add(compare_row(std::span(c.logits).subspan(index * vocab, vocab), row));
    };
    score(decoder, cache, c.ids, c.positions, chunk, add, role_of(role));
    return total;
  }

  double compare_hidden(Decoder& decoder, const Case& c, const std::vector<std::vector<float>>& hidden) {
    double worst = 0;
    decoder.observe_hidden([&](std::int64_t i, std::span<const float> rows) {
      const auto& expected = hidden[std::min(static_cast<std::size_t>(i), hidden.size() - 1)];
      if (static_cast<std::size_t>(i) >= hidden.size() || expected.size() != rows.size()) {
        worst = std::numeric_limits<double>::infinity();
        return;
      }
      double largest = 0;
      double difference = 0;
      for (std::size_t j = 0; j < rows.size(); ++j) {
        largest = std::max(largest, std::abs(static_cast<double>(expected[j])));
        difference =
            std::max(difference, std::abs(static_cast<double>(expected[j]) - static_cast<double>(rows[j])));
      }
      worst = std::max(worst, difference / largest);
    });
    KvCache cache = new_cache(kPromptChunk);
    score(decoder, cache, c.ids, {}, kPromptChunk, [](std::size_t, std::span<const float>) {});
    decoder.observe_hidden({});
    return worst;
  }

  // Feeds the reference's own greedy tokens: ours agrees as long as each row's argmax is the next of them.
  Outcome greedy(Decoder& decoder, const Reference& reference, const std::string& role, std::int64_t chunk,
                 double max_abs) {
    const std::vector<std::int32_t>& prompt = reference.cases.front().ids;
    std::vector<std::int32_t> ids = prompt;
    ids.insert(ids.end(), reference.greedy_ids.begin(), reference.greedy_ids.end() - 1);
    std::vector<std::int32_t> positions(reference.greedy_ids.size());
    std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(prompt.size()) - 1);
    // Below this margin an error within tolerance may swap first and second.
    const double threshold = exact_ ? kExactLogitTolerance : 2 * max_abs;
    const auto first_close =
        std::find_if(reference.greedy_margin.begin(), reference.greedy_margin.end(),
                     [&](float margin) { return static_cast<double>(margin) < threshold; });
    const std::int64_t compared = first_close - reference.greedy_margin.begin();
    std::int64_t equal = 0;
    KvCache cache = new_cache(chunk);
    const auto count = [&](std::size_t index, std::span<const float> row) {
      const auto i = static_cast<std::int64_t>(index);
      if (i == equal && i < compared && static_cast<std::int32_t>(argmax(row)) == reference.greedy_ids[index])
        ++equal;
    };
    score(decoder, cache, ids, positions, chunk, count, role_of(role));
    Outcome outcome{.case_name = "greedy", .precision = precision_name(), .role = role};
    outcome.greedy_equal = equal;
    outcome.greedy_compared = compared;
    outcome.passed = equal == compared;
    return outcome;
  }

  std::unique_ptr<Backend> backend_;
  Weights weights_;
  bool exact_;
};

nlohmann::ordered_json to_json(const Report& report) {
  const auto number = [](double x) {
    return std::isfinite(x) ? nlohmann::ordered_json(x) : nlohmann::ordered_json("inf");
  };
  nlohmann::ordered_json json;
  json["passed"] = report.passed;
  json["cases"] = nlohmann::ordered_json::array();
  for (const Outcome& o : report.outcomes) {
    nlohmann::ordered_json row{{"case", o.case_name}, {"precision", o.precision}, {"role", o.role}};
    if (o.logits.n_rows > 0) {
      row["rows"] = o.logits.n_rows;
      row["max_abs"] = number(o.logits.max_abs);
      row["mean_kl"] = number(o.logits.mean_kl());
      row["top1_equal"] = o.logits.top1_equal;
    }
    if (o.hidden_max_relative) row["hidden_max_relative"] = number(*o.hidden_max_relative);
    if (o.greedy_compared) {
      row["greedy_equal"] = *o.greedy_equal;
      row["greedy_compared"] = *o.greedy_compared;
    }
    row["passed"] = o.passed;
    json["cases"].push_back(row);
  }
  json["pooled"] = nlohmann::ordered_json::array();
  for (const Report::Pooled& p : report.pooled) {
    json["pooled"].push_back({{"precision", p.precision},
                              {"role", p.role},
                              {"rows", p.logits.n_rows},
                              {"max_abs", number(p.logits.max_abs)},
                              {"mean_kl", number(p.logits.mean_kl())},
                              {"top1_equal", p.logits.top1_equal},
                              {"tolerance", p.tolerance},
                              {"passed", p.passed}});
  }
  json["skipped"] = nlohmann::ordered_json::array();
  for (const auto& [name, why] : report.skipped) json["skipped"].push_back({{"case", name}, {"why", why}});
  return json;
}

void print(const Report& report) {
  fmt::print("{:<12} {:<11} {:<10} {:>5} {:>10} {:>10} {:>9}  {}\n", "case", "precision", "role", "rows",
             "max |d|", "mean KL", "top-1", "verdict");
  for (const Outcome& o : report.outcomes) {
    const char* const verdict = o.passed ? "ok" : "FAILED";
    if (o.greedy_compared) {
      fmt::print("{:<12} {:<11} {:<10} {:>5} greedy tokens equal: {} of {} compared  {}\n", o.case_name,
                 o.precision, o.role, "", *o.greedy_equal, *o.greedy_compared, verdict);
      continue;
    }
    fmt::print("{:<12} {:<11} {:<10} {:>5} {:>10.2e} {:>10.2e} {:>9}  {}\n", o.case_name, o.precision, o.role,
               o.logits.n_rows, o.logits.max_abs, o.logits.mean_kl(),
               fmt::format("{}/{}", o.logits.top1_equal, o.logits.n_rows), verdict);
    if (o.hidden_max_relative)
      fmt::print("{:<12} hidden states: max relative difference {:.2e}\n", "", *o.hidden_max_relative);
  }
  for (const Report::Pooled& p : report.pooled) {
    const bool exact = p.precision == "exact";
    fmt::print("{:<12} {:<11} {:<10} {:>5} {} {:.2e}, tolerance {:.0e}  {}\n", "all rows", p.precision,
               p.role, p.logits.n_rows, exact ? "max |d|" : "mean KL",
               exact ? p.logits.max_abs : p.logits.mean_kl(), p.tolerance, p.passed ? "ok" : "FAILED");
  }
  for (const auto& [name, why] : report.skipped) fmt::print("{:<12} skipped: {}\n", name, why);
  fmt::print("{}\n", report.passed ? "passed" : "FAILED");
}

void run_verify(const VerifyOptions& options) {
  const Checkpoint checkpoint = Checkpoint::open(options.model);
  const Checkpoint reference_file = Checkpoint::open(options.reference);
  const Reference reference = read_reference(reference_file, read_config(checkpoint).vocab);
  if (reference.cases.empty()) {
    throw Error(ErrorKind::kBadInput, "expected at least one case (NAME.ids and NAME.logits), found none",
                options.reference.string());
  }
  ThreadPool pool(options.n_threads > 0 ? options.n_threads : usable_cores());
  Report report;
  report.skipped = reference.skipped;
  for (const Precision precision : {Precision::kExact, Precision::kProduction}) {
    Verifier verifier(checkpoint, pool, precision);
    for (const char* role : {"prompt", "generated"}) verifier.run(reference, role, report);
  }
  const auto passed = [](const auto& entry) { return entry.passed; };
  report.passed = std::all_of(report.outcomes.begin(), report.outcomes.end(), passed) &&
                  std::all_of(report.pooled.begin(), report.pooled.end(), passed);
  if (options.json) {
    std::cout << to_json(report).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << '\n';
  } else {
    print(report);
  }
  if (!report.passed) {
    throw Error(ErrorKind::kBadInput, "the outputs differ from the reference by more than the tolerance",
                options.model.string());
  }
}

}  // namespace

void add_verify(CLI::App& app) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = app.add_subcommand("verify", "Compare this engine with reference outputs");
  command->add_option("-m,--model", options->model, "A .gguf file or a Hugging Face folder")->required();
  command->add_option("--reference", options->reference, "safetensors with NAME.ids, NAME.logits, …")
      ->required();
  command->add_option("-t,--threads", options->n_threads, "Threads (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--json", options->json, "One JSON object instead of a table");
  command->callback([options] { run_verify(*options); });
}

}  // namespace exa
