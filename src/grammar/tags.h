// The tags of a tool call inside grammars: tokens of their own, so symbols of their own.
//
// Source: exaone-models specification 5.1 (the tags are single tokens). No UTF-8 text has bytes from F8 on.
#pragma once

#include <string_view>

namespace exa::grammar {

constexpr unsigned char kFirstTag = 0xf8;
constexpr std::string_view kToolCallBegin = "<tool_call>";
constexpr std::string_view kToolCallEnd = "</tool_call>";
constexpr std::string_view kToolCallBeginSymbol = "\xf8";
constexpr std::string_view kToolCallEndSymbol = "\xf9";

}  // namespace exa::grammar
