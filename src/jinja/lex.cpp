#include "jinja/lex.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/error.h"
#include "jinja/text.h"

namespace exa::jinja {

void fail_syntax(std::string message, std::uint32_t line) {
  throw Error(ErrorKind::kBadInput, std::move(message), "template: line " + std::to_string(line));
}

namespace {

std::string with_plain_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

bool is_decimal(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

Lexer::Lexer(std::string_view source) : source_(with_plain_newlines(source)) {
  check_utf8();
}

Token Lexer::next() {
  while (ready_.empty()) {
    if (at_ >= source_.size()) return {TokenType::kEnd, line_, {}};
    if (mode_ == Mode::kText) {
      data();
    } else {
      inside_tag();
    }
  }
  Token token = std::move(ready_.front());
  ready_.erase(ready_.begin());
  return token;
}

void Lexer::skip(std::size_t bytes) {
  if (bytes == 0) return;
  line_ += static_cast<std::uint32_t>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                                 source_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes),
                                                 '\n'));
  at_ += bytes;
  line_starting_ = source_[at_ - 1] == '\n';
}

std::size_t Lexer::spaces_from(std::size_t at) const {
  const std::size_t begin = at;
  while (at < source_.size() && is_space(code_point_at(source_, at).value)) at = next_code_point(source_, at);
  return at - begin;
}

void Lexer::check_utf8() const {
  std::uint32_t line = 1;
  for (std::size_t at = 0; at < source_.size();) {
    const CodePoint point = code_point_at(source_, at);
    if (point.value == 0xFFFD && point.size == 1) fail_syntax("the template is not valid UTF-8", line);
    line += point.value == '\n';
    at += point.size;
  }
}

void Lexer::after_end(bool dash, bool trim_newline) {
  if (dash) {
    skip(spaces_from(at_));
  } else if (trim_newline && starts("\n")) {
    skip(1);
  }
}

void Lexer::data() {
  std::size_t begin = at_;
  std::size_t open = begin;
  for (;; ++open) {
    open = source_.find('{', open);
    if (open == std::string::npos || open + 1 >= source_.size()) break;
    const char kind = source_[open + 1];
    if (kind == '{' || kind == '%' || kind == '#') break;
  }
  if (open == std::string::npos || open + 1 >= source_.size()) {
    if (begin < source_.size()) push(TokenType::kData, source_.substr(begin));
    skip(source_.size() - begin);
    return;
  }
  const char sign = open + 2 < source_.size() ? source_[open + 2] : ' ';
  const bool raw = source_[open + 1] == '%' && word_tag_size(open, "raw") > 0;
  const std::string_view text = std::string_view(source_).substr(begin, open - begin);
  std::size_t keep = kept_before(text, sign, source_[open + 1] == '{');
  if (keep > 0) push(TokenType::kData, std::string(text.substr(0, keep)));
  skip(open - begin);
  if (raw) {
    raw_block(word_tag_size(open, "raw"));
    return;
  }
  const char kind = source_[at_ + 1];
  skip(sign == '-' || sign == '+' ? 3 : 2);
  if (kind == '#') {
    comment();
  } else {
    mode_ = kind == '{' ? Mode::kPrint : Mode::kBlock;
    push(kind == '{' ? TokenType::kPrintBegin : TokenType::kBlockBegin, {});
  }
}

std::size_t Lexer::kept_before(std::string_view text, char sign, bool print) const {
  if (sign == '-') return strip_range(text, {}, false, true).second;
  if (sign == '+' || print) return text.size();
  const std::size_t newline = text.rfind('\n');
  const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
  if (line == 0 && !line_starting_) return text.size();
  const auto [first, last] = strip_range(text.substr(line), {}, true, false);
  return first == last ? line : text.size();
}

std::size_t Lexer::word_tag_size(std::size_t open, std::string_view word) const {
  const std::string_view source = source_;
  std::size_t at = open + 2;
  if (at < source.size() && (source[at] == '-' || source[at] == '+')) ++at;
  at += spaces_from(at);
  if (source.substr(at, word.size()) != word) return 0;
  at += word.size();
  at += spaces_from(at);
  if (source.substr(at, 2) == "%}") return at + 2 - open;
  if (source.substr(at, 3) == "-%}") return at + 3 - open;
  if (word == "endraw" && source.substr(at, 3) == "+%}") return at + 3 - open;
  return 0;
}

void Lexer::raw_block(std::size_t tag_size) {
  const std::uint32_t opened = line_;
  const bool dash = source_[at_ + tag_size - 3] == '-';
  skip(tag_size);
  after_end(dash, false);
  for (std::size_t open = at_; (open = source_.find("{%", open)) != std::string::npos; open += 2) {
    const std::size_t end_size = word_tag_size(open, "endraw");
    if (end_size == 0) continue;
    const std::string_view text = std::string_view(source_).substr(at_, open - at_);
    const std::size_t keep = kept_before(text, source_[open + 2], false);
    if (keep > 0) push(TokenType::kData, std::string(text.substr(0, keep)));
    skip(open - at_);
    const char sign = source_[at_ + end_size - 3];
    skip(end_size);
    after_end(sign == '-', sign != '+');
    return;
  }
  fail_syntax("Missing end of raw directive", opened);
}

void Lexer::comment() {
  const std::size_t end = source_.find("#}", at_);
  if (end == std::string::npos) fail_syntax("Missing end of comment tag", line_);
  const char sign = end > at_ ? source_[end - 1] : ' ';
  skip(end + 2 - at_);
  after_end(sign == '-', sign != '+');
}

bool Lexer::tag_end() {
  const bool print = mode_ == Mode::kPrint;
  if (!owed_.empty()) return false;
  const std::string_view end = print ? "}}" : "%}";
  const bool dash = starts(print ? "-}}" : "-%}");
  const bool plus = !print && starts("+%}");
  if (!dash && !plus && !starts(end)) return false;
  push(print ? TokenType::kPrintEnd : TokenType::kBlockEnd, {});
  mode_ = Mode::kText;
  skip(dash || plus ? 3 : 2);
  after_end(dash, !print && !plus);
  return true;
}

void Lexer::inside_tag() {
  if (tag_end()) return;
  const CodePoint point = code_point_at(source_, at_);
  const char32_t c = point.value;
  if (is_space(c)) {
    skip(spaces_from(at_));
  } else if (c < 0x80 && is_decimal(static_cast<char>(c))) {
    number();
  } else if (c == '_' || is_letter(c)) {
    name();
  } else if ((c == '\'' || c == '"') && string(static_cast<char>(c))) {
    return;
  } else {
    punctuation();
  }
}

void Lexer::name() {
  std::size_t end = at_;
  while (end < source_.size()) {
    const CodePoint point = code_point_at(source_, end);
    if (point.value != '_' && !is_letter(point.value) && !is_digit(point.value)) break;
    end += point.size;
  }
  push(TokenType::kName, source_.substr(at_, end - at_));
  skip(end - at_);
}

// Digits with single underscores between them; the end of the run.
std::size_t Lexer::digits_end(std::size_t at, int base) const {
  const auto fits = [&](std::size_t i) { return i < source_.size() && digit_value(source_[i]) < base; };
  if (!fits(at)) return at;
  while (fits(at) || (at < source_.size() && source_[at] == '_' && fits(at + 1))) ++at;
  return at;
}

void Lexer::number() {
  const std::size_t whole = digits_end(at_, 10);
  std::size_t end = whole;
  if (end < source_.size() && source_[end] == '.') {
    const std::size_t fraction = digits_end(end + 1, 10);
    if (fraction > end + 1) end = fraction;
  }
  if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
    std::size_t exponent = end + 1;
    if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
    const std::size_t stop = digits_end(exponent, 10);
    if (stop > exponent) end = stop;
  }
  const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
  if (end > whole && !after_dot) {
    real(end);
  } else {
    integer(whole);
  }
}

std::string Lexer::without_underscores(std::size_t begin, std::size_t end) const {
  std::string digits = source_.substr(begin, end - begin);
  digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
  return digits;
}

void Lexer::real(std::size_t end) {
  const std::string digits = without_underscores(at_, end);
  push(TokenType::kFloat, {});
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), ready_.back().real);
  if (parsed.ec == std::errc::result_out_of_range) {
    const bool tiny = digits.find("e-") != std::string::npos || digits.find("E-") != std::string::npos;
    ready_.back().real = tiny ? 0.0 : std::numeric_limits<double>::infinity();
  }
  skip(end - at_);
}

void Lexer::integer(std::size_t end) {
  int base = 10;
  std::size_t begin = at_;
  if (source_[at_] == '0') {
    const char mark = at_ + 1 < source_.size() ? static_cast<char>(source_[at_ + 1] | 0x20) : ' ';
    const int marked = mark == 'b' ? 2 : mark == 'o' ? 8 : mark == 'x' ? 16 : 0;
    const std::size_t first = at_ + 2 < source_.size() && source_[at_ + 2] == '_' ? at_ + 3 : at_ + 2;
    if (marked && first < source_.size() && digit_value(source_[first]) < marked) {
      base = marked;
      begin = first;
      end = digits_end(first, base);
    } else {
      end = at_ + 1;
      while (end < source_.size() &&
             (source_[end] == '0' ||
              (source_[end] == '_' && end + 1 < source_.size() && source_[end + 1] == '0'))) {
        ++end;
      }
    }
  }
  Int value = 0;
  for (const char c : without_underscores(begin, end)) {
    if (__builtin_mul_overflow(value, Int(base), &value) ||
        __builtin_add_overflow(value, Int(digit_value(c)), &value)) {
      fail_limit("an integer of the template is too large");
    }
  }
  push(TokenType::kInteger, {});
  ready_.back().integer = value;
  skip(end - at_);
}

bool Lexer::string(char quote) {
  std::size_t end = at_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size()) return false;
  push(TokenType::kString, unescape(std::string_view(source_).substr(at_ + 1, end - at_ - 1)));
  skip(end + 1 - at_);
  return true;
}

std::string Lexer::unescape(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 >= text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    static constexpr std::string_view kNames = "abfnrtv\\'\"";
    static constexpr std::string_view kBytes = "\a\b\f\n\r\t\v\\'\"";
    if (const std::size_t known = kNames.find(c); known != std::string_view::npos) {
      out += kBytes[known];
    } else if (c == '\n') {
      continue;
    } else if (c >= '0' && c <= '7') {
      char32_t value = 0;
      std::size_t digits = 0;
      for (; digits < 3 && i + digits < text.size() && digit_value(text[i + digits]) < 8; ++digits) {
        value = value * 8 + static_cast<char32_t>(digit_value(text[i + digits]));
      }
      i += digits - 1;
      append_utf8(out, value);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const std::size_t size = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      char32_t value = hex(text, i + 1, size, c);
      i += size;
      if (value >= 0xD800 && value < 0xDC00 && text.substr(i + 1, 2) == "\\u") {
        const char32_t low = hex(text, i + 3, 4, 'u');
        if (low >= 0xDC00 && low < 0xE000) {
          value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
          i += 6;
        }
      }
      append_utf8(out, value);
    } else if (c == 'N') {
      throw Error(ErrorKind::kUnsupported, "\\N{…} in a template string",
                  "template: line " + std::to_string(line_));
    } else {
      out += '\\';
      out += c;
    }
  }
  return out;
}

char32_t Lexer::hex(std::string_view text, std::size_t at, std::size_t size, char kind) const {
  char32_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const int digit = at + i < text.size() ? digit_value(text[at + i]) : 99;
    if (digit >= 16) {
      const std::string shape = kind == 'x' ? "\\xXX" : kind == 'u' ? "\\uXXXX" : "\\UXXXXXXXX";
      fail_syntax("truncated " + shape + " escape", line_);
    }
    value = value * 16 + static_cast<char32_t>(digit);
  }
  return value;
}

void Lexer::punctuation() {
  static constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                    "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                    ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
  for (const std::string_view op : kOperators) {
    if (!starts(op)) continue;
    const char c = op[0];
    if (c == '(') owed_ += ')';
    if (c == '[') owed_ += ']';
    if (c == '{') owed_ += '}';
    if (c == ')' || c == ']' || c == '}') {
      if (owed_.empty()) fail_syntax("unexpected '" + std::string(op) + "'", line_);
      if (owed_.back() != c) {
        fail_syntax("unexpected '" + std::string(op) + "', expected '" + owed_.back() + "'", line_);
      }
      owed_.pop_back();
    }
    push(TokenType::kOperator, std::string(op));
    skip(op.size());
    return;
  }
  const CodePoint point = code_point_at(source_, at_);
  fail_syntax("unexpected char " + repr_string(rest().substr(0, point.size)) + " at " +
                  std::to_string(count_code_points(std::string_view(source_).substr(0, at_))),
              line_);
}

}  // namespace exa::jinja
