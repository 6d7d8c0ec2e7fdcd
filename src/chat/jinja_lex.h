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

#include "chat/jinja_value.h"

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

// The last token is kEnd. Errors: kBadInput as above; also for broken UTF-8.
std::vector<Token> tokenize(std::string_view source);

}  // namespace exa::jinja
