#include "grammar/gbnf.h"

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "grammar/expression.h"
#include "text/utf8.h"

namespace exa::grammar {
namespace {

constexpr std::size_t kMostRules = 2000;
constexpr std::size_t kMostSuffixes = 4;

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

class GbnfParser {
 public:
  GbnfParser(std::string_view text, RuleSet& rules) : text_(text), rules_(rules) {}

  void parse() {
    if (const std::size_t bad = find_invalid_utf8(text_); bad != std::string_view::npos) {
      at_ = bad;
      fail(ErrorKind::kBadInput, "expected UTF-8");
    }
    skip_space(true);
    while (!done()) {
      rule();
      skip_space(true);
    }
    for (const auto& [name, entry] : names_) {
      if (entry.defined) continue;
      at_ = entry.first_use;
      fail(ErrorKind::kBadInput, "expected a definition of rule \"" + name + "\", found none");
    }
    const auto root = names_.find("root");
    if (root == names_.end()) {
      throw Error(ErrorKind::kBadInput, "expected a rule \"root\", found none", "grammar");
    }
    rules_.root = root->second.id;
  }

 private:
  struct Name {
    RuleId id;
    std::size_t first_use;
    bool defined = false;
  };

  [[noreturn]] void fail(ErrorKind kind, const std::string& message) const {
    std::size_t line = 1;
    for (const char c : text_.substr(0, at_)) line += c == '\n';
    throw Error(kind, message, "grammar, line " + std::to_string(line));
  }

  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool take(std::string_view prefix) {
    if (!text_.substr(at_).starts_with(prefix)) return false;
    at_ += prefix.size();
    return true;
  }
  std::string found() const {
    if (done()) return "the end";
    const std::string_view rest = text_.substr(at_);
    return "\"" + std::string(rest.substr(0, decode_utf8(rest.data()).n_bytes)) + "\"";
  }

  void skip_space(bool over_lines) {
    while (!done()) {
      const char c = peek();
      if (c == '#') {
        while (!done() && peek() != '\n') ++at_;
      } else if (c == ' ' || c == '\t' || (over_lines && (c == '\n' || c == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string name() {
    const std::size_t begin = at_;
    while (!done() && is_name(peek())) ++at_;
    if (at_ == begin) fail(ErrorKind::kBadInput, "expected a rule's name, found " + found());
    return std::string(text_.substr(begin, at_ - begin));
  }

  Name& entry(const std::string& word, std::size_t where) {
    const auto known = names_.find(word);
    if (known != names_.end()) return known->second;
    if (names_.size() >= kMostRules) {
      fail(ErrorKind::kUnsupported, "expected at most " + std::to_string(kMostRules) + " rules");
    }
    return names_.emplace(word, Name{rules_.reserve(word), where}).first->second;
  }

  void rule() {
    const std::size_t begin = at_;
    const std::string word = name();
    skip_space(false);
    if (!take("::=")) fail(ErrorKind::kBadInput, "expected \"::=\" after \"" + word + "\", found " + found());
    Name& own = entry(word, begin);
    if (own.defined) fail(ErrorKind::kBadInput, "expected one definition of \"" + word + "\", found two");
    own.defined = true;
    const Expression right = alternatives(0);
    if (!done() && peek() != '\n' && peek() != '\r') {
      fail(ErrorKind::kBadInput, "expected the end of the rule, found " + found());
    }
    Automaton body(*rules_.budget);
    const StateId end = body.add_state();
    body.states[end].accepts = true;
    add_expression(right, body, Automaton::kStart, end, &rules_);
    rules_.rules[own.id].body = settled(body);
  }

  Expression alternatives(std::size_t depth) {
    if (depth > kMostNesting) {
      fail(ErrorKind::kUnsupported, "expected groups at most " + std::to_string(kMostNesting) + " deep");
    }
    std::vector<Expression> all;
    do {
      skip_space(true);
      std::vector<Expression> parts;
      for (;;) {
        skip_space(depth > 0);
        if (done() || peek() == '|' || peek() == ')' || peek() == '\n' || peek() == '\r') break;
        parts.push_back(quantified(atom(depth)));
      }
      all.push_back(Expression::sequence(std::move(parts)));
      // A rule goes on in the next line where that begins with "|".
      if (depth == 0) {
        const std::size_t line_end = at_;
        skip_space(true);
        if (peek() != '|') at_ = line_end;
      }
    } while (take("|"));
    return Expression::choice(std::move(all));
  }

  std::uint32_t number() {
    std::uint64_t value = 0;
    const std::size_t begin = at_;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value * 10 + static_cast<std::uint64_t>(peek() - '0');
      if (value > kMostRepetitions) {
        fail(ErrorKind::kUnsupported,
             "expected a repetition of at most " + std::to_string(kMostRepetitions) + " times");
      }
    }
    if (at_ == begin) fail(ErrorKind::kBadInput, "expected a number, found " + found());
    return static_cast<std::uint32_t>(value);
  }

  Expression quantified(Expression part) {
    std::size_t n_suffixes = 0;
    for (;;) {
      skip_space(false);
      std::uint32_t fewest = 0;
      std::uint32_t most = kUnlimited;
      if (take("+")) {
        fewest = 1;
      } else if (take("?")) {
        most = 1;
      } else if (take("{")) {
        skip_space(false);
        fewest = most = number();
        skip_space(false);
        if (take(",")) {
          skip_space(false);
          most = peek() == '}' ? kUnlimited : number();
          skip_space(false);
        }
        if (!take("}")) fail(ErrorKind::kBadInput, "expected \"}\", found " + found());
        if (most < fewest)
          fail(ErrorKind::kBadInput, "expected a range in order, found the larger number first");
      } else if (!take("*")) {
        return part;
      }
      // Each suffix is one level of the tree.
      if (++n_suffixes > kMostSuffixes) {
        fail(ErrorKind::kUnsupported,
             "expected at most " + std::to_string(kMostSuffixes) + " repetition marks on one part");
      }
      part = Expression::repeat(std::move(part), fewest, most);
    }
  }

  char32_t hex(std::size_t n_digits) {
    char32_t value = 0;
    for (std::size_t i = 0; i < n_digits; ++i, ++at_) {
      const char c = peek();
      if (c >= '0' && c <= '9') {
        value = value << 4 | static_cast<char32_t>(c - '0');
      } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
        value = value << 4 | static_cast<char32_t>((c | 0x20) - 'a' + 10);
      } else {
        fail(ErrorKind::kBadInput, "expected a hexadecimal digit, found " + found());
      }
    }
    if (value > kLastCodePoint || (value >= 0xd800 && value <= 0xdfff)) {
      fail(ErrorKind::kBadInput, "expected a Unicode character");
    }
    return value;
  }

  char32_t character() {
    if (!take("\\")) {
      const auto [value, n] = decode_utf8(text_.data() + at_);
      at_ += n;
      return value;
    }
    if (take("n")) return '\n';
    if (take("r")) return '\r';
    if (take("t")) return '\t';
    if (take("x")) return hex(2);
    if (take("u")) return hex(4);
    if (take("U")) return hex(8);
    for (const char c : {'\\', '"', '[', ']', '-', '^'}) {
      if (peek() == c && !done()) {
        ++at_;
        return static_cast<char32_t>(c);
      }
    }
    fail(ErrorKind::kBadInput, "expected an escape such as \\n, found \\ and " + found());
  }

  Expression literal() {
    std::string bytes;
    while (!take("\"")) {
      if (done() || peek() == '\n') fail(ErrorKind::kBadInput, "expected \"\"\" at the end of a literal");
      append_utf8(bytes, character());
    }
    return Expression::bytes(std::move(bytes));
  }

  Expression character_class() {
    const bool negated = take("^");
    CodePointSet set;
    while (!take("]")) {
      if (done() || peek() == '\n') fail(ErrorKind::kBadInput, "expected \"]\" at the end of a class");
      const char32_t low = character();
      char32_t high = low;
      if (peek() == '-' && !text_.substr(at_ + 1).starts_with("]")) {
        ++at_;
        if (done() || peek() == '\n') fail(ErrorKind::kBadInput, "expected \"]\" at the end of a class");
        high = character();
      }
      if (high < low) fail(ErrorKind::kBadInput, "expected a range in order, found the larger end first");
      set.add(low, high);
    }
    if (set.empty() && !negated) fail(ErrorKind::kBadInput, "expected a character in \"[]\", found none");
    return Expression::one_of(negated ? set.complement() : set);
  }

  Expression atom(std::size_t depth) {
    const std::size_t begin = at_;
    if (take("\"")) return literal();
    if (take("[")) return character_class();
    if (take(".")) return Expression::one_of(CodePointSet::all());
    if (take("(")) {
      Expression inside = alternatives(depth + 1);
      if (!take(")")) fail(ErrorKind::kBadInput, "expected \")\", found " + found());
      return inside;
    }
    if (peek() == '<' || peek() == '!') fail(ErrorKind::kUnsupported, "token references are not supported");
    if (!is_name(peek())) {
      fail(ErrorKind::kBadInput, "expected a literal, a class, a group or a rule's name, found " + found());
    }
    return Expression::call(entry(name(), begin).id);
  }

  std::string_view text_;
  RuleSet& rules_;
  std::size_t at_ = 0;
  std::map<std::string, Name> names_;
};

}  // namespace

void add_gbnf(std::string_view text, RuleSet& rules) {
  GbnfParser(text, rules).parse();
}

}  // namespace exa::grammar
