#include "cli/measure/bench.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "cli/flags/cache_types.h"
#include "cli/flags/prompt_path.h"
#include "cli/measure/bench_canary.h"
#include "cli/measure/bench_model.h"
#include "cli/measure/bench_report.h"
#include "cli/measure/bench_run.h"
#include "cli/measure/prompt_backend.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/streams.h"
#include "engine/cache_type.h"
#include "exaone/engine.h"

namespace exa {
namespace {

using Clock = std::chrono::steady_clock;
using Numbers = std::vector<std::int64_t>;

constexpr std::size_t kCanaryBytes = std::size_t{256} << 20;
constexpr std::int64_t kMost = std::int64_t{1} << 30;

struct BenchOptions {
  std::vector<std::string> models;
  std::string synthetic;
  std::string type = "Q4_K_M";
  std::vector<std::string> prompts, gens, depths, batches, ubatches, threads, sequences;
  std::vector<std::string> pairs;  // "512,128"
  std::vector<std::string> k_types, v_types;
  int n_repetitions = 5;
  std::string format = "md";
  PromptPath prompt_path = PromptPath::kUsual;
  bool no_warmup = false;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<std::string> split(const std::vector<std::string>& lists) {
  std::vector<std::string> parts;
  for (const std::string& list : lists) {
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t comma = std::min(list.find(',', begin), list.size());
      parts.push_back(list.substr(begin, comma - begin));
      begin = comma + 1;
    }
  }
  return parts;
}

Error bad_value(const std::string& option, const std::string& found, const std::string& expected) {
  return {ErrorKind::kUsage, "found \"" + found + "\", expected " + expected, option};
}

// "512", "1,2,4", "1-4", "1-64*2" (times 2), "0-512+128".
void add_numbers(const std::string& option, const std::string& text, std::int64_t least, Numbers& out) {
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&](std::int64_t low) {
    std::int64_t value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc{} || value < low || value > kMost) {
      throw bad_value(option, text, "numbers from " + std::to_string(low) + " on, as 512 or 1,2 or 1-8*2");
    }
    at = next;
    return value;
  };
  const std::int64_t first = number(least);
  std::int64_t last = first;
  std::int64_t add = 1;
  std::int64_t times = 1;
  if (at != end && *at == '-') {
    ++at;
    last = number(first);
    if (at != end && (*at == '+' || *at == '*')) {
      const bool grows = *at++ == '*';
      (grows ? times : add) = number(grows ? 2 : 1);
      if (grows) add = 0;
    }
  }
  if (at != end) throw bad_value(option, text, "a number or a range");
  for (std::int64_t value = first; value <= last; value = value * times + add) {
    if (out.size() > 1000) throw bad_value(option, text, "at most 1000 values");
    out.push_back(value);
    if (value == 0 && times > 1) break;
  }
}

Numbers numbers(const std::string& option, const std::vector<std::string>& lists, std::int64_t least,
                Numbers otherwise) {
  Numbers result;
  for (const std::string& part : split(lists)) add_numbers(option, part, least, result);
  return result.empty() ? otherwise : result;
}

struct NamedKvType {
  std::string name;
  KvType type;
};

// Those of run and chat, and f32, which exact results have.
KvType kv_type(const std::string& name) {
  std::string known;
  for (const CacheTypeName& cache : kCacheTypes) {
    if (name == cache.name) return to_kv_type(cache.type);
    known += std::string(cache.name) + ", ";
  }
  if (name == "f32") return KvType::kF32;
  throw bad_value("-ctk", name, known + "f32");
}

std::vector<NamedKvType> kv_types(const BenchOptions& options) {
  const std::vector<std::string> k = split(options.k_types);
  const std::vector<std::string> v = split(options.v_types);
  if (!k.empty() && !v.empty() && k != v) {
    throw Error(ErrorKind::kUnsupported,
                "keys and values have the same type here: give -ctk and -ctv the same list");
  }
  std::vector<NamedKvType> result;
  for (const std::string& name : k.empty() ? v : k) result.push_back({name, kv_type(name)});
  if (result.empty()) result.push_back({"bf16", KvType::kBF16});
  return result;
}

std::vector<BenchTest> tests(const BenchOptions& options) {
  const Numbers prompts = numbers("-p", options.prompts, 0, {512});
  const Numbers gens = numbers("-n", options.gens, 0, {128});
  Numbers both;
  for (const std::string& pair : options.pairs) {
    Numbers two = numbers("-pg", {pair}, 1, {});
    if (two.size() != 2) throw bad_value("-pg", pair, "two numbers, as 512,128");
    both.insert(both.end(), two.begin(), two.end());
  }
  std::vector<BenchTest> result;
  for (const std::int64_t depth : numbers("-d", options.depths, 0, {0})) {
    for (const std::int64_t n : prompts) {
      if (n > 0) result.push_back({.n_prompt = n, .n_depth = depth});
    }
    for (const std::int64_t n_sequences : numbers("-npl", options.sequences, 1, {1})) {
      for (const std::int64_t n : gens) {
        if (n > 0) result.push_back({.n_gen = n, .n_depth = depth, .n_sequences = n_sequences});
      }
    }
    for (std::size_t i = 0; i + 1 < both.size(); i += 2) {
      result.push_back({.n_prompt = both[i], .n_gen = both[i + 1], .n_depth = depth});
    }
  }
  return result;
}

// A model on the threads it is measured with.
struct Loaded {
  Loaded(const BenchOptions& options, const std::string& path, int n_threads)
      : pool(n_threads), backend(make_backend(pool, options.prompt_path)) {
    const Clock::time_point start = Clock::now();
    model = path.empty() ? make_bench_model(options.synthetic, options.type, *backend)
                         : read_bench_model(path, *backend);
    load_seconds = seconds_since(start);
    run_bench_test({.n_prompt = 1}, {.n_ubatch = 1, .n_repetitions = 1, .warmup = false}, model.weights,
                   *backend, [] {});
    first_token_seconds = seconds_since(start);
  }

  Canary canary() {
    const Region& region = *model.weights.region;
    const std::size_t used = model.weights.region_bytes;
    if (used >= kCanaryBytes) return measure_canary(pool, {region.data(), used});
    if (spare.empty()) {
      spare = Buffer(kCanaryBytes);
      std::memset(spare.data(), 1, spare.size_bytes());
    }
    return measure_canary(pool, {spare.data(), spare.size_bytes()});
  }

  ThreadPool pool;
  std::unique_ptr<Backend> backend;
  BenchModel model;
  Buffer spare;
  double load_seconds = 0;
  double first_token_seconds = 0;
};

std::string describe(const Canary& c) {
  std::string text =
      fmt::format("machine: reads {:.1f} GB/s, int8 {:.0f} GOPS, bf16 {:.0f} GFLOPS, fp32 {:.0f} GFLOPS",
                  c.read_gb_s, c.int8_gops, c.bf16_gflops, c.fp32_gflops);
  if (c.tile_bf16_gflops > 0) {
    text +=
        fmt::format("; tiles: int8 {:.0f} GOPS, bf16 {:.0f} GFLOPS", c.tile_int8_gops, c.tile_bf16_gflops);
  }
  return text;
}

void run_bench(const BenchOptions& options) {
  const std::optional<BenchFormat> format = parse_bench_format(options.format);
  if (!format) throw bad_value("-o", options.format, "md, csv, json or jsonl");
  std::vector<std::string> models = split(options.models);
  if (models.empty() == options.synthetic.empty()) {
    throw Error(ErrorKind::kUsage, "expected a model (-m FILE) or --synthetic SHAPE, and not both");
  }
  if (models.empty()) models.emplace_back();
  const std::vector<BenchTest> all_tests = tests(options);
  const std::vector<NamedKvType> types = kv_types(options);
  const Numbers batches = numbers("-b", options.batches, 1, {2048});
  const Numbers ubatches = numbers("-ub", options.ubatches, 1, {512});
  const Numbers threads = numbers("-t", options.threads, 1, {usable_cores()});

  CancelToken cancel;
  const CancelOnInterrupt on_interrupt(cancel);
  const auto stop_if_asked = [&cancel] {
    if (cancel.cancelled()) throw Error(ErrorKind::kInterrupted, "interrupted");
  };
  BenchReport report(*format);
  for (const std::string& path : models) {
    for (const std::int64_t n_threads : threads) {
      Loaded loaded(options, path, static_cast<int>(std::min<std::int64_t>(n_threads, 1024)));
      write_note(fmt::format("{}: loaded in {:.2f} s, first token after {:.2f} s\n", loaded.model.type,
                             loaded.load_seconds, loaded.first_token_seconds));
      for (const std::int64_t n_batch : batches) {
        for (const std::int64_t n_ubatch : ubatches) {
          for (const NamedKvType& kv : types) {
            for (const BenchTest& test : all_tests) {
              BenchRow row{.model = &loaded.model,
                           .test = test,
                           .setting = {.n_ubatch = std::min(n_batch, n_ubatch),
                                       .kv_type = kv.type,
                                       .prompt_path = options.prompt_path,
                                       .n_repetitions = options.n_repetitions,
                                       .warmup = !options.no_warmup},
                           .n_batch = n_batch,
                           .n_threads = loaded.pool.n_threads(),
                           .isa = std::string(loaded.backend->description()),
                           .kv_type = kv.name,
                           .seconds = {},
                           .roofline_seconds = 0,
                           .canary = loaded.canary(),
                           .load_seconds = loaded.load_seconds,
                           .first_token_seconds = loaded.first_token_seconds,
                           .test_time = fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)))};
              row.seconds =
                  run_bench_test(test, row.setting, loaded.model.weights, *loaded.backend, stop_if_asked);
              row.canary = mean(row.canary, loaded.canary());
              row.roofline_seconds = roofline_seconds(test, row.setting, loaded.model.weights, row.canary);
              report.add(row);
              write_note(describe(row.canary) + "\n");
            }
          }
        }
      }
    }
  }
  report.end();
}

// The flags of llama-bench that have one dash and several letters, as the parser wants them.
std::vector<std::string> double_dashed(std::vector<std::string> words) {
  for (std::string& word : words) {
    for (const std::string_view flag : {"-pg", "-ub", "-ctk", "-ctv", "-npl"}) {
      if (word == flag) word.insert(0, "-");
    }
  }
  return words;
}

void parse_and_run(std::vector<std::string> words) {
  BenchOptions options;
  CLI::App app(
      "Speed of prompt processing (pp), generation (tg) and batches, and its share of what the machine gives",
      "exaone bench");
  app.add_option("-m,--model", options.models, "A .gguf file or a Hugging Face folder")
      ->allow_extra_args(false);
  app.add_option(
      "--synthetic", options.synthetic,
      "Instead of a file: random weights in the shape of 1.2b or 32b, :LAYERS for the first so many");
  app.add_option("--type", options.type, "The kind of file --synthetic stands for (default Q4_K_M)");
  const auto list = [&app](const char* name, std::vector<std::string>& values, const char* text) {
    app.add_option(name, values, text)->allow_extra_args(false);
  };
  list("-p,--n-prompt", options.prompts, "Tokens of a prompt (default 512; 0: none)");
  list("-n,--n-gen", options.gens, "Tokens to generate (default 128; 0: none)");
  list("--pg", options.pairs, "-pg PP,TG: a prompt and then a generation, timed together");
  list("-d,--n-depth", options.depths, "Tokens in the cache before the clock starts (default 0)");
  list("--npl", options.sequences, "-npl N: generate in so many sequences at once (default 1)");
  list("-b,--batch-size", options.batches, "Most tokens of a prompt at once (default 2048)");
  list("--ub,--ubatch-size", options.ubatches, "-ub N: most rows of one step (default 512)");
  list("--ctk,--cache-type-k", options.k_types,
       "-ctk TYPE: keys in the cache as bf16, f16, q8_0 or f32 (default bf16)");
  list("--ctv,--cache-type-v", options.v_types, "-ctv TYPE: type of the values, the same");
  list("-t,--threads", options.threads, "Threads (default: physical cores)");
  app.add_option("-r,--repetitions", options.n_repetitions, "Repetitions of each test (default 5)")
      ->check(CLI::Range(1, 10000));
  app.add_option("-o,--output", options.format, "md, csv, json or jsonl (default md)");
  add_prompt_path_flags(app, options.prompt_path);
  app.add_flag("--no-warmup", options.no_warmup, "Without a short run of each test first");
  app.footer("Lists: -p 128,512 or -p 128 -p 512, ranges 1-4, 1-64*2, 0-512+128.");
  try {
    words = double_dashed(std::move(words));
    std::reverse(words.begin(), words.end());
    app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    write_out(app.help());
    return;
  }
  run_bench(options);
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "bench", "Speed of prompt processing, generation and batches, beside the machine's limits");
  // Its flags are llama-bench's, some with one dash and several letters: a parser of its own sees them all.
  command->set_help_flag();
  command->prefix_command();
  command->callback([command] { parse_and_run(command->remaining()); });
}

}  // namespace exa
