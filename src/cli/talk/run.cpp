#include "cli/talk/run.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "cli/flags/named_files.h"
#include "cli/talk/answer_json.h"
#include "cli/talk/answer_view.h"
#include "cli/talk/model_options.h"
#include "cli/talk/shortfall.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/streams.h"
#include "exaone/engine.h"

namespace exa {
namespace {

struct RunOptions {
  ModelFlags model;
  AnswerFlags answer;
  std::string prompt;
  bool has_prompt = false;
  std::string messages;             // a file
  std::vector<std::string> images;  // files
  bool continue_final = false;
  bool raw = false;
  bool json = false;
  bool stream_json = false;
  bool raw_markdown = false;
  int choices = 1;
};

std::string read_input(bool raw) {
  std::string text = read_all_input();
  require_utf8(text, "standard input");
  // The newline with which a shell ends a line is not part of a message; a raw prompt is taken as it is.
  if (!raw && text.ends_with('\n')) text.pop_back();
  return text;
}

std::string read_prompt(const RunOptions& options) {
  if (!options.has_prompt) {
    if (!options.messages.empty()) return {};
    if (stdin_is_terminal() && stderr_is_terminal()) write_note("Type the prompt, end it with Ctrl-D.\n");
    return read_input(options.raw);
  }
  require_utf8(options.prompt, "--prompt");
  if (options.raw || !stdin_is_piped()) return options.prompt;
  // `cat report.txt | exaone run -p "…"`: the question, then what it is about.
  const std::string input = read_input(false);
  return input.empty() ? options.prompt : options.prompt + "\n\n" + input;
}

GenerateRequest read_request(const RunOptions& options) {
  GenerateRequest request = make_request(options.answer);
  if (options.raw && (!options.answer.system.empty() || !options.messages.empty())) {
    throw Error(ErrorKind::kUsage,
                "a raw prompt has no messages, expected --raw without --system and --messages");
  }
  if (!options.images.empty() && (options.raw || (!options.has_prompt && !options.messages.empty()))) {
    throw Error(ErrorKind::kUsage, "pictures go with a prompt, expected --image with -p and without --raw");
  }
  if (!options.messages.empty()) {
    for (Message& message : read_messages_file(options.messages)) {
      request.messages.push_back(std::move(message));
    }
  }
  const std::string prompt = read_prompt(options);
  if (options.raw) {
    request.raw = prompt;
  } else if (!prompt.empty()) {
    Message message("user", prompt);
    for (auto file = options.images.rbegin(); file != options.images.rend(); ++file) {
      message.content.insert(message.content.begin(), ContentPart{{}, read_picture_file(*file), {}});
    }
    request.messages.push_back(std::move(message));
  }
  request.continue_final_message = options.continue_final;
  if (prompt.empty() && options.messages.empty()) {
    throw Error(ErrorKind::kUsage, "the prompt is empty, expected -p TEXT or text on standard input");
  }
  return request;
}

// The answer as text: content to standard output, thinking dimmed to a terminal on standard error.
class TextPrinter {
 public:
  explicit TextPrinter(bool raw_markdown) : view_(terminal_style(raw_markdown)) {}

  void show(const Event& event) {
    if (event.kind == Event::Kind::kReasoning) {
      if (stderr_is_terminal()) {
        const bool dim = may_style();
        write_note((dim ? "\x1b[2m" : "") + for_terminal(event.text) + (dim ? "\x1b[0m" : ""));
        reasoning_open_ = true;
      }
      return;
    }
    if (reasoning_open_) write_note("\n\n");
    reasoning_open_ = false;
    view_.show(event);
  }
  void finish(const Answer& answer) {
    if (reasoning_open_) write_note("\n");
    if (!stdout_is_terminal() && !answer.tool_calls.empty()) {
      if (!answer.content.empty()) write_out("\n");
      for (const ToolCall& call : answer.tool_calls) write_out(write_tool_call(call) + "\n");
      return;
    }
    view_.finish();
  }

 private:
  AnswerView view_;
  bool reasoning_open_ = false;
};

Answer answer_once(Engine& engine, const GenerateRequest& request, const RunOptions& options,
                   std::optional<int> choice) {
  CancelToken cancel;
  const CancelOnInterrupt on_interrupt(cancel);
  Progress progress("reading the prompt");
  TextPrinter printer(options.raw_markdown);
  const Answer answer = engine.generate(
      request,
      [&](const Event& event) {
        if (options.stream_json) {
          write_out(event_json(event, choice));
        } else if (event.kind == Event::Kind::kPrefill) {
          progress.update(static_cast<double>(event.prefilled_tokens) /
                          static_cast<double>(event.usage.prompt_tokens));
        } else if (event.kind != Event::Kind::kFinished) {
          progress.clear();
          if (!options.json) printer.show(event);
        }
      },
      &cancel);
  progress.clear();
  if (options.stream_json) {
    write_out(finished_json(answer, *request.sampling.seed, choice));
  } else if (!options.json) {
    printer.finish(answer);
  }
  return answer;
}

void run(const RunOptions& options) {
  GenerateRequest request = read_request(options);
  const std::unique_ptr<Engine> engine = load_engine(options.model);
  if (options.model.verbose) {
    write_note("sampling  " + describe_sampling(*engine, request) + "\n");
  } else if (stderr_is_terminal() && engine->info().context_tokens < engine->info().max_context_tokens) {
    write_note(fmt::format("context {} of at most {} tokens\n", engine->info().context_tokens,
                           engine->info().max_context_tokens));
  }

  std::vector<Choice> choices;
  bool interrupted = false;
  for (int i = 0; i < options.choices && !interrupted; ++i) {
    if (i > 0) {
      ++*request.sampling.seed;
      if (!options.json && !options.stream_json) write_out("---\n");
    }
    const std::optional<int> index = options.choices > 1 ? std::optional(i) : std::nullopt;
    choices.push_back({answer_once(*engine, request, options, index), *request.sampling.seed});
    const Answer& answer = choices.back().answer;
    interrupted = answer.reason == FinishReason::kCancelled;
    const std::string less = shortfall(answer, request, engine->info(), "-n allows more");
    if (!less.empty() && answer.satisfies_request) write_note("[" + less + "]\n");
    if (options.model.verbose) {
      write_note(fmt::format("{}; finished: {}\n", describe_speed(answer.usage),
                             finish_name(answer.reason, !answer.tool_calls.empty())));
    }
    if (answer.reason == FinishReason::kError) {
      if (options.json) write_out(choices_json(choices, engine->info().name));
      throw Error(ErrorKind::kBadInput, "the model's logits are not finite numbers, expected sound weights",
                  options.model.model);
    }
  }
  if (options.json) write_out(choices_json(choices, engine->info().name));
  if (interrupted) throw Error(ErrorKind::kInterrupted, "interrupted");
  for (const Choice& choice : choices) {
    require_satisfied(choice.answer, request, shortfall(choice.answer, request, engine->info(), "-n allows more"));
  }
}

}  // namespace

void add_run(CLI::App& app) {
  CLI::App* const command = app.add_subcommand("run", "Answer one prompt");
  const auto options = std::make_shared<RunOptions>();
  add_model_flags(*command, options->model);
  CLI::Option* const prompt = command->add_option(
      "-p,--prompt", options->prompt, "The prompt; what is piped in follows it (default: standard input)");
  command
      ->add_option("--messages", options->messages,
                   "A JSON file with a whole conversation; a prompt becomes its last message")
      ->type_name("FILE");
  command
      ->add_option("--image", options->images,
                   "A picture (JPEG, PNG, WebP, GIF) before the prompt; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  CLI::Option* const continues =
      command->add_flag("--continue", options->continue_final, "Go on with the last message, an assistant's");
  CLI::Option* const raw =
      command->add_flag("--raw", options->raw, "The text is the prompt itself, no chat template");
  continues->excludes(raw);
  CLI::Option* const json =
      command->add_flag("--json", options->json, "One JSON object instead of streamed text");
  command->add_flag("--stream-json", options->stream_json, "JSON events as they come, one a line")
      ->excludes(json);
  command->add_flag("--raw-markdown", options->raw_markdown, "Show Markdown on a terminal as it is written");
  command->add_option("--choices", options->choices, "How many answers, each with the next seed")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  add_answer_flags(*command, options->answer);
  command->callback([options, prompt] {
    options->has_prompt = prompt->count() > 0;
    run(*options);
  });
}

}  // namespace exa
