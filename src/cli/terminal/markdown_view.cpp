#include "cli/terminal/markdown_view.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "text/utf8.h"

namespace exa {
namespace {

constexpr std::string_view kReset = "\x1b[0m";
constexpr std::size_t kWidestRule = 40;

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

bool consists_of(std::string_view text, std::string_view characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

bool is_rule(std::string_view line) {
  const std::string_view text = trimmed(line);
  return text.size() >= 3 && (consists_of(text, "- ") || consists_of(text, "* ") || consists_of(text, "_ "));
}

bool is_fence(std::string_view text) {
  return text.starts_with("```") || text.starts_with("~~~");
}

std::string repeated(std::string_view text, std::size_t n) {
  std::string out;
  while (n-- > 0) out += text;
  return out;
}

}  // namespace

std::size_t text_columns(std::string_view text) {
  std::size_t columns = 0;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint point = decode_utf8(text.data() + i);
    columns +=
        static_cast<std::size_t>(std::max(0, utf8proc_charwidth(static_cast<utf8proc_int32_t>(point.value))));
    i += point.n_bytes;
  }
  return columns;
}

std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent) {
  std::string out;
  std::size_t used = 0;
  bool begun = false;  // the line has a word
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '\n') {
      out += '\n';
      used = 0;
      begun = false;
      ++at;
      continue;
    }
    // A word with the spaces in front of it.
    const std::size_t word = std::min(text.find_first_not_of(' ', at), text.size());
    const std::size_t end = std::min(text.find_first_of(" \n", word), text.size());
    const std::size_t width = text_columns(text.substr(at, end - at));
    if (begun && used + width > columns) {
      out += '\n' + std::string(indent, ' ');
      used = indent;
      at = word;
    }
    begun = true;
    out += text.substr(at, end - at);
    used += text_columns(text.substr(at, end - at));
    at = end;
  }
  return out;
}

std::string MarkdownView::push(std::string_view text) {
  for (const char c : text) take(c);
  return std::exchange(out_, {});
}

std::string MarkdownView::finish() {
  const std::string_view start = trimmed(start_);
  if (!fence_.empty() && is_fence(start)) {
    start_.clear();
  } else if (line_ != Line::kStart || !start_.empty()) {
    decide_start('\n');
  }
  end_table();
  if (out_.ends_with('\n')) out_.pop_back();
  return std::exchange(out_, {}) + std::string(kReset);
}

void MarkdownView::take(char c) {
  switch (line_) {
    case Line::kStart:
      return take_start(c);
    case Line::kInline:
      return take_inline(c);
    case Line::kCode:
      return take_code(c);
  }
}

// Waits until the start of the line says what the line is.
void MarkdownView::take_start(char c) {
  if (c != '\n') {
    start_ += c;
    const std::string_view text = trimmed(start_);
    if (text.empty()) return;
    if (!fence_.empty()) {
      if (consists_of(text, fence_.substr(0, 1))) return;
    } else if (text[0] == '|' || is_fence(text) || consists_of(text, "`") || consists_of(text, "~") ||
               consists_of(text, ">") || consists_of(start_, " \t-*_+")) {
      return;
    } else if (consists_of(text, "#") && text.size() <= 6) {
      return;
    }
    // "- a": the marker is known with the space, and the line is no rule with the character behind it.
  }
  decide_start(c);
}

// start_ holds the beginning of the line (all of it where c is a newline).
void MarkdownView::decide_start(char c) {
  const bool whole = c == '\n';
  const std::string start = std::exchange(start_, {});
  const std::string_view text = trimmed(start);
  if (line_ != Line::kStart) return end_line();
  if (!fence_.empty()) {
    if (whole && text.size() >= fence_.size() && consists_of(text, fence_.substr(0, 1))) {
      fence_.clear();
      return;
    }
    line_ = Line::kCode;
    out_ += "  \x1b[36m";
    for (const char each : start) take_code(each);
    if (whole) take_code('\n');
    return;
  }
  if (whole && text.starts_with('|')) {
    table_.push_back(start);
    return;
  }
  end_table();
  if (whole && is_fence(text)) {
    const std::size_t n = text.find_first_not_of(text[0]);
    fence_ = text.substr(0, n);
    const std::string_view language = n == std::string_view::npos ? "" : trimmed(text.substr(n));
    if (!language.empty()) out_ += "  \x1b[2m" + std::string(language) + std::string(kReset) + "\n";
    return;
  }
  line_ = Line::kInline;
  last_ = ' ';
  std::string_view rest = start;
  const std::size_t indent = std::min(start.find_first_not_of(" \t"), start.size());
  if (whole && is_rule(start)) {
    out_ += "\x1b[2m" + repeated("─", std::min(columns_, kWidestRule)) + std::string(kReset);
    rest = {};
  } else if (text.size() >= 2 && std::string_view("-*+").find(text[0]) != std::string_view::npos &&
             start.find_first_of(" \t", indent) == indent + 1) {
    out_ += start.substr(0, indent) + "• ";
    rest = trimmed(rest.substr(indent + 1));
  } else if (text.starts_with('#') && start.find(' ', indent) != std::string::npos &&
             consists_of(std::string_view(start).substr(indent, start.find(' ', indent) - indent), "#")) {
    heading_ = true;
    restyle();
    rest = trimmed(rest.substr(start.find(' ', indent)));
  } else if (text.starts_with('>')) {
    out_ += "\x1b[2m│\x1b[0m ";
    rest = trimmed(text.substr(1));
  }
  for (const char each : rest) take_inline(each);
  if (whole) take_inline('\n');
}

void MarkdownView::end_line() {
  if (!run_.empty()) end_run('\n');
  if (escaped_) literal("\\");
  escaped_ = false;
  const bool styled = bold_ || italic_ || heading_ || !code_span_.empty() || line_ == Line::kCode;
  bold_ = italic_ = heading_ = false;
  code_span_.clear();
  if (styled) out_ += kReset;
  out_ += '\n';
  line_ = Line::kStart;
}

void MarkdownView::take_code(char c) {
  if (c == '\n') return end_line();
  out_ += c;
}

void MarkdownView::literal(std::string_view text) {
  out_ += text;
  if (!text.empty()) last_ = text.back();
}

void MarkdownView::restyle() {
  out_ += kReset;
  if (heading_ || bold_) out_ += "\x1b[1m";
  if (italic_) out_ += "\x1b[3m";
  if (!code_span_.empty()) out_ += "\x1b[36m";
}

// The run of stars or backticks is over: it begins or ends something, or is text.
void MarkdownView::end_run(char next) {
  const std::string run = std::exchange(run_, {});
  const bool space_behind = next == ' ' || next == '\t' || next == '\n';
  if (run[0] == '`') {
    if (code_span_ == run) {
      code_span_.clear();
    } else if (code_span_.empty() && run.size() <= 2 && next != '\n') {
      code_span_ = run;
    } else {
      return literal(run);
    }
    last_ = '`';
    return restyle();
  }
  const bool opens = !space_behind && !is_word(before_run_);
  const bool closes = before_run_ != ' ' && before_run_ != '\t';
  const bool is_bold = run.size() >= 2;
  const bool is_italic = run.size() % 2 == 1;
  if (run.size() > 3) return literal(run);
  bool changed = false;
  if (is_bold && (bold_ ? closes : opens)) {
    bold_ = !bold_;
    changed = true;
  }
  if (is_italic && (italic_ ? closes : opens)) {
    italic_ = !italic_;
    changed = true;
  }
  if (!changed) return literal(run);
  last_ = '*';
  restyle();
}

void MarkdownView::take_inline(char c) {
  if (!run_.empty()) {
    if (c == run_[0]) {
      run_ += c;
      return;
    }
    end_run(c);
  }
  if (escaped_) {
    escaped_ = false;
    if (std::string_view("*`_#|\\").find(c) == std::string_view::npos || c == '\\') out_ += '\\';
    if (c != '\n') return literal({&c, 1});
  }
  if (c == '\n') return end_line();
  if (c == '\\' && code_span_.empty()) {
    escaped_ = true;
  } else if (c == '`' || (c == '*' && code_span_.empty())) {
    run_ = c;
    before_run_ = last_;
  } else {
    literal({&c, 1});
  }
}

std::vector<std::string> MarkdownView::cells_of(std::string_view line) const {
  line = trimmed(line);
  if (line.starts_with('|')) line.remove_prefix(1);
  if (line.ends_with('|') && !line.ends_with("\\|")) line.remove_suffix(1);
  std::vector<std::string> cells(1);
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == '|') {
      cells.back() += '|';
      ++i;
    } else if (line[i] == '|') {
      cells.emplace_back();
    } else {
      cells.back() += line[i];
    }
  }
  for (std::string& cell : cells) cell = std::string(trimmed(cell));
  return cells;
}

std::string MarkdownView::rendered_cell(std::string_view cell, bool heading) const {
  MarkdownView view(columns_);
  view.line_ = Line::kInline;
  view.heading_ = heading;
  if (heading) view.restyle();
  for (const char c : cell) view.take_inline(c);
  view.end_line();
  view.out_.pop_back();
  return view.out_;
}

void MarkdownView::end_table() {
  if (table_.empty()) return;
  const std::vector<std::string> lines = std::exchange(table_, {});
  const auto as_written = [&] {
    for (const std::string& line : lines) out_ += line + "\n";
  };
  std::vector<std::vector<std::string>> rows;
  for (const std::string& line : lines) rows.push_back(cells_of(line));
  const bool has_rule =
      rows.size() >= 2 && std::all_of(rows[1].begin(), rows[1].end(), [](const std::string& cell) {
        return !cell.empty() && consists_of(cell, "-: ");
      });
  if (!has_rule) return as_written();

  const std::size_t n = rows[0].size();
  const std::vector<std::string> rule = rows[1];
  rows.erase(rows.begin() + 1);
  std::vector<std::size_t> widths(n, 1);
  std::vector<std::vector<std::pair<std::string, std::size_t>>> shown;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    rows[r].resize(n);
    shown.emplace_back();
    for (std::size_t c = 0; c < n; ++c) {
      std::string cell = rendered_cell(rows[r][c], r == 0);
      std::string plain;
      for (std::size_t i = 0; i < cell.size(); ++i) {
        if (cell[i] == '\x1b') {
          i = cell.find('m', i);
        } else {
          plain += cell[i];
        }
      }
      const std::size_t width = text_columns(plain);
      widths[c] = std::max(widths[c], width);
      shown.back().emplace_back(std::move(cell), width);
    }
  }
  std::size_t total = 1;
  for (const std::size_t width : widths) total += width + 3;
  if (total > columns_) return as_written();

  const auto border = [&](std::string_view left, std::string_view middle, std::string_view right) {
    out_ += "\x1b[2m";
    for (std::size_t c = 0; c < n; ++c) {
      out_ += c == 0 ? left : middle;
      out_ += repeated("─", widths[c] + 2);
    }
    out_ += std::string(right) + std::string(kReset) + "\n";
  };
  const std::string bar = "\x1b[2m│\x1b[0m";
  border("┌", "┬", "┐");
  for (std::size_t r = 0; r < shown.size(); ++r) {
    for (std::size_t c = 0; c < n; ++c) {
      const auto& [cell, width] = shown[r][c];
      const std::string mark = c < rule.size() ? rule[c] : "";
      const std::size_t space = widths[c] - width;
      const bool right = mark.ends_with(':');
      const std::size_t left_space = !right ? 0 : mark.starts_with(':') ? space / 2 : space;
      out_ += bar + " " + std::string(left_space, ' ') + cell + std::string(space - left_space, ' ') + " ";
    }
    out_ += bar + "\n";
    if (r == 0) border("├", "┼", "┤");
  }
  border("└", "┴", "┘");
}

}  // namespace exa
