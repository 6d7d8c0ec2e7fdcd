#include "cli/measure/verify.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "chat/tags.h"
#include "cli/flags/model_flag.h"
#include "cli/flags/threads_flag.h"
#include "cli/measure/verify_pictures.h"
#include "cli/measure/verify_report.h"
#include "formats/arrays.h"
#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "model/decoder.h"
#include "model/kv_cache.h"
#include "model/score.h"
#include "model/vision.h"
#include "model/weights.h"
#include "text/tokenizer.h"

namespace exa {
namespace {

// docs/numerics.md states these limits and why they lie where they do.
constexpr double kExactLogitTolerance = 2e-4;
constexpr double kExactHiddenTolerance = 2e-4;  // of the largest magnitude in the array
constexpr double kExactTowerTolerance = 1e-4;
constexpr double kExactPictureLogitTolerance = 5e-4;  // of rows behind pictures
constexpr double kPixelValueTolerance = 1e-5;
constexpr double kTowerRmsTolerance = 0.006;
constexpr double kFloatKlTolerance = 8e-4;  // rows computed with fp32 or bf16 activations
constexpr double kInt8KlTolerance = 3e-3;   // rows computed with int8 activations per 32
constexpr std::int64_t kVerifyChunk = 512;

struct VerifyOptions {
  std::filesystem::path model;
  std::filesystem::path reference;
  std::filesystem::path mmproj;
  std::filesystem::path images;
  int n_threads = 0;
  bool json = false;
};

double log_sum_exp(std::span<const float> row) {
  const double top = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const float x : row) sum += std::exp(static_cast<double>(x) - top);
  return top + std::log(sum);
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

struct Case {
  std::string name;
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> positions;
  std::vector<float> logits;
  bool shows_pictures = false;
};

struct Reference {
  std::vector<Case> cases;
  std::vector<PictureCase> pictures;
  std::int32_t image_pad = -1;             // the placeholder of a picture's row
  std::vector<std::vector<float>> hidden;  // of case "short"
  std::vector<std::int32_t> greedy_ids;    // continue "short"
  std::vector<float> greedy_margin;
  std::vector<std::pair<std::string, std::string>> skipped;
};

// The last rows of a prompt are what a reference with pictures holds.
Case read_picture_prompt(const Checkpoint& file, const std::string& name, std::int64_t vocab) {
  Case c{.name = name,
         .ids = read_i32(file, name + ".ids"),
         .positions = {},
         .logits = read_f32(file, name + ".logits_last8"),
         .shows_pictures = true};
  c.positions.resize(std::min(c.logits.size() / static_cast<std::size_t>(vocab), c.ids.size()));
  std::iota(c.positions.begin(), c.positions.end(),
            static_cast<std::int32_t>(c.ids.size() - c.positions.size()));
  return c;
}

void check_logits(const Checkpoint& file, const Case& c, std::int64_t vocab) {
  if (c.logits.size() == c.positions.size() * static_cast<std::size_t>(vocab)) return;
  throw Error(ErrorKind::kBadInput,
              fmt::format("expected {} rows of {} logits, found {} numbers", c.positions.size(), vocab,
                          c.logits.size()),
              file.path().string() + ", logits of case " + c.name);
}

// with_pictures: cases that show some are read too.
Reference read_reference(const Checkpoint& file, std::int64_t vocab, bool with_pictures) {
  Reference reference;
  for (const TensorInfo& tensor : file.tensors()) {
    constexpr std::string_view kSuffix = ".ids";
    if (!tensor.name.ends_with(kSuffix) || tensor.name == "greedy.ids") continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - kSuffix.size());
    if (shows_pictures(name)) {
      if (with_pictures) {
        reference.cases.push_back(read_picture_prompt(file, name, vocab));
        check_logits(file, reference.cases.back(), vocab);
      } else {
        reference.skipped.emplace_back(name, "needs a vision tower and the pictures");
      }
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
    check_logits(file, c, vocab);
    reference.cases.push_back(std::move(c));
  }
  if (file.find("video.frames_u8") && !with_pictures) {
    reference.skipped.emplace_back("video", "needs a vision tower");
  }
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
  // vision: the checkpoint of the tower; null where no case shows a picture.
  Verifier(const Checkpoint& checkpoint, const Checkpoint* vision, ThreadPool& pool, Precision precision)
      : backend_(make_cpu_backend(pool)),
        weights_(load_weights(checkpoint, read_config(checkpoint), *backend_, precision)),
        exact_(precision == Precision::kExact) {
    if (vision) vision_ = load_vision_weights(*vision, *backend_, precision);
  }

  const ModelConfig& config() const { return weights_.config; }

  bool uses_int8() const {
    if (exact_) return false;
    bool found = uses_int8_activations(weights_.head_matrix().type);
    for (const LayerWeights& layer : weights_.layers) {
      for_each_matrix(layer, [&](const Matrix& m) { found = found || uses_int8_activations(m.type); });
    }
    return found;
  }

  // The tower's rows of all pictures, which the prompts then show.
  void see(const Reference& reference, Report& report) {
    if (!vision_) return;
    VisionTower tower(*vision_, *backend_);
    for (const PictureCase& c : reference.pictures) {
      const std::vector<std::vector<float>> embeds = tower.encode(c.inputs);
      std::vector<float>& rows = rows_[c.name];
      for (const std::vector<float>& of_one : embeds) rows.insert(rows.end(), of_one.begin(), of_one.end());
      if (c.embeds.empty()) continue;
      Outcome outcome{.case_name = c.name, .precision = precision_name(), .role = "tower"};
      outcome.tower = compare_tower(c, embeds, vision_->config);
      outcome.passed = outcome.tower->pixel_values_max_abs <= kPixelValueTolerance &&
                       (exact_ ? outcome.tower->max_abs <= kExactTowerTolerance
                               : outcome.tower->relative_rms <= kTowerRmsTolerance);
      report.outcomes.push_back(std::move(outcome));
    }
  }

  // All cases in one role; adds outcomes and the pooled verdicts to the report.
  void run(const Reference& reference, const std::string& role, Report& report) {
    const std::int64_t chunk = role == "generated" ? 1 : kVerifyChunk;
    Decoder decoder(weights_, *backend_, chunk);
    Difference pooled;
    Difference behind_pictures;
    for (const Case& c : reference.cases) {
      Outcome outcome{.case_name = c.name, .precision = precision_name(), .role = role};
      outcome.logits = compare(decoder, c, given_rows(c, reference.image_pad), role, chunk);
      if (exact_ && c.name == "short" && !reference.hidden.empty() && role == "prompt") {
        outcome.hidden_max_relative = compare_hidden(decoder, c, reference.hidden);
        outcome.passed = *outcome.hidden_max_relative <= kExactHiddenTolerance;
      }
      if (exact_) {
        outcome.passed =
            outcome.passed.value_or(true) && outcome.logits.max_abs <= exact_tolerance(c.shows_pictures);
      }
      (c.shows_pictures ? behind_pictures : pooled).add(outcome.logits);
      report.outcomes.push_back(std::move(outcome));
    }
    if (!reference.greedy_ids.empty())
      report.outcomes.push_back(greedy(decoder, reference, role, chunk, pooled.max_abs));
    add_pooled("all", role, pooled, exact_tolerance(false), report);
    if (behind_pictures.n_rows > 0) {
      add_pooled("pictures", role, behind_pictures, exact_tolerance(true), report);
    }
  }

 private:
  static double exact_tolerance(bool behind_pictures) {
    return behind_pictures ? kExactPictureLogitTolerance : kExactLogitTolerance;
  }

  void add_pooled(const std::string& rows, const std::string& role, const Difference& pooled,
                  double exact_tolerance, Report& report) const {
    const double tolerance = exact_ ? exact_tolerance : uses_int8() ? kInt8KlTolerance : kFloatKlTolerance;
    const double measured = exact_ ? pooled.max_abs : pooled.mean_kl();
    report.pooled.push_back(
        {rows, precision_name(), role, pooled, tolerance, measured <= tolerance && pooled.n_rows > 0});
  }

  // The tower's rows in the places of the case's placeholders.
  std::vector<GivenRow> given_rows(const Case& c, std::int32_t image_pad) const {
    if (!c.shows_pictures) return {};
    const std::vector<float>& rows = rows_.at(c.name);
    std::vector<GivenRow> given;
    for (std::size_t i = 0; i < c.ids.size(); ++i) {
      if (c.ids[i] != image_pad) continue;
      given.push_back({static_cast<std::int64_t>(i), nullptr});
    }
    const auto hidden = static_cast<std::size_t>(config().hidden);
    if (given.size() * hidden != rows.size()) {
      throw Error(ErrorKind::kBadInput, fmt::format("case {} has places for {} rows of pictures, expected {}",
                                                    c.name, given.size(), rows.size() / hidden));
    }
    for (std::size_t i = 0; i < given.size(); ++i) given[i].values = rows.data() + i * hidden;
    return given;
  }

  static Role role_of(const std::string& role) {
    return role == "generated" ? Role::kGenerated : Role::kPrompt;
  }

  std::string precision_name() const { return exact_ ? "exact" : "production"; }

  KvCache new_cache(std::int64_t chunk) const {
    return KvCache(weights_.config, exact_ ? KvType::kF32 : KvType::kBF16, chunk);
  }

  Difference compare(Decoder& decoder, const Case& c, std::span<const GivenRow> given,
                     const std::string& role, std::int64_t chunk) {
    KvCache cache = new_cache(chunk);
    Difference total;
    const auto vocab = static_cast<std::size_t>(config().vocab);
    const auto add = [&](std::size_t index, std::span<const float> row) {
      total.add(compare_row(std::span(c.logits).subspan(index * vocab, vocab), row));
    };
    score(decoder, cache, c.ids, c.positions, chunk, add, role_of(role), given);
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
    KvCache cache = new_cache(kVerifyChunk);
    score(decoder, cache, c.ids, {}, kVerifyChunk, [](std::size_t, std::span<const float>) {});
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
    if (compared > 0) outcome.passed = equal == compared;
    return outcome;
  }

  std::unique_ptr<Backend> backend_;
  Weights weights_;
  bool exact_;
  std::optional<VisionWeights> vision_;
  std::map<std::string, std::vector<float>> rows_;  // of the pictures of each case
};

// The tower and the pictures of a reference, where it has cases that show some.
struct Pictures {
  std::optional<Checkpoint> tower;
  std::filesystem::path images;
};

Pictures find_pictures(const VerifyOptions& options, const Checkpoint& reference) {
  Pictures pictures;
  pictures.images = options.images.empty() ? options.reference.parent_path() / "images" : options.images;
  const auto shows = [](const TensorInfo& tensor) {
    return shows_pictures(tensor.name.substr(0, tensor.name.find('.')));
  };
  const bool shown = std::any_of(reference.tensors().begin(), reference.tensors().end(), shows);
  if (!shown || (options.images.empty() && !std::filesystem::is_directory(pictures.images))) return pictures;
  Checkpoint tower = Checkpoint::open(options.mmproj.empty() ? options.model : options.mmproj);
  if (has_vision(tower)) {
    pictures.tower = std::move(tower);
  } else if (!options.mmproj.empty()) {
    throw Error(ErrorKind::kUnsupported, "the file has no vision tower, expected one",
                options.mmproj.string());
  }
  return pictures;
}

void run_verify(const VerifyOptions& options) {
  const Checkpoint checkpoint = Checkpoint::open(options.model);
  const Checkpoint reference_file = Checkpoint::open(options.reference);
  const Pictures pictures = find_pictures(options, reference_file);
  const std::int64_t vocab = read_config(checkpoint).vocab;
  Reference reference = read_reference(reference_file, vocab, pictures.tower.has_value());
  if (pictures.tower) {
    reference.pictures =
        read_picture_cases(reference_file, pictures.images, read_vision_config(*pictures.tower));
    reference.image_pad = Tokenizer::from_checkpoint(checkpoint).find(kImagePad).value_or(-1);
  }
  if (reference.cases.empty()) {
    throw Error(ErrorKind::kBadInput, "expected at least one case (NAME.ids and NAME.logits), found none",
                options.reference.string());
  }
  ThreadPool pool(options.n_threads > 0 ? options.n_threads : usable_cores());
  Report report;
  report.skipped = reference.skipped;
  for (const Precision precision : {Precision::kExact, Precision::kProduction}) {
    Verifier verifier(checkpoint, pictures.tower ? &*pictures.tower : nullptr, pool, precision);
    verifier.see(reference, report);
    for (const char* role : {"prompt", "generated"}) verifier.run(reference, role, report);
  }
  report.passed = std::all_of(report.outcomes.begin(), report.outcomes.end(),
                              [](const Outcome& outcome) { return outcome.passed.value_or(true); }) &&
                  std::all_of(report.pooled.begin(), report.pooled.end(),
                              [](const Report::Pooled& pooled) { return pooled.passed; });
  if (options.json) {
    print_json(report);
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
  add_model_option(*command, options->model);
  command->add_option("--reference", options->reference, "safetensors with NAME.ids, NAME.logits, …")
      ->required();
  command->add_option("--mmproj", options->mmproj,
                      "A .gguf file with the vision tower, where the model has none");
  command->add_option("--images", options->images,
                      "Folder of the reference's pictures 0.png, 1.png, … (default: images beside it)");
  add_threads_flag(*command, options->n_threads);
  command->add_flag("--json", options->json, "One JSON object instead of a table");
  command->callback([options] { run_verify(*options); });
}

}  // namespace exa
