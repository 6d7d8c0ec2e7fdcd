#include "grammar/regex.h"

#include <optional>
#include <utility>
#include <vector>

#include "text/utf8.h"

namespace exa::grammar {
namespace {

constexpr std::size_t kMostPatternBytes = 16 * 1024;

const CodePointSet& digits() {
  static const CodePointSet set{{'0', '9'}};
  return set;
}

const CodePointSet& word_characters() {
  static const CodePointSet set{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  return set;
}

const CodePointSet& spaces() {
  static const CodePointSet set{{0x09, 0x0d},     {0x20, 0x20},     {0xa0, 0xa0},     {0x1680, 0x1680},
                                {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                                {0x3000, 0x3000}, {0xfeff, 0xfeff}};
  return set;
}

const CodePointSet& not_line_ends() {
  static const CodePointSet set = CodePointSet{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}.complement();
  return set;
}

std::optional<CodePointSet> class_escape(char c) {
  switch (c) {
    case 'd':
      return digits();
    case 'D':
      return digits().complement();
    case 'w':
      return word_characters();
    case 'W':
      return word_characters().complement();
    case 's':
      return spaces();
    case 'S':
      return spaces().complement();
    default:
      return std::nullopt;
  }
}

// The ends of the text as symbols of their own, so that ^ and $ can stand anywhere; no UTF-8 has these bytes.
constexpr std::uint8_t kTextBegin = 0xfe;
constexpr std::uint8_t kTextEnd = 0xff;

class RegexParser {
 public:
  enum class Ends { kGiven, kWritten };  // kGiven: ^ first and $ last say nothing new

  RegexParser(std::string_view pattern, Ends ends, const std::string& place)
      : text_(pattern), ends_(ends), place_(place) {}

  Expression parse() {
    if (text_.size() > kMostPatternBytes) {
      fail(ErrorKind::kUnsupported, "expected a pattern of at most " + std::to_string(kMostPatternBytes) +
                                        " bytes, found " + std::to_string(text_.size()));
    }
    if (const std::size_t bad = find_invalid_utf8(text_); bad != std::string_view::npos) {
      at_ = bad;
      fail(ErrorKind::kBadInput, "expected UTF-8");
    }
    Expression whole = alternatives(0);
    if (!done()) fail(ErrorKind::kBadInput, "expected the end of the pattern, found \")\"");
    return whole;
  }

  bool has_anchors() const { return has_anchors_; }

 private:
  [[noreturn]] void fail(ErrorKind kind, const std::string& message) const {
    throw Error(kind, "regular expression: " + message,
                (place_.empty() ? "" : place_ + ", ") + "offset " + std::to_string(at_));
  }
  [[noreturn]] void refuse(const std::string& construct) const {
    fail(ErrorKind::kUnsupported, construct + " is not supported");
  }

  bool done() const { return at_ == text_.size(); }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool starts_with(std::string_view prefix) const { return text_.substr(at_).starts_with(prefix); }
  bool take(std::string_view prefix) {
    if (!starts_with(prefix)) return false;
    at_ += prefix.size();
    return true;
  }
  char32_t take_code_point() {
    const auto [value, n] = decode_utf8(text_.data() + at_);
    at_ += n;
    return value;
  }

  Expression alternatives(std::size_t depth) {
    if (depth > kMostNesting) {
      fail(ErrorKind::kUnsupported, "expected groups at most " + std::to_string(kMostNesting) + " deep");
    }
    std::vector<Expression> all;
    do {
      std::vector<Expression> parts;
      while (!done() && peek() != '|' && peek() != ')') {
        const bool first = parts.empty();
        if (take("^")) {
          if (ends_ == Ends::kWritten || depth > 0 || !first) parts.push_back(anchor(kTextBegin));
        } else if (take("$")) {
          const bool last = done() || peek() == '|';
          if (ends_ == Ends::kWritten || depth > 0 || !last) parts.push_back(anchor(kTextEnd));
        } else {
          Expression part = peek() == '(' ? group(depth) : atom();
          parts.push_back(quantified(std::move(part)));
        }
      }
      all.push_back(Expression::sequence(std::move(parts)));
    } while (take("|"));
    return Expression::choice(std::move(all));
  }

  Expression anchor(std::uint8_t symbol) {
    has_anchors_ = true;
    const char next = peek();
    if (next == '*' || next == '+' || next == '?' || next == '{') refuse("a repeated anchor");
    return Expression::bytes(std::string(1, static_cast<char>(symbol)));
  }

  Expression group(std::size_t depth) {
    ++at_;
    if (take("?")) {
      if (starts_with("=") || starts_with("!")) refuse("lookahead");
      if (starts_with("<=") || starts_with("<!")) refuse("lookbehind");
      if (take("<")) {
        const std::size_t end = text_.find('>', at_);
        if (end == std::string_view::npos) fail(ErrorKind::kBadInput, "expected \">\" after a group's name");
        at_ = end + 1;
      } else if (!take(":")) {
        refuse("(?" + std::string(text_.substr(at_, 1)));
      }
    }
    Expression inside = alternatives(depth + 1);
    if (!take(")")) fail(ErrorKind::kBadInput, "expected \")\"");
    return inside;
  }

  std::optional<std::uint32_t> number() {
    if (peek() < '0' || peek() > '9') return std::nullopt;
    std::uint64_t value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + static_cast<std::uint64_t>(peek() - '0');
      if (value > kMostRepetitions) {
        fail(ErrorKind::kUnsupported,
             "expected a repetition of at most " + std::to_string(kMostRepetitions) + " times");
      }
      ++at_;
    }
    return static_cast<std::uint32_t>(value);
  }

  Expression quantified(Expression part) {
    std::uint32_t fewest = 1;
    std::uint32_t most = 1;
    if (take("*")) {
      fewest = 0;
      most = kUnlimited;
    } else if (take("+")) {
      most = kUnlimited;
    } else if (take("?")) {
      fewest = 0;
    } else if (take("{")) {
      const auto low = number();
      if (!low) fail(ErrorKind::kBadInput, "expected a number after \"{\"");
      fewest = most = *low;
      if (take(",")) {
        const auto high = number();
        most = high ? *high : kUnlimited;
      }
      if (!take("}")) fail(ErrorKind::kBadInput, "expected \"}\"");
      if (most < fewest)
        fail(ErrorKind::kBadInput, "expected a range in order, found the larger number first");
    } else {
      return part;
    }
    take("?");
    if (peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{') {
      fail(ErrorKind::kBadInput, "expected something to repeat before \"" + std::string(1, peek()) + "\"");
    }
    return Expression::repeat(std::move(part), fewest, most);
  }

  char32_t hex(std::size_t n_digits) {
    char32_t value = 0;
    for (std::size_t i = 0; i < n_digits; ++i, ++at_) {
      const char c = peek();
      char32_t digit = 0;
      if (c >= '0' && c <= '9') {
        digit = static_cast<char32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<char32_t>(c - 'a' + 10);
      } else if (c >= 'A' && c <= 'F') {
        digit = static_cast<char32_t>(c - 'A' + 10);
      } else {
        fail(ErrorKind::kBadInput, "expected a hexadecimal digit");
      }
      value = value << 4 | digit;
    }
    return value;
  }

  // After the backslash, no class escape.
  char32_t escaped() {
    if (done()) fail(ErrorKind::kBadInput, "expected a character after \"\\\"");
    const char c = text_[at_];
    if (static_cast<unsigned char>(c) >= 0x80) return take_code_point();
    ++at_;
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'f':
        return '\f';
      case 'v':
        return '\v';
      case 'x':
        return hex(2);
      case 'u':
        return unicode_escape();
      case 'c':
        if ((peek() | 0x20) >= 'a' && (peek() | 0x20) <= 'z') {
          return static_cast<char32_t>(static_cast<unsigned char>(text_[at_++]) & 0x1fu);
        }
        fail(ErrorKind::kBadInput, "expected a letter after \"\\c\"");
      case '0':
        if (peek() >= '0' && peek() <= '9') refuse("an octal escape");
        return 0;
      default:
        break;
    }
    if (c >= '1' && c <= '9') refuse("a backreference");
    if (c == 'k') refuse("a backreference");
    if (c == 'b' || c == 'B') refuse("a word boundary");
    if (c == 'p' || c == 'P') refuse("a Unicode property");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) refuse("\\" + std::string(1, c));
    return static_cast<char32_t>(c);
  }

  char32_t unicode_escape() {
    char32_t value = 0;
    if (take("{")) {
      const std::size_t end = text_.find('}', at_);
      if (end == std::string_view::npos || end == at_ || end - at_ > 6) {
        fail(ErrorKind::kBadInput, "expected one to six digits in \"\\u{}\"");
      }
      value = hex(end - at_);
      ++at_;
    } else {
      value = hex(4);
      if (value >= 0xd800 && value < 0xdc00 && take("\\u")) {
        const char32_t low = hex(4);
        if (low < 0xdc00 || low > 0xdfff) fail(ErrorKind::kBadInput, "expected a low surrogate");
        value = 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
      }
    }
    if (value > kLastCodePoint || (value >= 0xd800 && value <= 0xdfff)) {
      fail(ErrorKind::kBadInput, "expected a Unicode character");
    }
    return value;
  }

  // One member of a class: a set for \d and the like.
  std::optional<CodePointSet> class_member(char32_t& value) {
    if (!take("\\")) {
      value = take_code_point();
      return std::nullopt;
    }
    if (auto set = class_escape(peek())) {
      ++at_;
      return set;
    }
    if (take("b")) {
      value = '\b';
    } else if (take("-")) {
      value = '-';
    } else {
      value = escaped();
    }
    return std::nullopt;
  }

  Expression character_class() {
    const bool negated = take("^");
    CodePointSet set;
    while (peek() != ']' || done()) {
      if (done()) fail(ErrorKind::kBadInput, "expected \"]\"");
      char32_t low = 0;
      const auto set_before = class_member(low);
      if (peek() == '-' && peek(1) != ']' && at_ + 1 < text_.size()) {
        ++at_;
        char32_t high = 0;
        const auto set_after = class_member(high);
        if (set_before || set_after) refuse("a class as the end of a range");
        if (high < low) fail(ErrorKind::kBadInput, "expected a range in order, found the larger end first");
        set.add(low, high);
        continue;
      }
      if (set_before) {
        set.add(*set_before);
      } else {
        set.add(low, low);
      }
    }
    ++at_;
    return Expression::one_of(negated ? set.complement() : set);
  }

  Expression atom() {
    const char c = peek();
    if (take(".")) return Expression::one_of(not_line_ends());
    if (take("[")) return character_class();
    if (c == '*' || c == '+' || c == '?' || c == '{') {
      fail(ErrorKind::kBadInput, "expected something to repeat before \"" + std::string(1, c) + "\"");
    }
    if (c == ']' || c == '}') fail(ErrorKind::kBadInput, "expected \"\\" + std::string(1, c) + "\"");
    char32_t value = 0;
    if (take("\\")) {
      if (auto set = class_escape(peek())) {
        ++at_;
        return Expression::one_of(std::move(*set));
      }
      value = escaped();
    } else {
      value = take_code_point();
    }
    std::string bytes;
    append_utf8(bytes, value);
    return Expression::bytes(std::move(bytes));
  }

  std::string_view text_;
  Ends ends_;
  const std::string& place_;
  std::size_t at_ = 0;
  bool has_anchors_ = false;
};

// (kTextBegin)* text (kTextEnd)* with the marks taken out again: what is left are the texts that match when
// their ends are marked as often as the pattern asks.
Automaton unmarked(const Automaton& marked) {
  Budget& budget = marked.budget();
  Automaton shape(budget);
  const StateId begin = Automaton::kStart;
  const StateId inside = shape.add_state();
  const StateId end = shape.add_state();
  for (const StateId s : {begin, inside}) {
    shape.add_code_points(s, CodePointSet::all(), inside);
    shape.add_bytes(s, kTextEnd, kTextEnd, end);
  }
  shape.add_bytes(begin, kTextBegin, kTextBegin, begin);
  shape.add_bytes(end, kTextEnd, kTextEnd, end);
  for (const StateId s : {begin, inside, end}) shape.states[s].accepts = true;
  Automaton out = intersect(marked, determinize(shape));
  for (State& state : out.states) {
    std::erase_if(state.bytes, [&state](const ByteEdge& edge) {
      if (edge.low < kTextBegin) return false;
      state.empties.push_back(edge.to);
      return true;
    });
  }
  return determinize(out);
}

}  // namespace

Automaton whole_match(std::string_view pattern, RuleSet& rules) {
  RegexParser parser(pattern, RegexParser::Ends::kGiven, rules.budget->place());
  const Expression expression = parser.parse();
  Automaton body(*rules.budget);
  const StateId end = body.add_state();
  body.states[end].accepts = true;
  if (!parser.has_anchors()) {
    add_expression(expression, body, Automaton::kStart, end, &rules);
    return settled(body);
  }
  const StateId begin = body.add_state();
  body.add_empty(Automaton::kStart, begin);
  body.add_bytes(begin, kTextBegin, kTextEnd, begin);
  body.add_bytes(end, kTextBegin, kTextEnd, end);
  add_expression(expression, body, begin, end, nullptr);
  return unmarked(determinize(body));
}

Automaton search_match(std::string_view pattern, Budget& budget) {
  const Expression expression = RegexParser(pattern, RegexParser::Ends::kWritten, budget.place()).parse();
  Automaton body(budget);
  const StateId end = body.add_state();
  body.states[end].accepts = true;
  for (const StateId s : {Automaton::kStart, end}) {
    body.add_code_points(s, CodePointSet::all(), s);
    body.add_bytes(s, kTextBegin, kTextEnd, s);
  }
  add_expression(expression, body, Automaton::kStart, end, nullptr);
  return unmarked(determinize(body));
}

}  // namespace exa::grammar
