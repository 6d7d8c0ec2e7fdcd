// The flags of every subcommand that talks to a model through the engine, and the engine they ask for.
//
// Ownership and threads: values; used on the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "exaone/engine.h"

namespace exa {

struct ModelFlags {
  std::string model;
  int n_threads = 0;
  std::int64_t context_tokens = 0;
  CacheType cache_type = CacheType::kBF16;
  PromptPath prompt_path = PromptPath::kUsual;
  bool no_pack_cache = false;
  std::string mmproj;
  std::int64_t image_min_tokens = 0;
  std::int64_t image_max_tokens = 0;
  Jail image_jail = Jail::kAuto;
  bool verbose = false;
};

struct AnswerFlags {
  std::string system;
  std::string think = "auto";   // on, off, auto
  std::int64_t max_tokens = 0;  // 0: to the end of the context
  SamplingOptions sampling;
  std::vector<std::string> logit_bias;  // "ID=V"
  std::vector<std::string> stop;
  std::int64_t reasoning_budget = -1;  // below 0: no limit
  std::string reasoning_budget_message;
  std::string tools;    // a file
  std::string schema;   // a file
  std::string grammar;  // a file
};

// -m -t -c --cache-type --deterministic --fast-prefill -v --no-pack-cache --mmproj --image-min-tokens
// --image-max-tokens --image-jail. The flags must outlive the command.
void add_model_flags(CLI::App& command, ModelFlags& flags);
// --system --think --reasoning-budget --reasoning-budget-message --tools --schema --grammar --stop -n --temp
// --top-k --top-p
// --min-p --repeat-penalty --presence-penalty --frequency-penalty
// --logit-bias --seed. The flags must outlive the command.
void add_answer_flags(CLI::App& command, AnswerFlags& flags);

// Loads the engine with progress on the terminal; with -v says what was loaded. Ctrl-C cancels.
// Errors: kInterrupted, Engine::load's.
std::unique_ptr<Engine> load_engine(const ModelFlags& flags);

// The request without its prompt. An unset seed is drawn here, so that it can be told. Errors: kUsage for a
// broken --logit-bias, kBadInput for a system prompt that is not UTF-8 or tools that are none, kIo for their
// file.
GenerateRequest make_request(const AnswerFlags& flags);

// "temperature 0.6, top_p 0.95, …, seed 17": what a request will be sampled with.
std::string describe_sampling(const Engine& engine, const GenerateRequest& request);
// "prompt 512 tokens (0 cached), 310.2 tokens/s; answer 40 tokens, 20.5 tokens/s"
std::string describe_speed(const Usage& usage);
// "2 pictures (1 encoded, 1 reused), 640 tokens, 3.1 s"
std::string describe_images(const Usage& usage);

// Tokens a second, 0 where nothing was measured. Pictures take a time of their own. The first token of an
// answer comes out of the prompt's last step: it is no decode step.
double prompt_per_second(const Usage& usage);
double predicted_per_second(const Usage& usage);

}  // namespace exa
