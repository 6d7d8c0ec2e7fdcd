// One row of a bench: what is run, how long it took, how long it would take at the machine's limit.
//
// Ownership and threads: borrows model and backend; one thread.
// Source: llama-bench's tests (pp, tg, pg, depth) and llama-batched-bench's sequences; rooflines of kernels
// specification 1.3.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/threads.h"
#include "cli/measure/bench_canary.h"
#include "cli/measure/bench_model.h"
#include "exaone/engine.h"
#include "kernels/backend.h"
#include "kernels/kv_block.h"

namespace exa {

// n_prompt tokens at once, then n_gen one by one, behind n_depth that are in the cache before the clock
// starts; the same in each of n_sequences at a time.
struct BenchTest {
  std::int64_t n_prompt = 0;
  std::int64_t n_gen = 0;
  std::int64_t n_depth = 0;
  std::int64_t n_sequences = 1;

  std::int64_t n_tokens() const { return n_sequences * (n_prompt + n_gen); }
};

struct BenchSetting {
  std::int64_t n_ubatch = 512;  // rows a step
  KvType kv_type = KvType::kBF16;
  PromptPath prompt_path = PromptPath::kUsual;  // the backend's, too
  int n_repetitions = 5;
  bool warmup = true;
};

// Seconds of each repetition. between(): called before each repetition; it may throw to stop.
std::vector<double> run_bench_test(const BenchTest& test, const BenchSetting& setting, const Weights& weights,
                                   Backend& backend, const std::function<void()>& between);

// The least time that the test's bytes and operations take at the canary's rates.
double roofline_seconds(const BenchTest& test, const BenchSetting& setting, const Weights& weights,
                        const Canary& canary);

}  // namespace exa
