// The sentence of an error about foreign JSON: what was expected, what was found.
//
// Ownership and threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"

namespace exa {

// Throws kBadInput.
[[noreturn]] inline void fail_expected(const std::string& where, const std::string& expected,
                                       const std::string& found) {
  throw Error(ErrorKind::kBadInput, "expected " + expected + ", found " + found, where);
}

// A value in an error: short, and valid UTF-8 whatever it holds.
inline std::string shown_value(const nlohmann::ordered_json& value) {
  if (value.is_structured()) return std::string("an ") + value.type_name();
  std::string text = value.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace exa
