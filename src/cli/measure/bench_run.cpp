#include "cli/measure/bench_run.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <span>

#include "base/error.h"
#include "engine/prompt_path.h"
#include "kernels/isa/isa.h"
#include "kernels/isa/matmul.h"
#include "kernels/isa/matmul_amx_int8.h"
#include "model/decoder.h"
#include "model/kv_cache.h"

namespace exa {
namespace {

using Clock = std::chrono::steady_clock;

class Runner {
 public:
  Runner(const BenchTest& test, const BenchSetting& setting, const Weights& weights, Backend& backend)
      : test_(test),
        vocab_(static_cast<std::int32_t>(weights.config.vocab)),
        n_ubatch_(setting.n_ubatch),
        prompt_role_(prompt_role(setting.prompt_path)),
        decoder_(weights, backend, std::max(setting.n_ubatch, test.n_sequences)) {
    for (std::int64_t i = 0; i < test.n_sequences; ++i) {
      caches_.emplace_back(weights.config, setting.kv_type, setting.n_ubatch);
    }
  }

  // Fills every cache to the depth, from where the last repetition left it.
  void go_to_depth() {
    for (KvCache& cache : caches_) {
      if (cache.length() > test_.n_depth) cache.truncate(test_.n_depth);
      prompt(cache, test_.n_depth - cache.length(), false);
    }
  }

  void run() {
    for (KvCache& cache : caches_) prompt(cache, test_.n_prompt, true);
    for (std::int64_t i = 0; i < test_.n_gen; ++i) generate();
  }

 private:
  std::int32_t draw() { return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(vocab_)); }

  void prompt(KvCache& cache, std::int64_t n_tokens, bool wants_logits) {
    while (n_tokens > 0) {
      const std::int64_t n = std::min(n_tokens, n_ubatch_);
      n_tokens -= n;
      ids_.resize(static_cast<std::size_t>(n));
      for (std::int32_t& id : ids_) id = draw();
      const auto last = static_cast<std::int32_t>(n - 1);
      const StepSlice slice{&cache, ids_, {&last, wants_logits && n_tokens == 0 ? 1U : 0U}, {}, prompt_role_};
      cache.reserve(n);
      decoder_.step({&slice, 1});
    }
  }

  void generate() {
    static constexpr std::int32_t kOnly = 0;
    ids_.resize(caches_.size());
    slices_.clear();
    for (std::size_t i = 0; i < caches_.size(); ++i) {
      ids_[i] = draw();
      caches_[i].reserve(1);
      slices_.push_back({&caches_[i], {&ids_[i], 1}, {&kOnly, 1}});
    }
    decoder_.step(slices_);
  }

  BenchTest test_;
  std::int32_t vocab_;
  std::int64_t n_ubatch_;
  Role prompt_role_;
  Decoder decoder_;
  std::vector<KvCache> caches_;
  std::vector<std::int32_t> ids_;
  std::vector<StepSlice> slices_;
  std::mt19937 random_{1};
};

// Operations a second of a product of generated rows.
double generated_peak(const Matrix& m, const Canary& canary) {
  return uses_int8_activations(m.type) ? canary.int8_gops : canary.fp32_gflops;
}

// Operations a second of a product of prompt rows.
double prompt_peak(const LayerWeights& layer, const Matrix& m, const BenchSetting& setting,
                   const Canary& canary) {
  const Isa isa = choose_isa();
  if (isa == Isa::kAmx && has_tiles(m.type)) {
    const bool int8 = setting.prompt_path == PromptPath::kFast && has_int8_tiles(m.type) && &m != &layer.down;
    return int8 ? canary.tile_int8_gops : canary.tile_bf16_gflops;
  }
  return matmul_kernels(isa).has_prompt_path(m.type) ? canary.bf16_gflops : generated_peak(m, canary);
}

// Seconds for n_rows activations against one matrix: its bytes or its operations, whichever takes longer.
double matmul_seconds(const Matrix& m, std::int64_t n_rows, double peak, const Canary& canary) {
  const double n_bytes = static_cast<double>(m.bytes.size_bytes());
  const double operations = 2.0 * static_cast<double>(m.n_rows * m.n_cols) * static_cast<double>(n_rows);
  return 1e-9 * std::max(n_bytes / canary.read_gb_s, operations / peak);
}

// One step of n_rows tokens in each of n_sequences caches that hold `length` tokens before it.
double step_seconds(std::int64_t n_sequences, std::int64_t n_rows, std::int64_t length, bool prompt,
                    bool head, const BenchSetting& setting, const Weights& w, const Canary& canary) {
  const ModelConfig& c = w.config;
  const std::int64_t rows = n_sequences * n_rows;
  double seconds =
      head ? matmul_seconds(w.head_matrix(), n_sequences, generated_peak(w.head_matrix(), canary), canary)
           : 0;
  for (std::size_t i = 0; i < w.layers.size(); ++i) {
    const LayerWeights& layer = w.layers[i];
    for_each_matrix(layer, [&](const Matrix& m) {
      const bool takes_prompt_path = prompt && prompt_role(setting.prompt_path) == Role::kPrompt;
      const double peak =
          takes_prompt_path ? prompt_peak(layer, m, setting, canary) : generated_peak(m, canary);
      seconds += matmul_seconds(m, rows, peak, canary);
    });
    const std::int64_t window = c.layers[i].window;
    const std::int64_t last = length + n_rows;
    const std::int64_t kept = window == 0 ? last : std::min(last, window + n_rows - 1);
    const double kv_bytes =
        static_cast<double>(n_sequences * kept) / kKvBlock *
        static_cast<double>(
            kv_block_bytes(setting.kv_type, static_cast<int>(c.n_kv_heads), static_cast<int>(c.head_dim)));
    double pairs = 0;  // of query and key
    for (std::int64_t t = 0; t < n_rows; ++t) {
      const std::int64_t seen = length + t + 1;
      pairs += static_cast<double>(window == 0 ? seen : std::min(seen, window));
    }
    const double operations = 4.0 * static_cast<double>(n_sequences * c.n_heads * c.head_dim) * pairs;
    seconds += 1e-9 * std::max(kv_bytes / canary.read_gb_s,
                               operations / std::max(canary.bf16_gflops, canary.fp32_gflops));
  }
  return seconds;
}

}  // namespace

std::vector<double> run_bench_test(const BenchTest& test, const BenchSetting& setting, const Weights& weights,
                                   Backend& backend, const std::function<void()>& between) {
  const std::int64_t longest = test.n_depth + test.n_prompt + test.n_gen;
  if (longest > weights.config.max_context) {
    throw Error(ErrorKind::kUsage, "a test has " + std::to_string(longest) + " tokens, the context holds " +
                                       std::to_string(weights.config.max_context));
  }
  if (setting.warmup) {
    BenchTest small = test;
    small.n_prompt = std::min<std::int64_t>(test.n_prompt, setting.n_ubatch);
    small.n_gen = std::min<std::int64_t>(test.n_gen, 2);
    small.n_depth = 0;
    Runner(small, setting, weights, backend).run();
  }
  Runner runner(test, setting, weights, backend);
  std::vector<double> seconds;
  for (int i = 0; i < setting.n_repetitions; ++i) {
    between();
    runner.go_to_depth();
    const Clock::time_point start = Clock::now();
    runner.run();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  return seconds;
}

double roofline_seconds(const BenchTest& test, const BenchSetting& setting, const Weights& weights,
                        const Canary& canary) {
  double seconds = 0;
  std::int64_t length = test.n_depth;
  for (std::int64_t left = test.n_prompt; left > 0;) {
    const std::int64_t n = std::min(left, setting.n_ubatch);
    left -= n;
    seconds += static_cast<double>(test.n_sequences) *
               step_seconds(1, n, length, true, left == 0, setting, weights, canary);
    length += n;
  }
  for (std::int64_t i = 0; i < test.n_gen; ++i) {
    seconds += step_seconds(test.n_sequences, 1, length, false, true, setting, weights, canary);
    ++length;
  }
  return seconds;
}

}  // namespace exa
