#include "cli/terminal/markdown_view.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "text/utf8.h"

namespace exa {
namespace {

constexpr std::string_view kReset = "\x1b[0m";
constexpr std::size_t kWidestRule = 40;

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
  if (text.empty() || std::string_view("-*_").find(text[0]) == std::string_view::npos) return false;
  const std::string allowed{text[0], ' ', '\t'};
  return consists_of(text, allowed) && std::count(text.begin(), text.end(), text[0]) >= 3;
}

// The beginning of a line, or all of it, that opens a code block: what follows three backticks holds none.
bool is_fence(std::string_view text) {
  if (text.starts_with("~~~")) return true;
  const std::size_t info = text.find_first_not_of('`');
  return text.starts_with("```") &&
         (info == std::string_view::npos || text.find('`', info) == std::string_view::npos);
}

// Bytes of the indentation and marker of a list item or quote at the start of the text; 0: there is none.
std::size_t marker_bytes(std::string_view text) {
  const std::size_t indent = std::min(text.find_first_not_of(" \t"), text.size());
  std::size_t at = indent;
  if (at < text.size() && text[at] == '>') return at + 1;
  const std::size_t digits = text.find_first_not_of("0123456789", at);
  if (digits != std::string_view::npos && digits > at && digits - at < 10 &&
      (text[digits] == '.' || text[digits] == ')')) {
    at = digits;
  } else if (at == text.size() || std::string_view("-*+").find(text[at]) == std::string_view::npos) {
    return 0;
  }
  return at + 1 < text.size() && (text[at + 1] == ' ' || text[at + 1] == '\t') ? at + 1 : 0;
}

// What stands behind all markers; nothing where it is code by its indentation.
std::string_view behind_markers(std::string_view text) {
  while (const std::size_t n = marker_bytes(text)) {
    text.remove_prefix(n);
    if (text.find_first_not_of(' ') != std::string_view::npos && text.find_first_not_of(' ') > 4) return {};
  }
  return trimmed(text);
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
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = decode_utf8(text.data() + at).n_bytes;
    take(text.substr(at, n));
    at += n;
  }
  return std::exchange(out_, {});
}

std::string MarkdownView::finish() {
  if (!fence_.empty() && closes_fence(start_)) {
    start_.clear();
  } else if (line_ != Line::kStart || !start_.empty()) {
    decide_start("\n");
  }
  end_table();
  if (out_.ends_with('\n')) out_.pop_back();
  return std::exchange(out_, {}) + std::string(kReset);
}

void MarkdownView::take(std::string_view character) {
  switch (line_) {
    case Line::kStart:
      return take_start(character);
    case Line::kInline:
      return take_inline(character);
    case Line::kCode:
      return take_code(character);
  }
}

bool MarkdownView::closes_fence(std::string_view line) const {
  const std::string_view text = trimmed(fence_in_quote_ ? behind_markers(line) : line);
  return text.size() >= fence_.size() && consists_of(text, fence_.substr(0, 1));
}

// Whether the start of a line may still become something else than text.
bool MarkdownView::may_be_marker() const {
  const std::string_view text = trimmed(start_);
  const std::string_view behind = behind_markers(start_);
  if (text.empty()) return true;
  if (!fence_.empty()) return consists_of(fence_in_quote_ ? behind : text, fence_.substr(0, 1));
  // A rule, or the marker of an item or quote, and what opens a block of code behind it.
  if (consists_of(text, "-*_+> \t") || is_fence(behind) || consists_of(behind, "`") ||
      consists_of(behind, "~")) {
    return true;
  }
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const bool may_be_number = digits > 0 && digits < 10 && digits + 1 >= text.size() &&
                             (digits == text.size() || text.back() == '.' || text.back() == ')');
  return may_be_number || text[0] == '|' || (consists_of(text, "#") && text.size() <= 6);
}

void MarkdownView::take_start(std::string_view character) {
  if (character != "\n") {
    start_ += character;
    // "- a": the marker is known with the space, and the line is no rule with the character behind it.
    if (may_be_marker()) return;
  }
  decide_start(character);
}

// start_ holds the beginning of the line (all of it where character is a newline).
void MarkdownView::decide_start(std::string_view character) {
  const bool whole = character == "\n";
  const std::string start = std::exchange(start_, {});
  const std::string_view text = trimmed(start);
  if (line_ != Line::kStart) return end_line();
  if (!fence_.empty()) {
    if (whole && closes_fence(start)) {
      fence_.clear();
      blank_ = true;
      return;
    }
    std::string_view code = start;
    if (fence_in_quote_ && trimmed(code).starts_with('>')) {
      code.remove_prefix(code.find('>') + 1);
      if (code.starts_with(' ')) code.remove_prefix(1);
    }
    return begin_code(code, whole);
  }
  const bool blank_before = std::exchange(blank_, whole && text.empty());
  const std::size_t indent = std::min(start.find_first_not_of(" \t"), start.size());
  const std::size_t marker = marker_bytes(start);
  // Code by its indentation: behind an empty line, and not the continuation of a list's item.
  if (!text.empty() && blank_before && !in_list_ &&
      (indent >= 4 || start.substr(0, indent).find('\t') != std::string::npos)) {
    blank_ = true;
    return begin_code(start, whole);
  }
  if (marker > 0 && start[marker - 1] != '>') {
    in_list_ = true;
  } else if (!text.empty() && indent == 0 && blank_before) {
    in_list_ = false;
  }
  if (whole && text.starts_with('|')) {
    table_.push_back(start);
    return;
  }
  end_table();
  const std::string_view behind = behind_markers(start);
  if (whole && is_fence(behind)) {
    if (marker > 0) out_ += start.substr(0, static_cast<std::size_t>(behind.data() - start.data())) + "\n";
    const std::size_t n = behind.find_first_not_of(behind[0]);
    fence_ = behind.substr(0, n);
    fence_in_quote_ = text.starts_with('>');
    const std::string_view language = n == std::string_view::npos ? "" : trimmed(behind.substr(n));
    if (!language.empty()) out_ += "  \x1b[2m" + std::string(language) + std::string(kReset) + "\n";
    return;
  }
  line_ = Line::kInline;
  last_ = U' ';
  std::string_view rest = start;
  if (whole && is_rule(start)) {
    out_ += "\x1b[2m" + repeated("─", std::min(columns_, kWidestRule)) + std::string(kReset);
    rest = {};
    blank_ = true;
  } else if (marker > 0 && rest.find_first_not_of(' ', marker) != std::string_view::npos &&
             rest.find_first_not_of(' ', marker) - marker > 4) {
    // So far behind its marker it is code.
    out_ += start.substr(0, marker);
    return begin_code(rest.substr(marker + 1), whole);
  } else if (marker > 0 && start[marker - 1] == '>') {
    out_ += "\x1b[2m│\x1b[0m ";
    rest = trimmed(rest.substr(marker));
  } else if (marker > 0 && std::string_view("-*+").find(start[marker - 1]) != std::string_view::npos) {
    out_ += start.substr(0, indent) + "• ";
    rest = trimmed(rest.substr(marker));
  } else if (whole && !text.empty() && text.size() <= 6 && consists_of(text, "#")) {
    rest = {};
  } else if (text.starts_with('#') && start.find(' ', indent) != std::string::npos &&
             consists_of(std::string_view(start).substr(indent, start.find(' ', indent) - indent), "#")) {
    heading_ = true;
    blank_ = true;
    show({{"", true, false, false}});
    rest = trimmed(rest.substr(start.find(' ', indent)));
  }
  take_inline(rest);
  if (whole) end_line();
}

void MarkdownView::begin_code(std::string_view start, bool whole) {
  line_ = Line::kCode;
  out_ += "  \x1b[36m" + std::string(start);
  if (whole) end_line();
}

void MarkdownView::end_line() {
  if (line_ == Line::kInline) flush_inline();
  const bool styled = shown_ != StyledText() || line_ == Line::kCode || heading_;
  heading_ = false;
  shown_ = {};
  if (styled) out_ += kReset;
  out_ += '\n';
  line_ = Line::kStart;
}

void MarkdownView::take_code(std::string_view text) {
  if (text == "\n") return end_line();
  out_ += text;
}

// Adds the pieces, each in its style.
void MarkdownView::show(const std::vector<StyledText>& pieces) {
  for (const StyledText& piece : pieces) {
    const StyledText style{"", piece.bold || heading_, piece.italic, piece.code};
    if (style != shown_) {
      out_ += kReset;
      if (style.bold) out_ += "\x1b[1m";
      if (style.italic) out_ += "\x1b[3m";
      if (style.code) out_ += "\x1b[36m";
      shown_ = style;
    }
    out_ += piece.text;
  }
}

// The line ends here, or holds back too much: what is undecided is text.
void MarkdownView::flush_inline() {
  show(*parse_inline(held_, before_held_, true));
  held_.clear();
}

void MarkdownView::take_inline(std::string_view text) {
  // Longer phrases are shown with their markers, so that a star that nothing closes does not stop the view.
  constexpr std::size_t kMostHeld = 1000;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view character = text.substr(at, decode_utf8(text.data() + at).n_bytes);
    at += character.size();
    if (character == "\n") return end_line();
    const bool special = std::string_view("*`\\").find(character[0]) != std::string_view::npos;
    if (held_.empty() && !special) {
      show({{std::string(character), false, false, false}});
      last_ = static_cast<char32_t>(decode_utf8(character.data()).value);
      continue;
    }
    if (held_.empty()) before_held_ = last_;
    // Only the character behind a marker can decide.
    const bool behind_marker =
        !held_.empty() && std::string_view("*`\\").find(held_.back()) != std::string_view::npos;
    held_ += character;
    last_ = static_cast<char32_t>(decode_utf8(character.data()).value);
    if (held_.size() > kMostHeld) {
      flush_inline();
    } else if (behind_marker) {
      const auto pieces = parse_inline(held_, before_held_, false);
      if (!pieces) continue;
      show(*pieces);
      held_.clear();
    }
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
  if (heading) view.show({{"", true, false, false}});
  view.take_inline(cell);
  view.end_line();
  view.out_.pop_back();
  return view.out_;
}

void MarkdownView::end_table() {
  if (table_.empty()) return;
  const std::vector<std::string> lines = std::exchange(table_, {});
  const auto as_written = [&] {
    for (const std::string& line : lines) out_ += rendered_cell(line, false) + "\n";
  };
  std::vector<std::vector<std::string>> rows;
  for (const std::string& line : lines) rows.push_back(cells_of(line));
  const bool has_rule =
      rows.size() >= 2 && std::all_of(rows[1].begin(), rows[1].end(), [](const std::string& cell) {
        return !cell.empty() && consists_of(cell, "-: ");
      });
  if (!has_rule || rows[1].size() != rows[0].size()) return as_written();

  // Cells beyond the heading's are shown, too.
  std::size_t n = 0;
  for (const auto& row : rows) n = std::max(n, row.size());
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
