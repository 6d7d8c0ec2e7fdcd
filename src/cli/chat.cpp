#include "cli/chat.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/model_options.h"
#include "cli/streams.h"
#include "exaone/engine.h"

namespace exa {
namespace {

struct ChatOptions {
  ModelFlags model;
  AnswerFlags answer;
};

constexpr std::string_view kHelp =
    "/think on|off|auto  think before answering, or as the model does by default\n"
    "/clear              start a new conversation\n"
    "/exit               leave (also Ctrl-D)\n"
    "/help               this list\n"
    "Ctrl-C              stop the answer; at the prompt drop the line, twice leave\n";

std::string_view name(Think think) {
  return think == Think::kOn ? "on" : think == Think::kOff ? "off" : "auto";
}

class Conversation {
 public:
  // interactive: a person reads along. Notes and thinking are for people; a pipe gets the answers alone.
  Conversation(Engine& engine, const ChatOptions& options, bool interactive)
      : engine_(engine),
        request_(make_request(options.answer)),
        n_fixed_(request_.messages.size()),
        verbose_(options.model.verbose),
        interactive_(interactive) {}

  const GenerateRequest& request() const { return request_; }

  // One line of input. False where it asks to leave. Errors: those of Engine::generate where nobody reads
  // along.
  bool take(const std::string& line);

 private:
  bool command(std::string_view word, std::string_view rest);
  void ask(const std::string& line);
  Answer stream();
  void show(const Event& event);
  void note(const std::string& text) const {
    if (interactive_) write_note(text + "\n");
  }

  Engine& engine_;
  GenerateRequest request_;
  std::size_t n_fixed_;  // messages that /clear keeps: the system prompt
  bool verbose_;
  bool interactive_;
  CancelToken cancel_;
  bool reasoning_open_ = false;
  bool at_line_start_ = true;
};

bool Conversation::take(const std::string& line) {
  const std::size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string::npos) return true;
  const std::string_view text = std::string_view(line).substr(begin);
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  // A path such as /etc/hosts is no command: only the first character is a slash.
  if (word.starts_with('/') && word.find('/', 1) == std::string_view::npos) {
    const std::size_t rest = text.find_first_not_of(" \t", word.size());
    return command(word, rest == std::string_view::npos ? std::string_view{} : text.substr(rest));
  }
  ask(line);
  return true;
}

bool Conversation::command(std::string_view word, std::string_view rest) {
  rest = rest.substr(0, rest.find_last_not_of(" \t") + 1);
  if (word == "/exit" || word == "/quit") return false;
  if (word == "/clear") {
    request_.messages.resize(n_fixed_);
    note("A new conversation.");
  } else if (word == "/think" && (rest == "on" || rest == "off" || rest == "auto" || rest.empty())) {
    if (!rest.empty()) {
      request_.think = rest == "on" ? Think::kOn : rest == "off" ? Think::kOff : Think::kAuto;
    }
    note(fmt::format("Thinking is {}{}.", name(request_.think),
                     request_.think == Think::kAuto
                         ? engine_.info().thinks_by_default ? ", which is on" : ", which is off"
                         : ""));
  } else if (word == "/help") {
    note(std::string(kHelp.substr(0, kHelp.size() - 1)));
  } else {
    note(fmt::format("There is no command {} {}; /help lists them.", for_terminal(word), for_terminal(rest)));
  }
  return true;
}

void Conversation::show(const Event& event) {
  if (event.kind == Event::Kind::kReasoning && interactive_) {
    const bool dim = may_style();
    if (!dim && !reasoning_open_) write_out("[thinking]\n");
    write_out((dim ? "\x1b[2m" : "") + for_terminal(event.text) + (dim ? "\x1b[0m" : ""));
    reasoning_open_ = true;
    at_line_start_ = false;
  }
  if (event.kind == Event::Kind::kContent) {
    if (reasoning_open_) write_out(may_style() ? "\n\n" : "\n[answer]\n");
    reasoning_open_ = false;
    write_out(interactive_ ? for_terminal(event.text) : std::string(event.text));
    at_line_start_ = event.text.ends_with('\n');
  }
}

Answer Conversation::stream() {
  cancel_.reset();
  reasoning_open_ = false;
  at_line_start_ = true;
  const CancelOnInterrupt on_interrupt(cancel_);
  Progress progress("reading the prompt");
  return engine_.generate(
      request_,
      [&](const Event& event) {
        if (event.kind == Event::Kind::kPrefill) {
          progress.update(static_cast<double>(event.prefilled_tokens) /
                          static_cast<double>(event.usage.prompt_tokens));
          return;
        }
        progress.clear();
        show(event);
      },
      &cancel_);
}

void Conversation::ask(const std::string& line) {
  request_.messages.push_back({"user", line});
  Answer answer;
  try {
    answer = stream();
  } catch (const Error& error) {
    // The person can do something about it: shorten, /clear, ask otherwise.
    if (!interactive_ || error.kind() != ErrorKind::kBadInput) throw;
    request_.messages.pop_back();
    note("exaone: " + one_line(error.what()));
    return;
  }
  if (!at_line_start_ || !interactive_) write_out("\n");
  if (answer.reason == FinishReason::kError) {
    throw Error(ErrorKind::kBadInput, "the model's logits are not finite numbers, expected sound weights",
                engine_.info().name);
  }
  if (answer.reason == FinishReason::kCancelled && !interactive_)
    throw Error(ErrorKind::kInterrupted, "interrupted");
  if (answer.reason == FinishReason::kCancelled) note("[stopped]");
  if (answer.reason == FinishReason::kLength)
    note("[cut: the context or the token limit is reached; /clear starts anew]");
  if (verbose_) write_note(describe_speed(answer.usage) + "\n");
  if (answer.content.empty()) {
    // Without an answer the question would stand there twice.
    request_.messages.pop_back();
  } else {
    request_.messages.push_back({"assistant", answer.content});
  }
}

void talk(Conversation& conversation) {
  LineEditor editor(LineEditor::history_file());
  std::string line;
  bool interrupted_before = false;
  for (;;) {
    const LineEditor::Result result = editor.read(line);
    if (result == LineEditor::Result::kInterrupted) {
      write_out("\n");
      if (interrupted_before) throw Error(ErrorKind::kInterrupted, "interrupted");
      write_note("Ctrl-C again, Ctrl-D or /exit leaves.\n");
      interrupted_before = true;
      continue;
    }
    interrupted_before = false;
    if (result == LineEditor::Result::kEnd) {
      write_out("\n");
      return;
    }
    if (!conversation.take(line)) return;
  }
}

void read_along(Conversation& conversation) {
  LineReader input;
  std::string line;
  while (input.next(line)) {
    if (line.ends_with('\r')) line.pop_back();
    if (!conversation.take(line)) return;
  }
}

void chat(const ChatOptions& options) {
  const std::unique_ptr<Engine> engine = load_engine(options.model);
  const ModelInfo& info = engine->info();
  if (!info.can_chat) {
    throw Error(ErrorKind::kUnsupported,
                "the model has no chat template, expected one; `exaone run --raw` needs none",
                options.model.model);
  }
  const bool interactive = stdin_is_terminal() && stdout_is_terminal();
  Conversation conversation(*engine, options, interactive);
  if (options.model.verbose) {
    write_note("sampling  " + describe_sampling(*engine, conversation.request()) + "\n");
  }
  if (!interactive) {
    read_along(conversation);
    return;
  }
  write_note(fmt::format("{} · context {} · {} threads · {} · thinking {} by default · /help\n",
                         for_terminal(info.name), info.context_tokens, info.n_threads, info.isa,
                         info.thinks_by_default ? "on" : "off"));
  talk(conversation);
}

}  // namespace

void add_chat(CLI::App& app) {
  CLI::App* const command = app.add_subcommand("chat", "Talk with the model");
  const auto options = std::make_shared<ChatOptions>();
  add_model_flags(*command, options->model);
  add_answer_flags(*command, options->answer);
  command->callback([options] { chat(*options); });
}

}  // namespace exa
