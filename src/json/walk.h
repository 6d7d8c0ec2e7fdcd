// JSON as a stream of events, for texts of which little is kept: tokens and depth are bounded.
//
// Ownership and threads: free functions; events borrow their text for the length of the call.
// Source: RFC 8259; format rules 4.1 and rules R2 and R6 of the reliability specification.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace exa {

struct JsonEvent {
  enum Kind : std::uint8_t {
    kObjectBegin,
    kObjectEnd,
    kArrayBegin,
    kArrayEnd,
    kKey,
    kString,
    kUnsigned,
    kOtherNumber,
    kBool,
    kNull,
  };
  Kind kind;
  std::string_view text = {};  // of kKey and kString, decoded
  std::uint64_t number = 0;    // of kUnsigned: digits only, no sign, fraction or exponent
};

// "object", "string", … for messages.
std::string_view json_kind_name(JsonEvent::Kind kind);

// Calls `visit` for each event of one JSON value; memory stays within a few times the longest string, which
// may have 1 MiB. Errors: kBadInput for what is not JSON, not UTF-8, or deeper than max_depth, and whatever
// `visit` throws.
void walk_json(std::string_view text, std::size_t max_depth, const std::string& where,
               const std::function<void(const JsonEvent&)>& visit);

// Bounds what the parser keeps of one token at a time, twice. Errors: kBadInput, naming the byte, for a string
// of more than max_string bytes or a number of more than 64.
void check_json_tokens(std::string_view text, std::size_t max_string, const std::string& where);

}  // namespace exa
