#include "formats/json_walk.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "formats/model_files.h"

namespace exa {
namespace {

using Json = nlohmann::json;

// nlohmann's lexer keeps the current token twice in growing buffers: bounding tokens first bounds its memory.
void check_token_lengths(std::string_view text, const std::string& where) {
  constexpr std::size_t kMaxTokenBytes = std::size_t{1} << 20;
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
        if (i - begin > kMaxTokenBytes) refuse(begin, "string", kMaxTokenBytes);
      }
    } else if ((text[i] >= '0' && text[i] <= '9') || text[i] == '-') {
      while (i + 1 < text.size() &&
             std::string_view("0123456789+-.eE").find(text[i + 1]) != std::string_view::npos) {
        if (++i - begin > kMaxNumberBytes) refuse(begin, "number", kMaxNumberBytes);
      }
    }
  }
}

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

void check_unique_keys(std::string_view text, const std::string& where) {
  constexpr std::size_t kMaxDepth = 64;
  constexpr std::size_t kMaxObjectKeys = 4096;
  std::vector<std::vector<std::string>> open_objects;
  walk_json(text, kMaxDepth, where, [&](const JsonEvent& event) {
    if (event.kind == JsonEvent::kObjectBegin) {
      open_objects.emplace_back();
    } else if (event.kind == JsonEvent::kKey) {
      if (open_objects.back().size() == kMaxObjectKeys) {
        throw Error(ErrorKind::kBadInput,
                    "JSON object has more than " + std::to_string(kMaxObjectKeys) + " keys, expected at most that",
                    where);
      }
      open_objects.back().emplace_back(event.text);
    } else if (event.kind == JsonEvent::kObjectEnd) {
      std::vector<std::string>& keys = open_objects.back();
      std::sort(keys.begin(), keys.end());
      const auto twice = std::adjacent_find(keys.begin(), keys.end());
      if (twice != keys.end()) {
        throw Error(ErrorKind::kBadInput,
                    "key \"" + printable(*twice) + "\" occurs twice in an object, expected once", where);
      }
      open_objects.pop_back();
    }
  });
}

}  // namespace

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
  check_token_lengths(text, where);
  Walker walker(max_depth, where, visit);
  Json::sax_parse(text.begin(), text.end(), &walker);
}

nlohmann::ordered_json parse_small_json(std::string_view text, const std::string& where) {
  constexpr std::size_t kMaxBytes = std::size_t{512} << 10;
  if (text.size() > kMaxBytes) {
    throw Error(
        ErrorKind::kBadInput,
        "JSON has " + std::to_string(text.size()) + " bytes, expected at most " + std::to_string(kMaxBytes),
        where);
  }
  check_unique_keys(text, where);
  try {
    return nlohmann::ordered_json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorKind::kBadInput, "invalid JSON, expected a JSON document", where);
  }
}

}  // namespace exa
