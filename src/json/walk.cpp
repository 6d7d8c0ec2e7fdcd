#include "json/walk.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/printable.h"

namespace exa {
namespace {

using Json = nlohmann::json;

class Walker : public nlohmann::json_sax<Json> {
 public:
  Walker(std::size_t max_depth, const std::string& where, const std::function<void(const JsonEvent&)>& visit)
      : max_depth_(max_depth), where_(where), visit_(visit) {}

  bool null() override { return emit({JsonEvent::kNull}); }
  bool boolean(bool) override { return emit({JsonEvent::kBool}); }
  bool number_integer(number_integer_t) override { return emit({JsonEvent::kOtherNumber}); }
  bool number_unsigned(number_unsigned_t value) override { return emit({JsonEvent::kUnsigned, {}, value}); }
  bool number_float(number_float_t, const string_t&) override { return emit({JsonEvent::kOtherNumber}); }
  bool string(string_t& value) override { return emit({JsonEvent::kString, value}); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return begin(JsonEvent::kObjectBegin); }
  bool end_object() override { return end(JsonEvent::kObjectEnd); }
  bool start_array(std::size_t) override { return begin(JsonEvent::kArrayBegin); }
  bool end_array() override { return end(JsonEvent::kArrayEnd); }
  bool key(string_t& value) override { return emit({JsonEvent::kKey, value}); }

  bool parse_error(std::size_t position, const std::string& last_token, const Json::exception&) override {
    throw Error(ErrorKind::kBadInput,
                "invalid JSON at \"" + printable(last_token) + "\", expected a JSON document",
                where_ + ", JSON byte " + std::to_string(position));
  }

 private:
  bool emit(const JsonEvent& event) {
    visit_(event);
    return true;
  }
  bool begin(JsonEvent::Kind kind) {
    if (++depth_ > max_depth_) {
      throw Error(
          ErrorKind::kBadInput,
          "JSON is nested deeper than " + std::to_string(max_depth_) + " levels, expected at most that",
          where_);
    }
    return emit({kind});
  }
  bool end(JsonEvent::Kind kind) {
    --depth_;
    return emit({kind});
  }

  std::size_t max_depth_;
  const std::string& where_;
  const std::function<void(const JsonEvent&)>& visit_;
  std::size_t depth_ = 0;
};

}  // namespace

void check_json_tokens(std::string_view text, std::size_t max_string, const std::string& where) {
  constexpr std::size_t kMaxNumberBytes = 64;
  const auto refuse = [&](std::size_t begin, std::string_view what, std::size_t limit) {
    throw Error(ErrorKind::kBadInput,
                "JSON " + std::string(what) + " is longer than " + std::to_string(limit) +
                    " bytes, expected at most that",
                where + ", JSON byte " + std::to_string(begin));
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t begin = i;
    if (text[i] == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\') ++i;
        if (i - begin > max_string) refuse(begin, "string", max_string);
      }
    } else if ((text[i] >= '0' && text[i] <= '9') || text[i] == '-') {
      while (i + 1 < text.size() &&
             std::string_view("0123456789+-.eE").find(text[i + 1]) != std::string_view::npos) {
        if (++i - begin > kMaxNumberBytes) refuse(begin, "number", kMaxNumberBytes);
      }
    }
  }
}

std::string_view json_kind_name(JsonEvent::Kind kind) {
  switch (kind) {
    case JsonEvent::kObjectBegin:
      return "object";
    case JsonEvent::kObjectEnd:
      return "end of object";
    case JsonEvent::kArrayBegin:
      return "array";
    case JsonEvent::kArrayEnd:
      return "end of array";
    case JsonEvent::kKey:
      return "key";
    case JsonEvent::kString:
      return "string";
    case JsonEvent::kUnsigned:
      return "non-negative integer";
    case JsonEvent::kOtherNumber:
      return "negative, fractional or too large number";
    case JsonEvent::kBool:
      return "bool";
    case JsonEvent::kNull:
      return "null";
  }
  return "";
}

void walk_json(std::string_view text, std::size_t max_depth, const std::string& where,
               const std::function<void(const JsonEvent&)>& visit) {
  constexpr std::size_t kMaxString = std::size_t{1} << 20;
  check_json_tokens(text, kMaxString, where);
  Walker walker(max_depth, where, visit);
  Json::sax_parse(text.begin(), text.end(), &walker);
}

}  // namespace exa
