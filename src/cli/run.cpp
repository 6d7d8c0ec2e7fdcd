#include "cli/run.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/streams.h"
#include "exaone/engine.h"

namespace exa {
namespace {

struct RunOptions {
  ModelFlags model;
  AnswerFlags answer;
  std::string prompt;
  bool has_prompt = false;
  bool raw = false;
  bool json = false;
};

std::string_view name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kError:
      break;
  }
  return "error";
}

std::string read_prompt(const RunOptions& options) {
  if (options.has_prompt) {
    require_utf8(options.prompt, "--prompt");
    return options.prompt;
  }
  if (stdin_is_terminal() && stderr_is_terminal()) write_note("Type the prompt, end it with Ctrl-D.\n");
  std::string text = read_all_input();
  require_utf8(text, "standard input");
  // The newline with which a shell ends a line is not part of a message; a raw prompt is taken as it is.
  if (!options.raw && text.ends_with('\n')) text.pop_back();
  return text;
}

std::string to_json(const Answer& answer, const Engine& engine, std::uint64_t seed) {
  const Usage& usage = answer.usage;
  const nlohmann::ordered_json object = {{"content", answer.content},
                                         {"reasoning", answer.reasoning},
                                         {"finish_reason", name(answer.reason)},
                                         {"usage",
                                          {{"prompt_tokens", usage.prompt_tokens},
                                           {"completion_tokens", usage.completion_tokens},
                                           {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
                                           {"cached_tokens", usage.cached_tokens},
                                           {"reasoning_tokens", usage.reasoning_tokens}}},
                                         {"timings",
                                          {{"prompt_ms", usage.prefill_seconds * 1000},
                                           {"prompt_per_second", prompt_per_second(usage)},
                                           {"predicted_ms", usage.decode_seconds * 1000},
                                           {"predicted_per_second", predicted_per_second(usage)}}},
                                         {"model", engine.info().name},
                                         {"seed", seed}};
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

// Writes the answer as it comes: content to standard output, reasoning dimmed to a terminal on standard
// error.
class AnswerPrinter {
 public:
  void reasoning(std::string_view text) {
    if (!stderr_is_terminal()) return;
    const bool dim = may_style();
    write_note((dim ? "\x1b[2m" : "") + for_terminal(text) + (dim ? "\x1b[0m" : ""));
    reasoning_open_ = true;
  }
  void content(std::string_view text) {
    if (reasoning_open_) write_note("\n\n");
    reasoning_open_ = false;
    write_out(stdout_is_terminal() ? for_terminal(text) : std::string(text));
    at_line_start_ = text.ends_with('\n');
  }
  void finish() {
    if (reasoning_open_) write_note("\n");
    if (!at_line_start_) write_out("\n");
  }

 private:
  bool reasoning_open_ = false;
  bool at_line_start_ = false;  // an empty answer is an empty line
};

void run(const RunOptions& options) {
  GenerateRequest request = make_request(options.answer);
  const std::string prompt = read_prompt(options);
  if (prompt.empty()) {
    throw Error(ErrorKind::kUsage, "the prompt is empty, expected -p TEXT or text on standard input");
  }
  if (options.raw) {
    if (!options.answer.system.empty()) {
      throw Error(ErrorKind::kUsage,
                  "a raw prompt has no system message, expected one of --raw and --system");
    }
    request.raw = prompt;
  } else {
    request.messages.push_back({"user", prompt});
  }

  const std::unique_ptr<Engine> engine = load_engine(options.model);
  if (options.model.verbose) {
    write_note("sampling  " + describe_sampling(*engine, request) + "\n");
  } else if (stderr_is_terminal()) {
    write_note(fmt::format("context {} of at most {} tokens\n", engine->info().context_tokens,
                           engine->info().max_context_tokens));
  }

  CancelToken cancel;
  const CancelOnInterrupt on_interrupt(cancel);
  Progress progress("reading the prompt");
  AnswerPrinter printer;
  const Answer answer = engine->generate(
      request,
      [&](const Event& event) {
        if (event.kind == Event::Kind::kPrefill) {
          progress.update(static_cast<double>(event.prefilled_tokens) /
                          static_cast<double>(event.usage.prompt_tokens));
          return;
        }
        progress.clear();
        if (options.json) return;
        if (event.kind == Event::Kind::kReasoning) printer.reasoning(event.text);
        if (event.kind == Event::Kind::kContent) printer.content(event.text);
      },
      &cancel);
  if (options.json) {
    write_out(to_json(answer, *engine, *request.sampling.seed));
  } else {
    printer.finish();
  }
  if (options.model.verbose) {
    write_note(fmt::format("{}; finished: {}\n", describe_speed(answer.usage), name(answer.reason)));
  }
  if (answer.reason == FinishReason::kCancelled) throw Error(ErrorKind::kInterrupted, "interrupted");
  if (answer.reason == FinishReason::kError) {
    throw Error(ErrorKind::kBadInput, "the model's logits are not finite numbers, expected sound weights",
                options.model.model);
  }
}

}  // namespace

void add_run(CLI::App& app) {
  CLI::App* const command = app.add_subcommand("run", "Answer one prompt");
  const auto options = std::make_shared<RunOptions>();
  add_model_flags(*command, options->model);
  CLI::Option* const prompt =
      command->add_option("-p,--prompt", options->prompt, "The prompt (default: standard input)");
  command->add_flag("--raw", options->raw, "The text is the prompt itself, no chat template");
  command->add_flag("--json", options->json, "One JSON object instead of streamed text");
  add_answer_flags(*command, options->answer);
  command->callback([options, prompt] {
    options->has_prompt = prompt->count() > 0;
    run(*options);
  });
}

}  // namespace exa
