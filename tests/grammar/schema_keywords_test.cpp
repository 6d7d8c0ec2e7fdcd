// Every keyword and format that docs/structured_output.md claims has a row here: what it lets through and
// what it does not. What it does not claim is refused by name. The page's own table says which rows there
// must be.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "grammar/grammar.h"

namespace exa {
namespace {

struct Row {
  const char* keyword;
  const char* schema;
  std::vector<std::string> good, bad;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      {"type", R"({"type": ["integer", "null"]})", {"7", "null"}, {"7.5", R"("7")", "true", "[]", "{}"}},
      {"enum",
       R"({"enum": ["빨강", 2, null, [1]]})",
       {R"("빨강")", "2", "null", "[1]"},
       {R"("red")", "3", "[]"}},
      {"const", R"({"const": {"a": [1, "x"]}})", {R"({"a":[1,"x"]})"}, {R"({"a":[1]})", "{}", "1"}},
      {"$ref",
       R"({"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#"}}, "required": ["v"]})",
       {R"({"v":1})", R"({"v":1,"next":{"v":2,"next":{"v":3}}})"},
       {R"({"next":{"v":2}})", R"({"v":1,"next":{}})", R"({"v":1,"next":3})"}},
      {"$defs", R"({"$ref": "#/$defs/a", "$defs": {"a": {"type": "boolean"}}})", {"true"}, {"1", "{}"}},
      {"definitions",
       R"({"$ref": "#/definitions/a", "definitions": {"a": {"type": "null"}}})",
       {"null"},
       {"0"}},
      {"anyOf",
       R"({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]})",
       {"7", R"("a")"},
       {R"("ab")", "null"}},
      {"allOf",
       R"({"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 5}]})",
       {"3", "5"},
       {"2", "6", R"("4")"}},
      {"oneOf",
       R"({"oneOf": [{"type": "integer", "maximum": 0}, {"type": "integer", "minimum": 10}, {"type": "null"}]})",
       {"0", "-4", "10", "null"},
       {"1", "9", "true"}},
      {"true", R"({"type": "array", "items": true})", {R"([1,"a",null,{}])"}, {"1"}},
      {"false", R"({"type": "array", "prefixItems": [true], "items": false})", {"[]", "[7]"}, {"[7,8]"}},
      {"minLength", R"({"type": "string", "minLength": 2})", {R"("한국")", R"("\n😀")"}, {R"("한")", R"("")"}},
      {"maxLength",
       R"({"type": "string", "maxLength": 2})",
       {R"("")", R"("한국")", R"("\u0041b")"},
       {R"("abc")"}},
      {"pattern",
       R"({"type": "string", "pattern": "^[가-힣]+[0-9]{2}$"})",
       {R"("방12")"},
       {R"("방1")", R"("a12")", R"("방123")"}},
      {"format",
       R"({"type": "string", "format": "date"})",
       {R"("2024-02-29")"},
       {R"("2023-02-29")", R"("today")"}},
      {"date",
       R"({"format": "date"})",
       {R"("2000-12-31")"},
       {R"("1900-02-29")", R"("2000-13-01")", R"("0000-01-01")"}},
      {"time",
       R"({"format": "time"})",
       {R"("23:59:59Z")", R"("00:00:00.125+09:00")"},
       {R"("24:00:00Z")", R"("12:00")", R"("12:00:00")", R"("23:59:60Z")"}},
      {"date-time",
       R"({"format": "date-time"})",
       {R"("2024-02-29T23:59:59+09:00")"},
       {R"("2024-02-29 23:59:59Z")", R"("2023-02-29T00:00:00Z")", R"("2024-02-29")"}},
      {"uuid",
       R"({"format": "uuid"})",
       {R"("2eb8aa08-aa98-11ea-b4aa-73b441d16380")"},
       {R"("2eb8aa08aa9811eab4aa73b441d16380")", R"("2eb8aa08-aa98-11ea-b4ga-73b441d16380")"}},
      {"ipv4",
       R"({"format": "ipv4"})",
       {R"("192.168.0.1")", R"("0.0.0.0")"},
       {R"("256.1.1.1")", R"("1.2.3")", R"("01.2.3.4")"}},
      {"ipv6",
       R"({"format": "ipv6"})",
       {R"("::1")", R"("1:2:3:4:5:6:7:8")"},
       {R"("1::2::3")", R"("12345::")", R"("1:2:3")"}},
      {"hostname",
       R"({"format": "hostname"})",
       {R"("www.example.com")", R"("a")"},
       {R"("-a.com")", R"("a..b")", R"("a_b")"}},
      {"email",
       R"({"format": "email"})",
       {R"("joe.b@example.com")"},
       {R"("joe")", R"("@x.com")", R"("a b@x.com")"}},
      {"minimum", R"({"type": "number", "minimum": -1.5})", {"-1.5", "0", "12.25"}, {"-1.51", "-2"}},
      {"maximum", R"({"type": "integer", "maximum": 12})", {"12", "-5", "0"}, {"13", "100"}},
      {"exclusiveMinimum", R"({"type": "integer", "exclusiveMinimum": 9})", {"10", "99"}, {"9", "0", "-1"}},
      {"exclusiveMaximum",
       R"({"type": "number", "exclusiveMaximum": 0.5})",
       {"0.49", "-7"},
       {"0.5", "0.50", "1"}},
      {"items",
       R"({"type": "array", "items": {"type": "boolean"}})",
       {"[]", "[true, false]"},
       {"[1]", "[true,null]"}},
      {"prefixItems",
       R"({"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}]})",
       {"[]", R"(["a"])", R"(["a",null,5])"},
       {"[1]", R"(["a",1])"}},
      {"minItems",
       R"({"type": "array", "items": {"type": "integer"}, "minItems": 2})",
       {"[1,2]", "[1,2,3]"},
       {"[]", "[1]"}},
      {"maxItems",
       R"({"type": "array", "items": {"type": "integer"}, "maxItems": 1})",
       {"[]", "[1]"},
       {"[1,2]"}},
      {"properties",
       R"({"type": "object", "properties": {"이름": {"type": "string"}, "n": {"type": "integer"}}})",
       {"{}", R"({"이름":"김"})", R"({"이름":"김","n":1})"},
       {R"({"n":"1"})", R"({"이름":1})", R"({"other":1})"}},
      {"required",
       R"({"type": "object", "properties": {"a": true, "b": true}, "required": ["b"]})",
       {R"({"b":1})", R"({"a":1,"b":2})"},
       {"{}", R"({"a":1})"}},
      {"additionalProperties",
       R"({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "null"}})",
       {"{}", R"({"a":1,"b":null})", R"({"b":null})"},
       {R"({"b":1})", R"({"a":null})"}},
  };
  return all;
}

// What a reader may leave in: neither changes what "integer" lets through.
const std::vector<const char*>& ignored() {
  static const std::vector<const char*> all = {R"("title": "t")",
                                               R"("description": "d")",
                                               R"("default": "x")",
                                               R"("examples": ["x"])",
                                               R"("example": "x")",
                                               R"("deprecated": true)",
                                               R"("readOnly": true)",
                                               R"("writeOnly": true)",
                                               R"("$comment": "c")",
                                               R"("$schema": "https://json-schema.org/draft/2020-12/schema")",
                                               R"("$anchor": "a")",
                                               R"("$id": "http://x/y")",
                                               R"("contentEncoding": "base64")",
                                               R"("contentMediaType": "m")",
                                               R"("contentSchema": {})",
                                               R"("discriminator": {"propertyName": "k"})",
                                               R"("uniqueItems": false)",
                                               R"("minProperties": 0)",
                                               R"("minContains": 0)"};
  return all;
}

const std::vector<const char*>& refused() {
  static const std::vector<const char*> all = {
      R"("not": {})",
      R"("if": {})",
      R"("then": {})",
      R"("else": {})",
      R"("multipleOf": 2)",
      R"("uniqueItems": true)",
      R"("contains": {})",
      R"("minContains": 1)",
      R"("maxContains": 1)",
      R"("unevaluatedItems": false)",
      R"("additionalItems": false)",
      R"("minProperties": 1)",
      R"("maxProperties": 1)",
      R"("patternProperties": {})",
      R"("propertyNames": {})",
      R"("dependentRequired": {})",
      R"("dependentSchemas": {})",
      R"("dependencies": {})",
      R"("unevaluatedProperties": false)",
      R"("$dynamicRef": "#a")",
      R"("$dynamicAnchor": "a")",
      R"("$recursiveRef": "#")",
      R"("$recursiveAnchor": true)",
      R"("$vocabulary": {})",
      R"("id": "a")",
      R"("nullable": true)",
      R"("formatMinimum": "2020-01-01")",
  };
  return all;
}

std::string word_of(const std::string& member) {
  return member.substr(1, member.find('"', 1) - 1);
}

// The words in backticks of the page's table.
struct Claims {
  std::set<std::string> supported, ignored, refused;
};

Claims claims() {
  std::ifstream page(std::filesystem::path(EXAONE_SOURCE_DIR) / "docs/structured_output.md");
  Claims out;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("| ")) continue;
    std::set<std::string>& words = line.starts_with("| refused ")   ? out.refused
                                   : line.starts_with("| ignored ") ? out.ignored
                                                                    : out.supported;
    for (std::size_t at = 0; (at = line.find('`', at)) != std::string::npos;) {
      const std::size_t end = line.find('`', at + 1);
      words.insert(line.substr(at + 1, end - at - 1));
      at = end + 1;
    }
  }
  return out;
}

TEST(SchemaKeywords, EachLetsThroughAndHoldsBack) {
  for (const Row& row : rows()) {
    SCOPED_TRACE(row.keyword);
    const Grammar grammar = Grammar::from_json_schema(row.schema);
    for (const std::string& text : row.good) EXPECT_TRUE(grammar.matches(text)) << text;
    for (const std::string& text : row.bad) EXPECT_FALSE(grammar.matches(text)) << text;
  }
}

TEST(SchemaKeywords, AnnotationsChangeNothing) {
  for (const std::string member : ignored()) {
    SCOPED_TRACE(member);
    const Grammar grammar = Grammar::from_json_schema("{" + member + R"(, "type": "integer"})");
    EXPECT_TRUE(grammar.matches("7"));
    EXPECT_FALSE(grammar.matches(R"("x")"));
  }
}

TEST(SchemaKeywords, WhatIsNotSupportedIsRefusedByName) {
  for (const std::string member : refused()) {
    SCOPED_TRACE(member);
    for (const std::string& schema :
         {"{" + member + "}", R"({"type": "object", "properties": {"a": {)" + member + "}}}",
          R"({"anyOf": [{"type": "null"}, {)" + member + "}]}"}) {
      try {
        Grammar::from_json_schema(schema);
        ADD_FAILURE() << "taken: " << schema;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kUnsupported) << error.what();
        EXPECT_NE(error.message().find("\"" + word_of(member) + "\""), std::string::npos) << error.what();
      }
    }
  }
  for (const char* format :
       {"uri", "regex", "json-pointer", "duration", "idn-email", "iri", "binary", "int32"}) {
    SCOPED_TRACE(format);
    try {
      Grammar::from_json_schema(R"({"type": "string", "format": ")" + std::string(format) + "\"}");
      ADD_FAILURE() << "taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
      EXPECT_NE(error.message().find("\"" + std::string(format) + "\""), std::string::npos) << error.what();
    }
  }
}

TEST(SchemaKeywords, ThePageClaimsWhatIsTestedHere) {
  const Claims page = claims();
  std::set<std::string> tested, left_alone, named;
  for (const Row& row : rows()) tested.insert(row.keyword);
  for (const std::string member : ignored()) {
    const std::string word = word_of(member);
    // These are ignored with one value only, which the page gives.
    const bool with_value = word == "uniqueItems" || word == "minProperties" || word == "minContains";
    left_alone.insert(with_value ? word + member.substr(word.size() + 2) : word);
  }
  for (const char* member : refused()) named.insert(word_of(member));
  EXPECT_EQ(page.supported, tested);
  EXPECT_EQ(page.ignored, left_alone);
  EXPECT_EQ(page.refused, named);
}

}  // namespace
}  // namespace exa
