#include "grammar/json_text.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace exa::grammar {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostJsonDepth = 64;
constexpr std::size_t kMostValues = 50'000;
constexpr std::size_t kMostKeys = 1024;

// Counts before anything is built.
class Counter : public nlohmann::json_sax<Json> {
 public:
  explicit Counter(const std::string& place) : place_(place) {}

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool string(string_t&) override { return value(); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    auto& names = keys_.back();
    if (names.size() >= kMostKeys) refuse(std::to_string(kMostKeys) + " keys in an object");
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      throw Error(ErrorKind::kBadInput, "expected each key once, found \"" + name + "\" twice", place_);
    }
    names.push_back(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    throw Error(ErrorKind::kBadInput, "expected JSON, found something else",
                place_ + ", offset " + std::to_string(position));
  }

 private:
  [[noreturn]] void refuse(const std::string& limit) const {
    throw Error(ErrorKind::kUnsupported, "expected at most " + limit, place_);
  }
  bool value() {
    if (++n_values_ > kMostValues) refuse(std::to_string(kMostValues) + " values");
    return true;
  }
  bool open() {
    keys_.emplace_back();
    if (keys_.size() > kMostJsonDepth) refuse(std::to_string(kMostJsonDepth) + " levels");
    return value();
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  const std::string& place_;
  std::size_t n_values_ = 0;
  std::vector<std::vector<std::string>> keys_;
};

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
  if (text.size() > kMostBytes) {
    throw Error(
        ErrorKind::kUnsupported,
        "expected at most " + std::to_string(kMostBytes) + " bytes, found " + std::to_string(text.size()),
        place);
  }
  Counter counter(place);
  Json::sax_parse(text, &counter);
  return Json::parse(text);
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
