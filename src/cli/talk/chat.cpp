#include "cli/talk/chat.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "cli/talk/model_options.h"
#include "cli/terminal/line_editor.h"
#include "cli/terminal/streams.h"
#include "exaone/engine.h"

namespace exa {
namespace {

struct ChatOptions {
  ModelFlags model;
  AnswerFlags answer;
  ChatSettings session;
};

void talk_on_terminal(ChatSession& session) {
  LineEditor editor(LineEditor::history_file());
  session.confirm = [&editor](const std::string& question) {
    std::string line;
    if (editor.read_answer(question, line) != LineEditor::Result::kLine) {
      write_out("\n");
      return ChatSession::Consent::kStop;
    }
    const bool yes = line == "y" || line == "Y" || line == "yes" || line == "네";
    return yes ? ChatSession::Consent::kYes : ChatSession::Consent::kNo;
  };
  std::string message;
  bool interrupted_before = false;
  for (;;) {
    const LineEditor::Result result = editor.read(message);
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
    if (!session.take(message)) return;
  }
}

void talk_through_pipe(ChatSession& session) {
  LineReader input;
  std::string line;
  while (input.next(line)) {
    if (line.ends_with('\r')) line.pop_back();
    if (!session.take(line)) return;
  }
}

void chat(ChatOptions& options) {
  GenerateRequest request = make_request(options.answer);
  const std::unique_ptr<Engine> engine = load_engine(options.model);
  const ModelInfo& info = engine->info();
  if (!info.can_chat) {
    throw Error(ErrorKind::kUnsupported,
                "the model has no chat template, expected one; `exaone run --raw` needs none",
                options.model.model);
  }
  const bool interactive = stdin_is_terminal() && stdout_is_terminal();
  options.session.interactive = interactive;
  options.session.verbose = options.model.verbose;
  if (options.model.verbose) write_note("sampling  " + describe_sampling(*engine, request) + "\n");
  if (interactive) {
    write_note(fmt::format(
        "{} · context {} · {} threads · {}\nThinking is {} by default. /help lists the commands.\n",
        for_terminal(info.name), info.context_tokens, info.n_threads, info.isa,
        info.thinks_by_default ? "on" : "off"));
  }
  ChatSession session(*engine, std::move(request), options.session);
  talk(session, interactive);
}

}  // namespace

void talk(ChatSession& session, bool interactive) {
  if (interactive) {
    talk_on_terminal(session);
  } else {
    talk_through_pipe(session);
  }
}

void add_chat(CLI::App& app) {
  CLI::App* const command = app.add_subcommand("chat", "Talk with the model");
  const auto options = std::make_shared<ChatOptions>();
  add_model_flags(*command, options->model);
  add_answer_flags(*command, options->answer);
  command->add_option(
      "--tool-cmd", options->session.tool_program,
      "A program that carries out calls, each after a yes: its argument is the tool's name, its "
      "standard input the arguments, its standard output the result");
  command->add_flag("--raw-markdown", options->session.raw_markdown, "Show Markdown as it is written");
  command->callback([options] { chat(*options); });
}

}  // namespace exa
