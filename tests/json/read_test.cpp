#include "json/read.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

Error error_of(const std::string& text, const JsonLimits& limits = {}) {
  try {
    read_json(text, "f", limits);
  } catch (const Error& error) {
    return error;
  }
  return {ErrorKind::kInternal, "no error"};
}

TEST(JsonReader, GivesTheValueThatTheLibraryGives) {
  for (const char* const text :
       {"null", "true", "-7", "18446744073709551615", "1.5e300", "\"\\u00e9\\n\"", "[]", "{}",
        "[[],{},[1,[2]]]", R"({"b": 1, "a": {"z": [], "y": null}, "": "x"})", " [1 , 2 ]\n"}) {
    EXPECT_EQ(read_json(text, "f"), Json::parse(text)) << text;
    EXPECT_EQ(read_json(text, "f").dump(), Json::parse(text).dump()) << text;
    EXPECT_EQ(read_json_if_any(text, "f"), Json::parse(text)) << text;
  }
}

TEST(JsonReader, WhatIsNoJsonIsRefusedWithItsByte) {
  EXPECT_EQ(error_of("[1, x]").where(), "f, JSON byte 5");
  for (const char* const text : {"", "[", "[1,]", "{\"a\"}", "nul", "[1] 2", "\"\xff\"", "{'a': 1}", "\"a"}) {
    EXPECT_EQ(error_of(text).kind(), ErrorKind::kBadInput) << text;
    EXPECT_EQ(error_of(text).message().find("json.exception"), std::string::npos) << text;
    EXPECT_EQ(read_json_if_any(text, "f"), std::nullopt) << text;
  }
}

TEST(JsonReader, AKeyTwice) {
  EXPECT_NE(error_of(R"({"a": 1, "b": 2, "a": 3})").message().find("\"a\" occurs twice"), std::string::npos);
  // Python's json.loads: the first one's place, the last one's value.
  EXPECT_EQ(read_json_if_any(R"({"a": 1, "b": 2, "a": 3, "a": 4})", "f")->dump(), R"({"a":4,"b":2})");
}

TEST(JsonReader, Limits) {
  const JsonLimits limits = {
      .bytes = 100, .depth = 3, .values = 6, .keys = 2, .beyond = ErrorKind::kUnsupported};
  EXPECT_EQ(error_of("[[[1]]]", limits).kind(), ErrorKind::kInternal);
  EXPECT_EQ(error_of("[[[[1]]]]", limits).kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(error_of("[1,2,3,4,5]", limits).kind(), ErrorKind::kInternal);
  EXPECT_EQ(error_of("[1,2,3,4,5,6]", limits).kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(error_of(R"({"a":1,"b":2})", limits).kind(), ErrorKind::kInternal);
  EXPECT_EQ(error_of(R"({"a":1,"b":2,"c":3})", limits).kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(error_of('"' + std::string(99, 'x') + '"', limits).kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(error_of("[" + std::string(70, '1') + "]").kind(), ErrorKind::kBadInput);
  EXPECT_THROW(read_json_if_any("[[[[1]]]]", "f", limits), Error);
}

TEST(JsonReader, DeepTextsEndBeforeTheyAreBuilt) {
  for (const char bracket : {'[', '{'}) {
    std::string text;
    for (int i = 0; i < 200'000; ++i) text += bracket == '[' ? "[" : "{\"a\":";
    EXPECT_EQ(error_of(text).kind(), ErrorKind::kBadInput);
  }
}

// An object of 60,000 keys: a search through all before each would compare 1.8 thousand million of them.
TEST(JsonReader, ManyKeys) {
  std::string text = "{";
  for (int i = 0; i < 60'000; ++i) text += "\"key" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  text.back() = '}';
  const Json value = read_json(text, "f");
  ASSERT_EQ(value.size(), 60'000u);
  EXPECT_EQ(value.begin().key(), "key0");
  EXPECT_EQ(value.back(), 59'999);
}

}  // namespace
}  // namespace exa
