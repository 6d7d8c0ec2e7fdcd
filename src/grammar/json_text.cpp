#include "grammar/json_text.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "json/read.h"

namespace exa::grammar {
namespace {

using Json = nlohmann::ordered_json;

constexpr JsonLimits kLimits = {
    .bytes = kMostBytes, .depth = 64, .values = 50'000, .keys = 1024, .beyond = ErrorKind::kUnsupported};

// 2.0 is written as 2.
std::string spelled(const Json& value) {
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::abs(number) < 1e15 && number == std::trunc(number)) {
      return std::to_string(static_cast<std::int64_t>(number));
    }
  }
  return value.dump();
}

}  // namespace

Json parse_json(std::string_view text, const std::string& place) {
  return read_json(text, place, kLimits);
}

std::string json_quoted(std::string_view text) {
  // What nlohmann writes is the spelling wanted; only it demands valid UTF-8, which parsed text is.
  return Json(text).dump();
}

void add_value(Automaton& into, StateId from, const Json& value, StateId to) {
  const auto separator = [&into](StateId at, char mark) {
    const StateId after = into.add_state();
    into.add_literal(at, std::string_view(&mark, 1), after);
    const StateId next = into.add_state();
    into.add_empty(after, next);
    into.add_bytes(after, ' ', ' ', next);
    return next;
  };
  if (!value.is_structured() || value.empty()) return into.add_literal(from, spelled(value), to);
  StateId at = into.add_state();
  into.add_literal(from, value.is_object() ? "{" : "[", at);
  bool is_first = true;
  for (const auto& [key, part] : value.items()) {
    if (!is_first) at = separator(at, ',');
    is_first = false;
    if (value.is_object()) {
      const StateId colon = into.add_state();
      into.add_literal(at, json_quoted(key), colon);
      at = separator(colon, ':');
    }
    const StateId next = into.add_state();
    add_value(into, at, part, next);
    at = next;
  }
  into.add_literal(at, value.is_object() ? "}" : "]", to);
}

std::string shown(const Json& value) {
  if (value.is_structured()) return std::string("an ") + value.type_name();
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace exa::grammar
