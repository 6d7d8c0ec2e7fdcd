// Template text → tokens: data between tags, and inside tags names, numbers, strings and operators.
//
// Ownership and threads: free function. White space control (-, +, trim_blocks, lstrip_blocks), comments and
// raw blocks are resolved here, so the parser sees none of them. Source: Jinja2 3.1's lexer with trim_blocks
// and lstrip_blocks on, observed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/value.h"

namespace exa::jinja {

enum class TokenType : std::uint8_t {
  kEnd,
  kData,
  kBlockBegin,
  kBlockEnd,
  kPrintBegin,
  kPrintEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
};

struct Token {
  TokenType type;
  std::uint32_t line;
  std::string text;  // data, name, string (unescaped), operator
  Int integer = 0;
  double real = 0;
};

// Errors: kBadInput at "template: line N", Jinja2's wording.
[[noreturn]] void fail_syntax(std::string message, std::uint32_t line);

// Gives one token after the other, so that a template is refused at its first fault, however long it is.
class Lexer {
 public:
  // Errors: kBadInput as above for broken UTF-8.
  explicit Lexer(std::string_view source);
  // kEnd at the end, and from then on. Errors: kBadInput as above.
  Token next();

 private:
  enum class Mode : std::uint8_t { kText, kPrint, kBlock };

  void push(TokenType type, std::string text) { ready_.push_back({type, line_, std::move(text)}); }
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool starts(std::string_view wanted) const { return rest().starts_with(wanted); }
  void skip(std::size_t bytes);
  std::size_t spaces_from(std::size_t at) const;
  void check_utf8() const;
  // After a tag's end: what -%} and trim_blocks eat.
  void after_end(bool dash, bool trim_newline);
  // Literal text up to the next tag, then the tag's opening.
  void data();
  // Bytes of the text before a tag that stay: - strips all white space, lstrip_blocks the tag's indentation.
  std::size_t kept_before(std::string_view text, char sign, bool print) const;
  // Size of "{%- word -%}" at open; 0 where it is another tag.
  std::size_t word_tag_size(std::size_t open, std::string_view word) const;
  void raw_block(std::size_t tag_size);
  void comment();
  bool tag_end();
  void inside_tag();
  void name();
  std::size_t digits_end(std::size_t at, int base) const;
  void number();
  std::string without_underscores(std::size_t begin, std::size_t end) const;
  void real(std::size_t end);
  void integer(std::size_t end);
  // False where the string never ends: the quote is then an unexpected character.
  bool string(char quote);
  std::string unescape(std::string_view text) const;
  char32_t hex(std::string_view text, std::size_t at, std::size_t size, char kind) const;
  void punctuation();

  std::string source_;  // newlines are \n, the last one is gone
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
  bool line_starting_ = true;
  Mode mode_ = Mode::kText;
  std::string owed_;          // closing brackets the tag still owes
  std::vector<Token> ready_;  // two at most
};

}  // namespace exa::jinja
