#include "cli/talk/chat_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/progress.h"
#include "cli/talk/model_options.h"
#include "cli/talk/shortfall.h"
#include "cli/terminal/external_program.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/markdown_view.h"
#include "cli/terminal/streams.h"

namespace exa {
namespace {

// A model that calls tools for ever is stopped by its person at the latest here.
constexpr int kMostToolRounds = 25;

bool person_can_help(const Error& error) {
  return error.kind() == ErrorKind::kBadInput || error.kind() == ErrorKind::kUnsupported ||
         error.kind() == ErrorKind::kUsage;
}

}  // namespace

ChatSession::ChatSession(Engine& engine, GenerateRequest request, ChatSettings settings)
    : engine_(engine), request_(std::move(request)), settings_(std::move(settings)) {}

void ChatSession::note(const std::string& text, std::size_t indent) const {
  if (settings_.interactive) write_note(wrapped(text, terminal_style(false).columns, indent) + "\n");
}

void ChatSession::warn(const std::string& text) const {
  if (settings_.interactive) {
    note(text);
  } else {
    write_note(text + "\n");
  }
}

void ChatSession::refuse(const std::string& text) const {
  if (!settings_.interactive) throw Error(ErrorKind::kUsage, text);
  note(text);
}

void ChatSession::tell(const std::string& text, std::size_t indent) const {
  if (settings_.interactive) {
    note(text, indent);
  } else {
    write_out(text + "\n");
  }
}

void ChatSession::quote(const std::string& text) const {
  if (settings_.interactive) write_note(text + "\n");
}

bool ChatSession::thinks() const {
  return request_.think == Think::kAuto ? engine_.info().thinks_by_default : request_.think == Think::kOn;
}

// The index behind the last question: messages.size() where there is none.
std::size_t ChatSession::last_question() const {
  std::size_t i = request_.messages.size();
  while (i > 0 && request_.messages[i - 1].role != "user") --i;
  return i == 0 ? request_.messages.size() : i - 1;
}

bool ChatSession::take(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string::npos) return true;
  const std::string_view trimmed = std::string_view(text).substr(begin);
  const std::string_view word = trimmed.substr(0, trimmed.find_first_of(" \t\n"));
  try {
    // A path such as /etc/hosts is no command: only the first character is a slash.
    if (word.starts_with('/') && word.find('/', 1) == std::string_view::npos) {
      std::string_view rest = trimmed.substr(word.size());
      rest.remove_prefix(std::min(rest.find_first_not_of(" \t\n"), rest.size()));
      rest = rest.substr(0, rest.find_last_not_of(" \t\n") + 1);
      return command(word, rest);
    }
    ask(user_message(text));
  } catch (const Error& error) {
    if (!settings_.interactive || error.kind() == ErrorKind::kInterrupted ||
        error.kind() == ErrorKind::kInternal) {
      throw;
    }
    note("exaone: " + one_line(error.what()));
  }
  return true;
}

Message ChatSession::user_message(std::string text) {
  Message message("user", {});
  message.content = std::exchange(attached_, {});
  message.content.emplace_back().text = std::move(text);
  return message;
}

void ChatSession::ask(Message message) {
  const std::size_t n_before = request_.messages.size();
  request_.messages.push_back(std::move(message));
  try {
    answer();
  } catch (const Error& error) {
    // The person can do something about it: shorten, /clear, ask otherwise.
    if (person_can_help(error)) request_.messages.resize(n_before);
    throw;
  }
}

Answer ChatSession::stream() {
  cancel_.reset();
  const CancelOnInterrupt on_interrupt(cancel_);
  const HideTyping hide;
  AnswerStyle style = settings_.interactive ? terminal_style(settings_.raw_markdown) : AnswerStyle();
  style.fold_reasoning = fold_reasoning_;
  AnswerView view(style);
  Progress progress("reading the prompt");
  const auto start = std::chrono::steady_clock::now();
  bool first = true;
  Answer answer = engine_.generate(
      request_,
      [&](const Event& event) {
        if (event.kind == Event::Kind::kPrefill) {
          progress.update(static_cast<double>(event.prefilled_tokens) /
                          static_cast<double>(event.usage.prompt_tokens));
          return;
        }
        progress.clear();
        if (std::exchange(first, false)) {
          first_token_seconds_ =
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        }
        view.show(event);
      },
      &cancel_);
  view.finish();
  return answer;
}

// Answers the conversation as it stands, tools included.
void ChatSession::answer() {
  for (int round = 0; round < kMostToolRounds; ++round) {
    if (!answer_once()) return;
  }
  note(fmt::format("[{} rounds of tool calls: stopped]", kMostToolRounds));
}

// True where tools were run and their results want an answer.
bool ChatSession::answer_once() {
  const Answer answer = stream();
  if (answer.reason == FinishReason::kError) {
    throw Error(ErrorKind::kBadInput, "the model's logits are not finite numbers, expected sound weights",
                engine_.info().name);
  }
  last_usage_ = answer.usage;
  ++n_answers_;
  if (answer.reason == FinishReason::kCancelled && !settings_.interactive) {
    throw Error(ErrorKind::kInterrupted, "interrupted");
  }
  const bool empty = answer.content.empty() && answer.tool_calls.empty();
  if (answer.reason == FinishReason::kCancelled) note(empty ? "[stopped before the answer]" : "[stopped]");
  const std::string less = shortfall(
      answer, request_, engine_.info(), settings_.interactive ? "/set max_tokens N allows more" : "-n allows more");
  if (!settings_.interactive) require_satisfied(answer, request_, less);
  if (!less.empty()) warn("[" + less + "]");
  if (settings_.verbose) write_note(describe_speed(answer.usage) + "\n");
  if (empty) {
    // Without an answer the question would stand there twice.
    if (request_.messages.back().role == "user") request_.messages.pop_back();
    return false;
  }
  Message message("assistant", answer.content);
  message.reasoning = answer.reasoning;
  message.tool_calls = answer.tool_calls;
  request_.messages.push_back(std::move(message));
  if (answer.tool_calls.empty() || answer.reason != FinishReason::kStop) return false;
  if (!settings_.interactive) {
    for (const ToolCall& call : answer.tool_calls) write_out(write_tool_call(call) + "\n");
    return false;
  }
  if (settings_.tool_program.empty()) {
    note("/result TEXT gives what the call returns; /help tells more.");
    return false;
  }
  return run_tools(answer.tool_calls);
}

// Every call gets a result, so that the conversation can go on. False where the person stopped it.
bool ChatSession::run_tools(const std::vector<ToolCall>& calls) {
  Consent consent = Consent::kNo;
  for (const ToolCall& call : calls) {
    const std::string question =
        fmt::format("Run {} {}? [y/N] ", for_terminal(settings_.tool_program), one_line(call.name));
    if (consent != Consent::kStop) consent = confirm ? confirm(question) : Consent::kNo;
    const bool yes = consent == Consent::kYes;
    Message message("tool", yes ? run_one_tool(call) : "The user did not allow this call.");
    message.tool_call_id = call.id;
    message.name = call.name;
    if (yes) quote(for_terminal(text_of(message)));
    request_.messages.push_back(std::move(message));
  }
  return consent != Consent::kStop;
}

std::string ChatSession::run_one_tool(const ToolCall& call) const {
  try {
    return run_tool(settings_.tool_program, call);
  } catch (const Error& error) {
    return std::string("[the tool cannot be run: ") + one_line(error.what()) + "]";
  }
}

}  // namespace exa
