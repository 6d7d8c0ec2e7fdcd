// Schemas, grammars, patterns, choices and tool calls: what they let through, and what they refuse by name.
#include "grammar/grammar.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"

namespace {

using exa::Error;
using exa::ErrorKind;
using exa::Grammar;
using exa::ToolGrammar;

struct Case {
  const char* schema;
  std::vector<std::string> good, bad;
};

TEST(JsonSchema, LetsThroughWhatIsValid) {
  const Case kCases[] = {
      {R"({"type": "integer"})", {"0", "-12", "123456789012345678"}, {"01", "1.0", "1e2", "+1", ""}},
      {R"({"type": "integer", "minimum": -5, "exclusiveMaximum": 12})",
       {"-5", "0", "11", "9", "-1"},
       {"-6", "12", "100", "-0", "-50"}},
      {R"({"type": "integer", "minimum": 2.5})", {"3", "10"}, {"2", "-3"}},
      {R"({"type": "number", "minimum": -1.5, "exclusiveMaximum": 2.25})",
       {"-1.5", "2.2499", "0", "2.2", "-1.49"},
       {"-1.51", "2.25", "2.250", "1e0", "3"}},
      {R"({"type": "number"})", {"1", "-0.5", "1.5e-3", "2E+10"}, {"1.", ".5", "1e100", "NaN"}},
      {R"({"type": "string"})",
       {R"("")", R"("한국")", R"("\u00e9\ud83d\ude00\n\/")"},
       {R"("\ud83d")", R"("\x")", "\"\n\"", R"("a)"}},
      {R"({"type": "string", "minLength": 2, "maxLength": 3})",
       {R"("한국")", R"("a\n\u0041")", R"("😀😀😀")"},
       {R"("a")", R"("abcd")"}},
      {R"({"type": "string", "maxLength": 5000})",
       {"\"" + std::string(5000, 'x') + "\""},
       {"\"" + std::string(5001, 'x') + "\""}},
      {R"({"type": "string", "pattern": "^a|b$"})", {R"("axx")", R"("xb")"}, {R"("xax")", R"("")"}},
      {R"({"type": "string", "pattern": "b", "maxLength": 2})",
       {R"("b")", R"("ab")"},
       {R"("aab")", R"("a")"}},
      {R"({"type": "string", "format": "date"})",
       {R"("2024-02-29")", R"("2000-02-29")"},
       {R"("2023-02-29")", R"("1900-02-29")", R"("2023-13-01")", R"("2023-04-31")"}},
      {R"({"type": "string", "format": "ipv6"})",
       {R"("::1")", R"("1:2:3:4:5:6:7:8")", R"("::ffff:1.2.3.4")"},
       {R"("1::2::3")", R"(":::")"}},
      {R"({"enum": ["a", 1, 2.0, null, {"k": [1, "x"]}]})",
       {R"("a")", "1", "2", "null", R"({"k":[1,"x"]})", R"({"k": [1, "x"]})"},
       {R"("b")", "3", R"({"k":[]})"}},
      {R"({"enum": ["a", 1, "bb"], "type": "string", "maxLength": 1})", {R"("a")"}, {"1", R"("bb")"}},
      {R"({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 300})",
       {"[1,2]", "[1, 2, 3]"},
       {"[]", "[1]", R"([1,"a"])"}},
      {R"({"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "items": false})",
       {"[]", R"(["a"])", R"(["a",null])"},
       {R"(["a",null,1])", "[1]"}},
      {R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}}, "required": ["b"]})",
       {R"({"b":null})", R"({"a":1, "b": null})"},
       {R"({"a":1})", R"({"b":null,"a":1})", R"({"b":null,"c":1})", R"({ "b":null})"}},
      {R"({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}})",
       {"{}", R"({"a":1,"b":"x"})", R"({"b":"x","c":"y"})", R"({"aa":"x"})", R"({"":"x"})"},
       {R"({"b":"x","a":"y"})", R"({"a":"x"})", R"({"\u0061":"x"})"}},
      {R"({"type": "object"})", {"{}", R"({"a":{"b":[1,{}]}})"}, {"[]", "1"}},
      {R"({"properties": {"a": true}})", {"{}", R"({"a":[]})"}, {R"({"b":1})"}},
      {R"({"required": ["z"]})", {R"({"z":1})", R"({"z":1,"b":2})"}, {"{}"}},
      {R"({"type": ["integer", "null"]})", {"3", "null"}, {"3.5", R"("a")"}},
      {R"({"anyOf": [{"type": "string", "maxLength": 1}, {"type": "integer"}]})",
       {R"("a")", "7"},
       {R"("ab")"}},
      {R"({"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "string"}, "a": {"minimum": 3}}}]})",
       {R"({"a":3})", R"({"a":4,"b":""})"},
       {R"({"a":2})", "{}", R"({"b":""})"}},
      {R"({"allOf": [{"properties": {"a": {"type": "integer"}}}, {"additionalProperties": false}]})",
       {"{}"},
       {R"({"a":1})"}},
      {R"({"oneOf": [{"type": "object", "properties": {"k": {"const": "x"}}, "required": ["k"]},
                     {"type": "object", "properties": {"k": {"const": "y"}, "n": {"type": "integer"}}, "required": ["k"]}]})",
       {R"({"k":"x"})", R"({"k":"y","n":1})"},
       {R"({"k":"x","n":1})", "{}"}},
      {R"({"$ref": "#/$defs/n~1o", "$defs": {"n/o": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/n~1o"}}, "required": ["v"]}}})",
       {R"({"v":1,"next":{"v":2,"next":{"v":3}}})"},
       {R"({"next":{"v":2}})"}},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.schema);
    const Grammar grammar = Grammar::from_json_schema(c.schema);
    for (const std::string& text : c.good) EXPECT_TRUE(grammar.matches(text)) << text.substr(0, 80);
    for (const std::string& text : c.bad) EXPECT_FALSE(grammar.matches(text)) << text.substr(0, 80);
  }
}

template <typename Make>
void expect_error(const Make& make, ErrorKind kind, const std::string& where, const std::string& part) {
  try {
    make();
    ADD_FAILURE() << "no error, expected " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_EQ(error.where(), where) << error.what();
    EXPECT_NE(error.message().find(part), std::string::npos) << error.what();
  }
}

TEST(JsonSchema, RefusesByNameAndPath) {
  struct Bad {
    const char* schema;
    ErrorKind kind;
    const char* where;
    const char* part;
  };
  const Bad kBad[] = {
      {R"({"properties": {"a/b": {"not": {}}}})", ErrorKind::kUnsupported, "#/properties/a~1b", "\"not\""},
      {R"({"items": {"uniqueItems": true}})", ErrorKind::kUnsupported, "#/items", "\"uniqueItems\""},
      {R"({"type": "string", "format": "uri"})", ErrorKind::kUnsupported, "#", "\"uri\""},
      {R"({"type": "strin"})", ErrorKind::kBadInput, "#", "\"type\""},
      {R"({"anyOf": []})", ErrorKind::kBadInput, "#", "\"anyOf\""},
      {R"({"$ref": "#/$defs/none"})", ErrorKind::kBadInput, "#", "\"$ref\""},
      {R"({"$ref": "http://x/y"})", ErrorKind::kUnsupported, "#", "\"$ref\""},
      {R"({"$ref": "#"})", ErrorKind::kUnsupported, "#", "deep"},
      {R"({"minLength": -1})", ErrorKind::kBadInput, "#", "\"minLength\""},
      {R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})", ErrorKind::kUnsupported, "#", "\"oneOf\""},
      {R"j({"type": "string", "pattern": "(?=a)"})j", ErrorKind::kUnsupported, "#/pattern, offset 2",
       "lookahead"},
      {R"j({"type": "string", "pattern": "a("})j", ErrorKind::kBadInput, "#/pattern, offset 2", "\")\""},
      {"false", ErrorKind::kBadInput, "#", "none"},
      {R"({"type": "object", "properties": {"a": false}, "required": ["a"]})", ErrorKind::kBadInput, "#",
       "none"},
      {R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})", ErrorKind::kBadInput,
       "#", "none"},
      {"[]", ErrorKind::kBadInput, "#", "a schema"},
      {"{\"a\"", ErrorKind::kBadInput, "schema, JSON byte 5", "JSON"},
      {R"({"type": "null", "type": "null"})", ErrorKind::kBadInput, "schema", "twice"},
      {R"({"type": "string", "pattern": "^(a|b)*a(a|b){30}$"})", ErrorKind::kUnsupported, "#/pattern",
       "too large"},
  };
  for (const Bad& bad : kBad) {
    SCOPED_TRACE(bad.schema);
    expect_error([&] { Grammar::from_json_schema(bad.schema); }, bad.kind, bad.where, bad.part);
  }
}

TEST(JsonSchema, LimitsHold) {
  std::string deep = "true";
  for (int i = 0; i < 100; ++i) deep = R"({"items":)" + deep + "}";
  EXPECT_THROW(Grammar::from_json_schema(deep), Error);
  EXPECT_THROW(Grammar::from_json_schema(std::string(300 * 1024, ' ') + "{}"), Error);
  std::string wide = R"({"anyOf": [)";
  for (int i = 0; i < 400; ++i) wide += std::string(i ? "," : "") + R"({"type":"integer"})";
  EXPECT_THROW(Grammar::from_json_schema(wide + "]}"), Error);
  // A hundred optional properties are no problem.
  std::string object = R"({"type": "object", "properties": {)";
  for (int i = 0; i < 100; ++i)
    object += std::string(i ? "," : "") + "\"p" + std::to_string(i) + R"(": {"type": "integer"})";
  const Grammar grammar = Grammar::from_json_schema(object + "}}");
  EXPECT_TRUE(grammar.matches(R"({"p3":1,"p50":2,"p99":3})"));
  EXPECT_FALSE(grammar.matches(R"({"p50":1,"p3":2})"));
  EXPECT_LT(grammar.n_states(), 5000u);
}

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += (i > 0 ? "," : "") + text;
  return out;
}

// The same work is the same verdict on every machine: what would take seconds is refused by its steps or
// states.
TEST(JsonSchema, WorkIsBounded) {
  std::string names;
  for (int i = 0; i < 20'000; ++i) names += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\"";
  const std::string long_key(100'000, 'k');
  const std::string heavy[] = {
      R"({"prefixItems": [)" + repeated("true", 20'000) + R"(], "allOf": [)" + repeated("{}", 5'000) + "]}",
      R"({"type": "object", "required": [)" + names + "]}",
      R"({"allOf": [{"enum": [)" + names.substr(0, 100'000) + R"("]}, {"enum": [)" +
          names.substr(0, 100'000) + R"("]}]})",
      R"({"properties": {")" + long_key + R"(": {"prefixItems": [)" + repeated("true", 20'000) + "]}}}",
  };
  for (const std::string& schema : heavy) {
    SCOPED_TRACE(schema.substr(0, 60));
    try {
      Grammar::from_json_schema(schema);
      ADD_FAILURE() << "taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUnsupported) << error.what();
      EXPECT_NE(error.message().find("of construction"), std::string::npos) << error.what();
      EXPECT_LT(std::string(error.what()).size(), 2000u);
    }
  }
}

TEST(JsonSchema, LongEnumsAndManyPropertiesAreTaken) {
  std::string values;
  for (int i = 0; i < 3'000; ++i) values += (i > 0 ? "," : "") + std::to_string(i * 7);
  EXPECT_TRUE(Grammar::from_json_schema(R"({"enum": [)" + values + "]}").matches("20993"));
  std::string properties;
  for (int i = 0; i < 1'000; ++i) {
    properties += (i > 0 ? ",\"property_" : "\"property_") + std::to_string(i) + R"(": {"type": "integer"})";
  }
  const Grammar object = Grammar::from_json_schema(R"({"type": "object", "properties": {)" + properties +
                                                   R"(}, "additionalProperties": true})");
  EXPECT_TRUE(object.matches(R"({"property_3": 1, "property_999": 2, "other": []})"));
}

TEST(Gbnf, WorkIsBounded) {
  std::string optional = "root ::=";
  for (int i = 0; i < 9'000; ++i) optional += std::string(" \"") + static_cast<char>('a' + i % 26) + "\"?";
  try {
    Grammar::from_gbnf(optional);
    ADD_FAILURE() << "taken";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("30000000 steps of construction"), std::string::npos) << error.what();
  }
}

TEST(Gbnf, LetsThroughAndRefuses) {
  const Grammar sum = Grammar::from_gbnf(
      "# sums\nroot ::= term (\"+\" term)*\nterm ::= [0-9]{1,3}\n  | \"(\" root \")\" # nested\n");
  for (const char* text : {"1", "1+22", "(1+(2))+3"}) EXPECT_TRUE(sum.matches(text)) << text;
  for (const char* text : {"", "1+", "1234", "((1)"}) EXPECT_FALSE(sum.matches(text)) << text;
}

TEST(Gbnf, Errors) {
  const auto gbnf = [](const char* text) { return [text] { Grammar::from_gbnf(text); }; };
  expect_error(gbnf("root ::= a\n"), ErrorKind::kBadInput, "grammar, line 1", "definition of rule \"a\"");
  expect_error(gbnf("a ::= \"x\"\n"), ErrorKind::kBadInput, "grammar", "\"root\"");
  expect_error(gbnf("root ::= root \"x\" | \"y\"\n"), ErrorKind::kBadInput, "root", "left recursion");
  expect_error(gbnf("root ::= a | \"z\"\na ::= b? root \"y\"\nb ::= \"x\"\n"), ErrorKind::kBadInput, "root",
               "left recursion");
  expect_error(gbnf("root ::= \"x\" root\n"), ErrorKind::kBadInput, "root", "none");
  expect_error(gbnf("root ::= \"x\"\n\nroot ::= *\n"), ErrorKind::kBadInput, "grammar, line 3",
               "one definition");
  expect_error(gbnf("root ::= * \"x\"\n"), ErrorKind::kBadInput, "grammar, line 1", "found \"*\"");
  expect_error(gbnf("root ::= [b-a]\n"), ErrorKind::kBadInput, "grammar, line 1", "in order");
  expect_error(gbnf("root ::= <|x|>\n"), ErrorKind::kUnsupported, "grammar, line 1", "token");
  const std::string parentheses = "root ::= " + std::string(60'000, '(');
  expect_error([&] { Grammar::from_gbnf(parentheses); }, ErrorKind::kUnsupported, "grammar, line 1", "deep");
  // Nothing, over and over, ends.
  EXPECT_TRUE(Grammar::from_gbnf("root ::= ((\"a\"?)*)* \"b\"\n").matches("aab"));
}

TEST(Regex, WholeTextMatches) {
  struct Pattern {
    const char* pattern;
    std::vector<std::string> good, bad;
  };
  const Pattern kPatterns[] = {
      {"a(b|cd)*e?", {"a", "abcdbe"}, {"", "abce", "b"}},
      {"^[가-힣]{2,3}$", {"한국", "대한국"}, {"한", "ab"}},
      {"[^a-y]", {"z", "한", "\n", "😀"}, {"a", ""}},
      {".", {"한", "x"}, {"\n", ""}},
      {"\\d+\\.\\d*?", {"1.", "12.5"}, {".5", "1"}},
      {"x{0}y{2,}", {"yy", "yyyy"}, {"y", "xyy"}},
      {"(?:a|^b)$|(?<n>c)", {"a", "b", "c"}, {"ab"}},
      {"\\u{1F600}|\\u00e9|\\x41", {"😀", "é", "A"}, {"u"}},
      {"a{2,2000}", {"aa", std::string(2000, 'a')}, {"a", std::string(2001, 'a')}},
      {"a^b|c", {"c"}, {"ab"}},
  };
  for (const Pattern& p : kPatterns) {
    SCOPED_TRACE(p.pattern);
    const Grammar grammar = Grammar::from_regex(p.pattern);
    for (const std::string& text : p.good) EXPECT_TRUE(grammar.matches(text)) << text.substr(0, 40);
    for (const std::string& text : p.bad) EXPECT_FALSE(grammar.matches(text)) << text.substr(0, 40);
  }
  for (const char* bad : {"(", ")", "[a", "*a", "a**", "a{2", "a{3,2}", "\\", "(?=a)", "(?<!a)b", "\\1",
                          "\\bx", "\\p{L}", "[z-a]", "a\xff"}) {
    EXPECT_THROW(Grammar::from_regex(bad), Error) << bad;
  }
}

TEST(Choices, OneOfThem) {
  const Grammar grammar = Grammar::from_choices(std::vector<std::string>{"yes", "no", "한국", "now"});
  for (const char* text : {"yes", "no", "now", "한국"}) EXPECT_TRUE(grammar.matches(text));
  for (const char* text : {"", "ye", "noo", "yesno"}) EXPECT_FALSE(grammar.matches(text));
  EXPECT_THROW(Grammar::from_choices({}), Error);
  EXPECT_THROW(Grammar::from_choices(std::vector<std::string>{""}), Error);
}

constexpr const char* kTools = R"([
  {"type": "function", "function": {"name": "weather", "strict": true, "parameters":
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}},
  {"type": "web_search"},
  {"type": "function", "function": {"name": "loose", "parameters": {"type": "object", "not": {}}}},
  {"type": "function", "function": {"name": "now"}}])";
const std::string kSeoul = R"(<tool_call>{"name": "weather", "arguments": {"city": "서울"}}</tool_call>)";
const std::string kNow = R"(<tool_call>{"name": "now", "arguments": {}}</tool_call>)";

TEST(Tools, CallsOfOfferedTools) {
  ToolGrammar options;
  options.choice = ToolGrammar::Choice::kRequired;
  const Grammar required = Grammar::from_tools(kTools, options);
  for (const std::string& text :
       {kSeoul, kSeoul + "\n" + kNow,
        std::string(R"(<tool_call>{"name":"loose","arguments":{"x":[1]}}</tool_call>)")}) {
    EXPECT_TRUE(required.matches(text)) << text;
  }
  for (const std::string& text :
       {std::string("text"), kSeoul + kNow, "text" + kNow,
        std::string(R"(<tool_call>{"name": "other", "arguments": {}}</tool_call>)"),
        std::string(R"(<tool_call>{"name": "weather", "arguments": {}}</tool_call>)"),
        std::string(R"(<tool_call>{"name": "now", "arguments": {"a":1}}</tool_call>)")}) {
    EXPECT_FALSE(required.matches(text)) << text;
  }
  options.parallel = false;
  const Grammar single = Grammar::from_tools(kTools, options);
  EXPECT_TRUE(single.matches(kNow));
  EXPECT_FALSE(single.matches(kNow + "\n" + kNow));
  options.name = "weather";
  EXPECT_FALSE(Grammar::from_tools(kTools, options).matches(kNow));
}

TEST(Tools, AutoAllowsTextAndAnswers) {
  const Grammar grammar = Grammar::from_tools(kTools, {});
  for (const std::string& text : {std::string(), std::string("그냥 <tool 답"), kNow, "먼저\n" + kSeoul}) {
    EXPECT_TRUE(grammar.matches(text)) << text;
  }
  EXPECT_FALSE(grammar.matches("<tool_call>{}</tool_call>"));
  ToolGrammar options;
  options.answer_schema = R"({"type": "integer"})";
  const Grammar either = Grammar::from_tools(kTools, options);
  EXPECT_TRUE(either.matches("12"));
  EXPECT_TRUE(either.matches(kNow));
  EXPECT_FALSE(either.matches("text"));
}

TEST(Tools, Errors) {
  ToolGrammar named;
  named.name = "none";
  expect_error([&] { Grammar::from_tools(kTools, named); }, ErrorKind::kBadInput, "tools", "\"none\"");
  expect_error([] { Grammar::from_tools("[]", {}); }, ErrorKind::kBadInput, "tools", "function to call");
  expect_error(
      [] {
        Grammar::from_tools(R"([{"function": {"name": "a", "strict": true, "parameters": {"not": {}}}}])",
                            {});
      },
      ErrorKind::kUnsupported, "tools[0].function.parameters", "\"not\"");
  expect_error(
      [] { Grammar::from_tools(R"([{"function": {"name": "a"}}, {"function": {"name": "a"}}])", {}); },
      ErrorKind::kBadInput, "tools[1].function", "twice");
}

}  // namespace
