// JSON that a person or a client hands over, as a value: every limit is proved while it is read, in linear
// time.
//
// Objects keep the order of their keys. Ownership and threads: pure functions. Source: RFC 8259; rules R2 and
// R6 and the limits of the reliability specification (section 6); Python's json.loads (a key twice).
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace exa {

struct JsonLimits {
  std::size_t bytes = std::size_t{64} << 20;
  std::size_t depth = 128;  // of arrays and objects in each other
  std::size_t values = std::size_t{1} << 20;
  std::size_t keys = std::size_t{1} << 16;  // of one object
  ErrorKind beyond = ErrorKind::kBadInput;  // the kind of error beyond them
};

// where: names the source in errors. Errors: kBadInput naming the byte for what is not JSON or not UTF-8, for
// numbers of more than 64 bytes and for a key that occurs twice in an object; limits.beyond.
nlohmann::ordered_json read_json(std::string_view text, const std::string& where,
                                 const JsonLimits& limits = {});

// The same of a text that may be something else: nothing for what is not JSON; of a key that occurs twice the
// last value counts. Errors: limits.beyond.
std::optional<nlohmann::ordered_json> read_json_if_any(std::string_view text, const std::string& where,
                                                       const JsonLimits& limits = {});

}  // namespace exa
