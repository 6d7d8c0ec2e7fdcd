// An answer as a person sees it come: thinking dimmed or folded, the text rendered, calls as cards.
//
// Ownership and threads: belongs to one answer; writes to standard output.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cli/terminal/markdown_view.h"
#include "exaone/engine.h"

namespace exa {

struct AnswerStyle {
  bool terminal = false;        // a person reads along: control characters are made harmless, calls are cards
  bool styled = false;          // colours and dimming
  bool markdown = false;        // rendered; needs styled
  bool fold_reasoning = false;  // only how long it got
  std::size_t columns = 80;
};

// As standard output and the environment (NO_COLOR, TERM) allow.
AnswerStyle terminal_style(bool raw_markdown);

class AnswerView {
 public:
  explicit AnswerView(const AnswerStyle& style) : style_(style), markdown_(style.columns) {}

  // Reasoning, content and calls; other events are nothing to see.
  void show(const Event& event);
  // The end of the answer: ends the line.
  void finish();

 private:
  enum class Part { kNothing, kReasoning, kContent, kCall };

  void enter(Part part);
  void leave();
  void show_reasoning(std::string_view text);
  void write_line_start();
  std::string dim(std::string_view text) const;

  AnswerStyle style_;
  MarkdownView markdown_;
  Part part_ = Part::kNothing;
  std::int64_t n_folded_ = 0;  // pieces of reasoning, a token each mostly
  std::chrono::steady_clock::time_point next_count_{};
  bool at_line_start_ = true;
};

}  // namespace exa
