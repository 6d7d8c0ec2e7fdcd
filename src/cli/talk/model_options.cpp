#include "cli/talk/model_options.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <random>
#include <string_view>

#include "base/progress.h"
#include "cli/flags/cache_types.h"
#include "cli/flags/image_flags.h"
#include "cli/flags/model_flag.h"
#include "cli/flags/named_files.h"
#include "cli/flags/prompt_path.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/streams.h"

namespace exa {
namespace {

template <typename T>
bool parse_whole(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

void parse_logit_bias(const std::string& text, std::map<std::int32_t, double>& bias) {
  const std::size_t equals = text.find('=');
  std::int32_t id = 0;
  double value = 0;
  if (equals == std::string::npos || !parse_whole(std::string_view(text).substr(0, equals), id) ||
      !parse_whole(std::string_view(text).substr(equals + 1), value)) {
    throw Error(ErrorKind::kUsage, "found \"" + text + "\", expected ID=VALUE", "--logit-bias");
  }
  bias[id] = value;
}

std::string readable_bytes(std::int64_t n_bytes) {
  const double mib = static_cast<double>(n_bytes) / (1 << 20);
  return mib < 1024 ? fmt::format("{:.1f} MiB", mib) : fmt::format("{:.2f} GiB", mib / 1024);
}

Think to_think(const std::string& word) {
  return word == "on" ? Think::kOn : word == "off" ? Think::kOff : Think::kAuto;
}

void add_vision_flags(CLI::App& command, ModelFlags& flags) {
  command
      .add_option("--mmproj", flags.mmproj, "A .gguf file with the vision tower, where the model has none")
      ->type_name("FILE");
  add_image_flags(command, flags.image_min_tokens, flags.image_max_tokens, flags.image_jail);
}

}  // namespace

void add_model_flags(CLI::App& command, ModelFlags& flags) {
  add_model_option(command, flags.model);
  command.add_option("-t,--threads", flags.n_threads, "Threads (default: one per physical core)")
      ->check(CLI::Range(1, 1024));
  command.add_option("-c,--ctx", flags.context_tokens, "Context in tokens (default: what fits into memory)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  std::map<std::string, CacheType> cache_types;
  std::string cache_words;
  for (const CacheTypeName& known : kCacheTypes) {
    cache_types.emplace(known.name, known.type);
    cache_words += (cache_words.empty() ? "{" : ",") + std::string(known.name);
  }
  command
      .add_option("--cache-type", flags.cache_type,
                  "Keys and values of the context as bf16, f16 or q8_0 (half the memory)")
      ->transform(CLI::CheckedTransformer(cache_types).description(cache_words + "}"))
      ->type_name("TEXT")
      ->default_str("bf16");
  add_prompt_path_flags(command, flags.prompt_path);
  command.add_flag(
      "--no-pack-cache", flags.no_pack_cache,
      "Neither read nor write packed weights in ~/.cache/exaone (kept by default for fast starts; "
      "they take the model's size on disk, all together at most a quarter of what is free)");
  add_vision_flags(command, flags);
  command.add_flag("-v,--verbose", flags.verbose,
                   "Say what was loaded, the settings and the speed on stderr");
}

void add_answer_flags(CLI::App& command, AnswerFlags& flags) {
  command.add_option("--system", flags.system, "System prompt");
  command
      .add_option("--think", flags.think, "Think before answering: on, off or auto (as the model card says)")
      ->check(CLI::IsMember({"on", "off", "auto"}))
      ->capture_default_str();
  command
      .add_option("--reasoning-budget", flags.reasoning_budget,
                  "Most tokens of thinking, 0 none, -1 no limit")
      ->check(CLI::Range(std::int64_t{-1}, std::int64_t{1} << 40))
      ->capture_default_str();
  flags.reasoning_budget_message = "I have thought long enough; I answer with what I have.";
  command
      .add_option("--reasoning-budget-message", flags.reasoning_budget_message,
                  "What ends the thinking where the budget is spent")
      ->capture_default_str();
  command.add_option("--tools", flags.tools, "A JSON file that declares the tools the model may call")
      ->type_name("FILE");
  CLI::Option* const schema =
      command.add_option("--schema", flags.schema, "A file with the JSON schema that the answer satisfies")
          ->type_name("FILE");
  command.add_option("--grammar", flags.grammar, "A file with the GBNF grammar that the answer follows")
      ->type_name("FILE")
      ->excludes(schema);
  command.add_option("--stop", flags.stop, "A text that ends the answer; may be repeated")
      ->allow_extra_args(false);
  command
      .add_option("-n,--max-tokens", flags.max_tokens,
                  "Most tokens to generate (default: to the end of the context)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  SamplingOptions& s = flags.sampling;
  command.add_option("--temp,--temperature", s.temperature,
                     "Temperature, 0 is greedy (default: the model's)");
  command.add_option("--top-k", s.top_k, "Keep the k likeliest tokens, 0 all");
  command.add_option("--top-p", s.top_p, "Keep the likeliest tokens that share this probability");
  command.add_option("--min-p", s.min_p,
                     "Keep tokens of at least this part of the likeliest one's probability");
  command.add_option("--repeat-penalty", s.repetition_penalty,
                     "Divide the logits of generated tokens, 1 is off");
  command.add_option("--presence-penalty", s.presence_penalty, "Lower the logits of generated tokens once");
  command.add_option("--frequency-penalty", s.frequency_penalty,
                     "Lower the logits of generated tokens each time");
  command
      .add_option("--logit-bias", flags.logit_bias,
                  "Add V to the logit of token ID, as ID=V; may be repeated")
      ->allow_extra_args(false);
  command.add_option("--seed", s.seed, "Seed of the sampling (default: a new one each time)")
      ->check([](const std::string& text) {
        std::uint64_t seed = 0;
        return parse_whole(text, seed) ? std::string{} : "found " + text + ", expected 0 to 2^64 - 1";
      });
}

std::unique_ptr<Engine> load_engine(const ModelFlags& flags) {
  CancelToken cancel;
  const CancelOnInterrupt on_interrupt(cancel);
  Progress progress("loading the model");
  EngineOptions options;
  options.model = flags.model;
  options.n_threads = flags.n_threads;
  options.context_tokens = flags.context_tokens;
  options.cache_type = flags.cache_type;
  options.prompt_path = flags.prompt_path;
  options.pack_cache = !flags.no_pack_cache;
  options.mmproj = flags.mmproj;
  options.image_min_tokens = flags.image_min_tokens;
  options.image_max_tokens = flags.image_max_tokens;
  options.image_jail = flags.image_jail;
  options.cache_may_outlive_engine = true;
  options.on_load = [&](double fraction) {
    if (cancel.cancelled()) throw Error(ErrorKind::kInterrupted, "interrupted while loading");
    progress.update(fraction);
  };
  std::unique_ptr<Engine> engine = Engine::load(options);
  progress.clear();
  if (cancel.cancelled()) throw Error(ErrorKind::kInterrupted, "interrupted while loading");
  const ModelInfo& info = engine->info();
  if (info.prompt_path != flags.prompt_path) {
    write_note("--fast-prefill changes nothing here: it needs a processor with AMX\n");
  }
  if (flags.verbose) {
    const std::int64_t vision_bytes = info.vision_weight_bytes + info.vision_activation_bytes;
    write_note(
        fmt::format("model     {}, {}, weights {}\n"
                    "context   {} of at most {} tokens, cache {} when full, activations {}\n",
                    info.name, info.architecture, readable_bytes(info.weight_bytes), info.context_tokens,
                    info.max_context_tokens, readable_bytes(info.kv_bytes_at_context),
                    readable_bytes(info.activation_bytes)));
    if (info.sees) write_note(fmt::format("pictures  {} with the first one\n", readable_bytes(vision_bytes)));
    write_note(fmt::format("machine   {} threads, {}\nthinking  {} by default\n", info.n_threads, info.isa,
                           info.thinks_by_default ? "on" : "off"));
  }
  return engine;
}

GenerateRequest make_request(const AnswerFlags& flags) {
  GenerateRequest request;
  request.think = to_think(flags.think);
  if (flags.max_tokens > 0) request.max_tokens = flags.max_tokens;
  request.sampling = flags.sampling;
  for (const std::string& text : flags.stop) require_utf8(text, "--stop");
  request.stop = flags.stop;
  if (flags.reasoning_budget >= 0) request.reasoning_budget = flags.reasoning_budget;
  require_utf8(flags.reasoning_budget_message, "--reasoning-budget-message");
  request.reasoning_budget_message = flags.reasoning_budget_message;
  if (!flags.tools.empty()) request.tools = read_tools(read_utf8_file(flags.tools), flags.tools);
  if (!flags.schema.empty()) {
    request.constraint = {Constraint::Kind::kJsonSchema, read_utf8_file(flags.schema), {}};
  }
  if (!flags.grammar.empty()) {
    request.constraint = {Constraint::Kind::kGbnf, read_utf8_file(flags.grammar), {}};
  }
  for (const std::string& text : flags.logit_bias) parse_logit_bias(text, request.sampling.logit_bias);
  if (!request.sampling.seed) {
    std::random_device device;
    request.sampling.seed =
        std::uniform_int_distribution<std::uint64_t>(0, (std::uint64_t{1} << 53) - 1)(device);
  }
  if (!flags.system.empty()) {
    require_utf8(flags.system, "--system");
    request.messages.push_back({"system", flags.system});
  }
  return request;
}

std::string describe_sampling(const Engine& engine, const GenerateRequest& request) {
  const bool thinking =
      request.think == Think::kAuto ? engine.info().thinks_by_default : request.think == Think::kOn;
  const SamplingOptions defaults = engine.defaults(thinking);
  const SamplingOptions& own = request.sampling;
  const auto pick = [](const auto& set, const auto& otherwise) { return set ? *set : otherwise.value(); };
  return fmt::format(
      "temperature {}, top_k {}, top_p {}, min_p {}, repetition penalty {}, presence penalty {}, "
      "frequency penalty {}, {} biased tokens, seed {}",
      pick(own.temperature, defaults.temperature), pick(own.top_k, defaults.top_k),
      pick(own.top_p, defaults.top_p), pick(own.min_p, defaults.min_p),
      pick(own.repetition_penalty, defaults.repetition_penalty),
      pick(own.presence_penalty, defaults.presence_penalty),
      pick(own.frequency_penalty, defaults.frequency_penalty), own.logit_bias.size(), own.seed.value_or(0));
}

double prompt_per_second(const Usage& usage) {
  const std::int64_t n = usage.prompt_tokens - usage.cached_tokens;
  const double seconds = usage.prefill_seconds - usage.image_seconds;
  return n > 0 && seconds > 0 ? static_cast<double>(n) / seconds : 0;
}

double predicted_per_second(const Usage& usage) {
  const std::int64_t n = usage.completion_tokens - 1;
  return n > 0 && usage.decode_seconds > 0 ? static_cast<double>(n) / usage.decode_seconds : 0;
}

std::string describe_speed(const Usage& usage) {
  return fmt::format(
      "prompt {} tokens ({} cached), {:.1f} tokens/s{}; answer {} tokens ({} thinking), {:.1f} tokens/s",
      usage.prompt_tokens, usage.cached_tokens, prompt_per_second(usage),
      usage.images > 0 ? "; " + describe_images(usage) : "", usage.completion_tokens, usage.reasoning_tokens,
      predicted_per_second(usage));
}

std::string describe_images(const Usage& usage) {
  return fmt::format("{} {} ({} encoded, {} reused), {} tokens, {:.1f} s", usage.images,
                     usage.images == 1 ? "picture" : "pictures", usage.encoded_images, usage.reused_images,
                     usage.image_tokens, usage.image_seconds);
}

}  // namespace exa
