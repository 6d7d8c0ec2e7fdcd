#include "cli/terminal/inline_markdown.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "text/utf8.h"

namespace exa {
namespace {

constexpr std::string_view kEscapable = "*`_#|";

struct Node {
  std::string text;
  bool code = false;
  int bold = 0, italic = 0;  // how many emphases it stands in
  // A run of stars:
  bool is_run = false;
  bool can_open = false, can_close = false;
  std::size_t n_stars = 0;  // of the run
  std::size_t n_left = 0;   // not yet part of an emphasis
};

bool is_space(char32_t c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0d) ||
         utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ZS;
}

bool is_punctuation(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_SO;
}

char32_t first_of(std::string_view text) {
  return text.empty() ? U' ' : static_cast<char32_t>(decode_utf8(text.data()).value);
}

std::size_t run_length(std::string_view text, std::size_t at) {
  const std::size_t end = text.find_first_not_of(text[at], at);
  return (end == std::string_view::npos ? text.size() : end) - at;
}

// Where a run of exactly n backticks begins, from `at` on; npos: nowhere.
std::size_t find_backticks(std::string_view text, std::size_t at, std::size_t n) {
  while ((at = text.find('`', at)) != std::string_view::npos) {
    const std::size_t length = run_length(text, at);
    if (length == n) return at;
    at += length;
  }
  return at;
}

// One space at each end of a span is not part of the code, if there is anything else.
std::string_view code_of(std::string_view span) {
  const bool spaced = span.size() > 2 && span.front() == ' ' && span.back() == ' ' &&
                      span.find_first_not_of(' ') != std::string_view::npos;
  return spaced ? span.substr(1, span.size() - 2) : span;
}

// What belongs together, by section 6.2's rules for delimiter runs.
void match_runs(std::vector<Node>& nodes) {
  for (std::size_t closer = 0; closer < nodes.size(); ++closer) {
    Node& end = nodes[closer];
    while (end.can_close && end.n_left > 0) {
      std::size_t opener = closer;
      bool found = false;
      while (opener > 0 && !found) {
        const Node& begin = nodes[--opener];
        if (!begin.can_open || begin.n_left == 0) continue;
        const bool both = begin.can_close || end.can_open;
        const bool thirds = begin.n_stars % 3 == 0 && end.n_stars % 3 == 0;
        found = !both || (begin.n_stars + end.n_stars) % 3 != 0 || thirds;
      }
      if (!found) break;
      Node& begin = nodes[opener];
      const bool strong = begin.n_left >= 2 && end.n_left >= 2;
      for (std::size_t i = opener + 1; i < closer; ++i) {
        ++(strong ? nodes[i].bold : nodes[i].italic);
        nodes[i].can_open = nodes[i].can_close = false;
      }
      begin.n_left -= strong ? 2 : 1;
      end.n_left -= strong ? 2 : 1;
    }
  }
}

}  // namespace

std::optional<std::vector<StyledText>> parse_inline(std::string_view text, char32_t before, bool whole) {
  std::vector<Node> nodes(1);
  const auto add = [&nodes](std::string_view literal) {
    if (nodes.back().code || nodes.back().is_run) nodes.emplace_back();
    nodes.back().text += literal;
  };
  char32_t last = before;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '\\') {
      if (at + 1 == text.size() && !whole) return std::nullopt;
      const bool escapes = at + 1 < text.size() && kEscapable.find(text[at + 1]) != std::string_view::npos;
      add(text.substr(escapes ? at + 1 : at, 1));
      last = static_cast<char32_t>(escapes ? text[at + 1] : c);
      at += escapes ? 2 : 1;
    } else if (c == '`') {
      const std::size_t n = run_length(text, at);
      const std::size_t end = find_backticks(text, at + n, n);
      const bool closed = end != std::string_view::npos;
      if (!whole && (!closed || end + n == text.size())) return std::nullopt;
      if (closed) {
        Node code;
        code.code = true;
        code.text = code_of(text.substr(at + n, end - at - n));
        nodes.push_back(std::move(code));
      } else {
        add(text.substr(at, n));
      }
      at = closed ? end + n : at + n;
      last = U'`';
    } else if (c == '*') {
      const std::size_t n = run_length(text, at);
      if (!whole && at + n == text.size()) return std::nullopt;
      const char32_t next = first_of(text.substr(at + n));
      const bool left = !is_space(next) && (!is_punctuation(next) || is_space(last) || is_punctuation(last));
      const bool right = !is_space(last) && (!is_punctuation(last) || is_space(next) || is_punctuation(next));
      Node run;
      run.is_run = true;
      const auto is_digit = [](char32_t digit) { return digit >= '0' && digit <= '9'; };
      run.can_open = left && !(is_digit(last) && is_digit(next));
      run.can_close = right;
      run.n_stars = run.n_left = n;
      nodes.push_back(std::move(run));
      at += n;
      last = U'*';
    } else {
      const CodePoint point = decode_utf8(text.data() + at);
      add(text.substr(at, point.n_bytes));
      last = static_cast<char32_t>(point.value);
      at += point.n_bytes;
    }
  }
  match_runs(nodes);
  std::vector<StyledText> pieces;
  for (Node& node : nodes) {
    if (node.is_run && node.can_open && node.n_left > 0 && !whole) return std::nullopt;
    if (node.is_run) node.text.assign(node.n_left, '*');
    if (node.text.empty()) continue;
    pieces.push_back({std::move(node.text), node.bold > 0, node.italic > 0, node.code});
  }
  return pieces;
}

}  // namespace exa
