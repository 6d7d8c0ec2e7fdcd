#include "chat/call_scan.h"

#include <nlohmann/json.hpp>
#include <string_view>

namespace exa {
namespace {

constexpr std::size_t kDeepest = 128;
constexpr std::size_t kLongestScalar = 64;
// Longer names and keys are none of ours.
constexpr std::size_t kLongestKept = 1024;

bool is_json_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool may_be_scalar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == 'E' || c == '+' || c == '-' || c == '.';
}

std::string decoded(const std::string& token) {
  const nlohmann::json value = nlohmann::json::parse(token, nullptr, false);
  return value.is_string() ? value.get<std::string>() : std::string();
}

}  // namespace

void CallScan::push(char c) {
  ++n_;
  if (status_ == Status::kBad) return;
  if (in_string() && token_.size() <= kLongestKept) token_ += c;
  switch (lex_) {
    case Lex::kString:
      if (c == '"') {
        end_string();
      } else if (c == '\\') {
        lex_ = Lex::kEscape;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        fail();
      }
      return;
    case Lex::kEscape:
      if (c == 'u') {
        lex_ = Lex::kUnicode;
        hex_digits_ = 4;
      } else if (std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos) {
        lex_ = Lex::kString;
      } else {
        fail();
      }
      return;
    case Lex::kUnicode:
      if (std::string_view("0123456789abcdefABCDEF").find(c) == std::string_view::npos) {
        fail();
      } else if (--hex_digits_ == 0) {
        lex_ = Lex::kString;
      }
      return;
    case Lex::kScalar:
      if (may_be_scalar(c)) {
        token_ += c;
        if (token_.size() > kLongestScalar) fail();
        return;
      }
      end_scalar(n_ - 1);
      if (status_ == Status::kBad) return;
      break;
    case Lex::kNone:
      break;
  }
  if (!is_json_space(c)) structure(c);
}

void CallScan::structure(char c) {
  switch (expect_) {
    case Expect::kValueOrEnd:
      if (c == ']') return close(c);
      [[fallthrough]];
    case Expect::kValue:
      return begin_value(c);
    case Expect::kKeyOrEnd:
      if (c == '}') return close(c);
      [[fallthrough]];
    case Expect::kKey:
      if (c != '"') return fail();
      token_ = c;
      is_key_ = true;
      lex_ = Lex::kString;
      return;
    case Expect::kColon:
      if (c != ':') return fail();
      expect_ = Expect::kValue;
      return;
    case Expect::kCommaOrEnd:
      if (c == ',') {
        expect_ = open_.back() == '{' ? Expect::kKey : Expect::kValue;
      } else {
        close(c);
      }
      return;
    case Expect::kNothing:
      return fail();
  }
}

void CallScan::begin_value(char c) {
  const bool arguments = open_ == "{" && (key_ == "arguments" || key_ == "parameters") && !arguments_begun();
  if (arguments) {
    arguments_begin_ = n_ - 1;
    arguments_are_text_ = c == '"';
  }
  if (c == '"') {
    token_ = c;
    is_key_ = false;
    lex_ = Lex::kString;
  } else if (c == '{' || c == '[') {
    if (open_.size() >= kDeepest) return fail();
    open_ += c;
    expect_ = c == '{' ? Expect::kKeyOrEnd : Expect::kValueOrEnd;
  } else if (may_be_scalar(c)) {
    token_ = c;
    lex_ = Lex::kScalar;
  } else {
    fail();
  }
}

void CallScan::close(char bracket) {
  if (open_.empty() || bracket != (open_.back() == '{' ? '}' : ']')) return fail();
  open_.pop_back();
  end_value(n_);
}

void CallScan::end_string() {
  lex_ = Lex::kNone;
  if (is_key_) {
    if (open_ == "{") key_ = decoded(token_);
    expect_ = Expect::kColon;
    return;
  }
  if (open_ == "{" && key_ == "name" && name_.empty()) name_ = decoded(token_);
  end_value(n_);
}

void CallScan::end_scalar(std::size_t offset) {
  lex_ = Lex::kNone;
  if (!nlohmann::json::accept(token_)) return fail();
  end_value(offset);
}

void CallScan::end_value(std::size_t offset) {
  if (open_ == "{" && arguments_begun() && !arguments_whole()) arguments_end_ = offset;
  expect_ = open_.empty() ? Expect::kNothing : Expect::kCommaOrEnd;
  if (open_.empty()) status_ = Status::kWhole;
}

void CallScan::end() {
  if (status_ != Status::kBad && lex_ == Lex::kScalar) end_scalar(n_);
}

}  // namespace exa
