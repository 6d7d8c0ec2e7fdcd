// JSON from foreign files, strictly: proven size, depth and uniqueness before anything is built from it.
//
// Ownership and threads: free functions; events borrow their text for the length of the call.
// Source: RFC 8259; format rules 4.1 and rules R2 and R6 of the reliability specification.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
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

// The tree of a small document such as config.json (512 KiB, depth 64, 4096 keys an object). Errors:
// kBadInput for what exceeds that, is not JSON, or names a key twice in one object.
nlohmann::ordered_json parse_small_json(std::string_view text, const std::string& where);

}  // namespace exa
