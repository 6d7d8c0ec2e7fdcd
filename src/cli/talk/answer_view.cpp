#include "cli/talk/answer_view.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/terminal/streams.h"

namespace exa {
namespace {

std::string replaced(const std::string& text, std::string_view from, std::string_view to) {
  std::string out;
  for (const char c : text) {
    if (c == from[0]) {
      out += to;
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

AnswerStyle terminal_style(bool raw_markdown) {
  AnswerStyle style;
  style.terminal = stdout_is_terminal();
  style.styled = style.terminal && may_style();
  style.markdown = style.styled && !raw_markdown;
  winsize size{};
  if (style.terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.columns = size.ws_col;
  }
  return style;
}

std::string AnswerView::dim(std::string_view text) const {
  return style_.styled ? "\x1b[2m" + std::string(text) + "\x1b[0m" : std::string(text);
}

void AnswerView::write_line_start() {
  if (!at_line_start_) write_out("\n");
  at_line_start_ = true;
}

void AnswerView::leave() {
  if (part_ == Part::kReasoning && style_.fold_reasoning) {
    if (style_.styled) write_out("\r\x1b[K");
    write_out(dim("[thought for " + std::to_string(n_folded_) + " tokens]"));
    at_line_start_ = false;
  }
  if (part_ == Part::kContent && style_.markdown) write_out(markdown_.finish());
  if (part_ == Part::kCall && style_.terminal) write_out("\n" + dim("╰─"));
  if (part_ == Part::kReasoning && !style_.fold_reasoning && style_.styled) {
    // An empty line between thinking and what follows.
    write_line_start();
    write_out("\n");
  }
}

void AnswerView::enter(Part part) {
  if (part_ == part && part != Part::kCall) return;
  const Part before = part_;
  leave();
  part_ = part;
  write_line_start();
  if (part == Part::kReasoning && !style_.styled && !style_.fold_reasoning) write_out("[thinking]\n");
  if (part == Part::kContent && before == Part::kReasoning && !style_.styled && !style_.fold_reasoning) {
    write_out("[answer]\n");
  }
}

void AnswerView::show_reasoning(std::string_view text) {
  enter(Part::kReasoning);
  ++n_folded_;
  if (!style_.fold_reasoning) {
    write_out(dim(for_terminal(text)));
    at_line_start_ = text.ends_with('\n');
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (!style_.styled || now < next_count_) return;
  next_count_ = now + std::chrono::milliseconds(100);
  write_out("\r" + dim("[thinking, " + std::to_string(n_folded_) + " tokens]"));
}

void AnswerView::show(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kReasoning:
      // What a pipe gets is the answer alone.
      if (style_.terminal) show_reasoning(event.text);
      return;
    case Event::Kind::kContent:
      enter(Part::kContent);
      if (style_.markdown) {
        write_out(markdown_.push(for_terminal(event.text)));
      } else {
        write_out(style_.terminal ? for_terminal(event.text) : event.text);
      }
      at_line_start_ = event.text.ends_with('\n');
      return;
    case Event::Kind::kToolCall:
      if (!style_.terminal) return;
      enter(Part::kCall);
      write_out(dim("╭─ calls ") + one_line(event.name) + "\n" + dim("│ "));
      at_line_start_ = false;
      return;
    case Event::Kind::kArguments:
      if (style_.terminal) write_out(replaced(for_terminal(event.text), "\n", "\n" + dim("│ ")));
      return;
    case Event::Kind::kPrefill:
    case Event::Kind::kFinished:
      return;
  }
}

void AnswerView::finish() {
  leave();
  // An empty answer is an empty line, for what reads line by line.
  const bool nothing = part_ == Part::kNothing && !style_.terminal;
  part_ = Part::kNothing;
  if (!at_line_start_ || nothing) write_out("\n");
  at_line_start_ = true;
}

}  // namespace exa
