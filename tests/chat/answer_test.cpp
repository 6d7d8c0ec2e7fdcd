// Reasoning, content and calls out of what a model writes. The numbers in names are the rows of the
// complaints that the test keeps away (product specification 2b, 2e) or sections of the models specification.
#include "chat/answer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "sanitized.h"
#include "text/utf8.h"

namespace exa {
namespace {

constexpr int kCuts = test::kSanitized ? 10'000 : 100'000;

struct Call {
  std::string name;
  std::string arguments;
  bool operator==(const Call&) const = default;
};

struct Parts {
  std::string reasoning;
  std::string content;
  std::vector<Call> calls;
  std::string stop;
  std::vector<int> broken;
  bool operator==(const Parts&) const = default;
};

void PrintTo(const Parts& parts, std::ostream* out) {
  *out << "reasoning [" << parts.reasoning << "] content [" << parts.content << "]";
  for (const Call& call : parts.calls) *out << " call " << call.name << "(" << call.arguments << ")";
  if (!parts.stop.empty()) *out << " stopped by [" << parts.stop << "]";
  for (const int index : parts.broken) *out << " broken " << index;
}

void collect(AnswerParser& parser, Parts& parts) {
  for (const AnswerPiece& piece : parser.pieces()) {
    ASSERT_EQ(find_invalid_utf8(piece.text), std::string_view::npos) << "half a character went out";
    switch (piece.kind) {
      case AnswerPiece::Kind::kReasoning:
        parts.reasoning += piece.text;
        break;
      case AnswerPiece::Kind::kContent:
        parts.content += piece.text;
        break;
      case AnswerPiece::Kind::kCall:
        ASSERT_EQ(piece.index, static_cast<int>(parts.calls.size()));
        parts.calls.push_back({piece.text, {}});
        break;
      case AnswerPiece::Kind::kArguments:
        ASSERT_EQ(piece.index + 1, static_cast<int>(parts.calls.size()));
        parts.calls.back().arguments += piece.text;
        break;
    }
  }
  parser.clear_pieces();
}

Parts parse(const std::vector<std::string>& pushes, const AnswerOptions& options) {
  Parts parts;
  AnswerParser parser(options);
  for (const std::string& text : pushes) {
    parser.push(text);
    collect(parser, parts);
  }
  parser.finish();
  collect(parser, parts);
  parts.stop = parser.stopped_by();
  for (const auto& call : parser.broken_calls()) parts.broken.push_back(call.index);
  return parts;
}

AnswerOptions thinking() {
  AnswerOptions options;
  options.in_reasoning = true;
  options.calls = true;
  return options;
}
AnswerOptions answering() {
  AnswerOptions options;
  options.calls = true;
  return options;
}
AnswerOptions stopping(std::vector<std::string> stop, bool in_reasoning = false) {
  AnswerOptions options;
  options.in_reasoning = in_reasoning;
  options.calls = true;
  options.stop = std::move(stop);
  return options;
}

Parts text(std::string reasoning, std::string content) {
  return {std::move(reasoning), std::move(content), {}, {}, {}};
}

const std::string kCallF = R"(<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>)";
const Call kF = {"f", R"({"a": 1})"};

// Section 6.5 and pitfall 27: the opening tag is in the prompt; white space around both parts is dropped.
TEST(Answer, Section65UsualAnswers) {
  EXPECT_EQ(parse({"I think.\n</think>\n\nYes."}, thinking()), text("I think.", "Yes."));
  EXPECT_EQ(parse({"Yes."}, answering()), text("", "Yes."));
  EXPECT_EQ(parse({"\n\nYes.  \n"}, answering()), text("", "Yes."));
  EXPECT_EQ(parse({"a  b\n\nc"}, answering()), text("", "a  b\n\nc"));
  EXPECT_EQ(parse({""}, thinking()), text("", ""));
}

// Row 15: the budget or the token limit ends inside the thinking; nothing of it may become the answer (row
// 22).
TEST(Answer, Rows15And22AMissingEndLeavesAllInReasoning) {
  EXPECT_EQ(parse({"still thinking "}, thinking()), text("still thinking", ""));
  EXPECT_EQ(parse({"still </thi"}, thinking()), text("still </thi", ""));
}

// Row 20 and EXAONE-4.0 issue 6: with the pair closed in the prompt, all is content from the start.
TEST(Answer, Row20AClosedPromptStartsInContent) {
  EXPECT_EQ(parse({"The answer, no tags."}, answering()), text("", "The answer, no tags."));
  EXPECT_EQ(parse({"</think>\n\nThe answer."}, answering()), text("", "The answer."));
}

TEST(Answer, Section65OneSpuriousOpeningTagIsDropped) {
  EXPECT_EQ(parse({"<think>\nr</think>c"}, thinking()), text("r", "c"));
  EXPECT_EQ(parse({" \n<think>r</think>c"}, answering()), text("r", "c"));
  EXPECT_EQ(parse({"<think><think>r</think>c"}, thinking()), text("<think>r", "c"));
  EXPECT_EQ(parse({"r<think></think><think>c"}, thinking()), text("r<think>", "<think>c"));
  EXPECT_EQ(parse({"a <think> b"}, answering()), text("", "a <think> b"));
}

TEST(Answer, TextLikeTagsStaysText) {
  EXPECT_EQ(parse({"a < b </ think> <</think>>"}, thinking()), text("a < b </ think> <", ">"));
  EXPECT_EQ(parse({"x </think> y"}, answering()), text("", "x </think> y"));
  EXPECT_EQ(parse({"</thin</think>c"}, thinking()), text("</thin", "c"));
  EXPECT_EQ(parse({"a <tool_ call> b <tool_cal"}, answering()), text("", "a <tool_ call> b <tool_cal"));
  // A forced end of the thinking and the model's own behind it.
  EXPECT_EQ(parse({"r</think>\n</think>\nc"}, thinking()), text("r", "c"));
}

TEST(Answer, Section65CallsFollowText) {
  EXPECT_EQ(parse({"r\n</think>\n\nLet me look.\n" + kCallF}, thinking()),
            (Parts{"r", "Let me look.", {kF}, {}, {}}));
  EXPECT_EQ(parse({kCallF + "\n" + kCallF + "\n"}, answering()), (Parts{"", "", {kF, kF}, {}, {}}));
  EXPECT_EQ(parse({"a " + kCallF + "\nb"}, answering()), (Parts{"", "a \nb", {kF}, {}, {}}));
}

TEST(Answer, WithoutToolsATagIsText) {
  EXPECT_EQ(parse({kCallF}, AnswerOptions{}), text("", kCallF));
}

TEST(Answer, Pitfall29ArgumentsAreAnyValue) {
  const auto arguments = [](const std::string& value) {
    const Parts parts =
        parse({"<tool_call>{\"name\": \"f\", \"arguments\": " + value + "}</tool_call>"}, answering());
    return parts.calls.size() == 1 && parts.content.empty() ? parts.calls[0].arguments
                                                            : "no call: " + parts.content;
  };
  EXPECT_EQ(arguments("\"Seoul\""), "\"Seoul\"");
  EXPECT_EQ(arguments("5"), "5");
  EXPECT_EQ(arguments("-1.5e3 "), "-1.5e3");
  EXPECT_EQ(arguments("true"), "true");
  EXPECT_EQ(arguments("[1, \"나\"]"), "[1, \"나\"]");
  EXPECT_EQ(arguments("null"), "{}");
  EXPECT_EQ(arguments("{}"), "{}");
  // Section 6.1: quoted once more, as the template quotes text.
  EXPECT_EQ(arguments(R"("{\"city\": \"서울\"}")"), R"({"city": "서울"})");
  EXPECT_EQ(arguments("{ \"z\" : 1,\n \"a\": \"</tool_call>\" }"),
            "{ \"z\" : 1,\n \"a\": \"</tool_call>\" }");
}

TEST(Answer, OtherShapesOfCalls) {
  EXPECT_EQ(parse({"<tool_call>{\"name\": \"f\"}</tool_call>"}, answering()).calls,
            (std::vector<Call>{{"f", "{}"}}));
  EXPECT_EQ(
      parse({"<tool_call>\n{\"arguments\": {\"a\": 1}, \"name\": \"f\"}\n</tool_call>"}, answering()).calls,
      std::vector<Call>{kF});
  EXPECT_EQ(
      parse({"<tool_call>{\"name\": \"f\", \"parameters\": {\"a\": 1}}</tool_call>"}, answering()).calls,
      std::vector<Call>{kF});
  EXPECT_EQ(
      parse({R"(<tool_call>[{"name": "f", "arguments": {"a":1}}, {"name": "g"}]</tool_call>)"}, answering())
          .calls,
      (std::vector<Call>{{"f", R"({"a":1})"}, {"g", "{}"}}));
  EXPECT_EQ(
      parse({R"(<tool_call>{"type": "function", "function": {"name": "g"}}</tool_call>)"}, answering()).calls,
      (std::vector<Call>{{"g", "{}"}}));
  // The end of the turn stands for the end of the tag, and for the last bracket.
  EXPECT_EQ(parse({R"(<tool_call>{"name": "f", "arguments": {"a": 1}})"}, answering()).calls,
            std::vector<Call>{kF});
  EXPECT_EQ(parse({R"(<tool_call>{"name": "f", "arguments": {"a": 1}</tool_call>)"}, answering()).calls,
            std::vector<Call>{kF});
}

// Check T7 of the API: what is no call is text, tags included.
TEST(Answer, MalformedCallsAreContent) {
  for (const std::string body :
       {"", "not json", "{}", "{\"arguments\": {}}", "{\"name\": 5, \"arguments\": {}}", "{\"name\": \"\"}",
        "[]", "[1]", "\"f\"", "{'name': 'f'}", "{\"name\": \"f\", \"arguments\": {broken}}",
        "{\"name\": \"f\", \"arguments\": {\"a\": }}", "{\"name\": \"f\", \"arguments\": {\"a\": \"b}}",
        "{\"name\": \"f\", \"arguments\": {\"a\": \"line\nbreak\"}}", "{\"name\": \"f\",}",
        "{\"name\": \"f\"}}", "{\"name\": \"f\", \"arguments\": {\"a\": 01}}",
        "{\"name\": \"f\", \"arguments\": {\"a\": 1}, }"}) {
    const std::string call = "<tool_call>" + body + "</tool_call>";
    EXPECT_EQ(parse({"x " + call}, answering()), text("", "x " + call)) << body;
  }
  const std::string unfinished = "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\":";
  EXPECT_EQ(parse({unfinished}, answering()), text("", unfinished));
  // A string without an end swallows neither the end tag nor the call behind it.
  const std::string open_string = "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"b}}</tool_call>";
  EXPECT_EQ(parse({open_string + "\n" + kCallF}, answering()), (Parts{"", open_string, {kF}, {}, {}}));
}

TEST(Answer, LongArgumentsGoOutAsTheyCome) {
  const std::string long_text(2000, 'x');
  const std::string arguments = "{\"text\": \"" + long_text + "\"}";
  AnswerParser parser(answering());
  parser.push("<tool_call>{\"name\": \"write\", \"arguments\": {\"text\": \"");
  EXPECT_TRUE(parser.pieces().empty());
  parser.push(long_text);
  Parts parts;
  collect(parser, parts);
  ASSERT_EQ(parts.calls.size(), 1u);
  EXPECT_EQ(parts.calls[0].arguments, arguments.substr(0, arguments.size() - 2));
  parser.push("\"}}</tool_call>");
  collect(parser, parts);
  parser.finish();
  collect(parser, parts);
  EXPECT_EQ(parts.calls, (std::vector<Call>{{"write", arguments}}));
  EXPECT_TRUE(parser.broken_calls().empty());
}

// Row 40: a call cut by the token limit.
TEST(Answer, ALongCallThatIsCutShortIsBroken) {
  const std::string begun =
      "<tool_call>{\"name\": \"write\", \"arguments\": {\"text\": \"" + std::string(500, 'x');
  AnswerParser parser(answering());
  parser.push(kCallF + begun);
  parser.finish();
  ASSERT_EQ(parser.broken_calls().size(), 1u);
  EXPECT_EQ(parser.broken_calls()[0].index, 1);
  EXPECT_EQ(parser.broken_calls()[0].text, begun);
}

// Row 23 against section 6.5: tags inside reasoning are thoughts, unless the turn ends with them.
TEST(Answer, Row23CallsInsideReasoning) {
  EXPECT_EQ(parse({"I call it. " + kCallF}, thinking()), (Parts{"I call it.", "", {kF}, {}, {}}));
  EXPECT_EQ(parse({"r\n" + kCallF + "\n" + kCallF + " \n"}, thinking()), (Parts{"r", "", {kF, kF}, {}, {}}));
  EXPECT_EQ(parse({"r " + kCallF + "\n</think>\n\n"}, thinking()), (Parts{"r", "", {kF}, {}, {}}));
  EXPECT_EQ(parse({"r " + kCallF + " or not?\n</think>\n\nNo."}, thinking()),
            text("r " + kCallF + " or not?", "No."));
  EXPECT_EQ(parse({"r " + kCallF + "\n</think>\n\nNo."}, thinking()), text("r " + kCallF, "No."));
  EXPECT_EQ(parse({"r " + kCallF + "\n</think>\n\n" + kCallF}, thinking()),
            (Parts{"r " + kCallF, "", {kF}, {}, {}}));
  EXPECT_EQ(parse({"the <tool_call> tag </think> c"}, thinking()), text("the <tool_call> tag", "c"));
  EXPECT_EQ(parse({"<tool_call></think>c"}, thinking()), text("<tool_call>", "c"));
  EXPECT_EQ(parse({"a <tool_call>{\"name\": </think> c"}, thinking()), text("a <tool_call>{\"name\":", "c"));
  EXPECT_EQ(parse({"a <tool_call> " + kCallF}, thinking()), (Parts{"a <tool_call>", "", {kF}, {}, {}}));
}

TEST(Answer, Row23StopTextsActOnContentOnly) {
  EXPECT_EQ(parse({"a STOP b</think>c STOP d"}, stopping({"STOP"}, true)),
            (Parts{"a STOP b", "c", {}, "STOP", {}}));
  EXPECT_EQ(parse({"a\n\nb"}, stopping({"\n\n"})), (Parts{"", "a", {}, "\n\n", {}}));
  EXPECT_EQ(parse({"r</think>\n\na\n\nb"}, stopping({"\n\n"}, true)), (Parts{"r", "a", {}, "\n\n", {}}));
  EXPECT_EQ(parse({"aab"}, stopping({"ab"})), (Parts{"", "a", {}, "ab", {}}));
  EXPECT_EQ(parse({"ababac!"}, stopping({"abac"})), (Parts{"", "ab", {}, "abac", {}}));
  EXPECT_EQ(parse({"xabcy"}, stopping({"abcd", "bc"})), (Parts{"", "xa", {}, "bc", {}}));
  EXPECT_EQ(parse({"한국 ST"}, stopping({"STOP"})), text("", "한국 ST"));
  EXPECT_EQ(parse({"서울은 끝 아니다"}, stopping({"끝"})), (Parts{"", "서울은", {}, "끝", {}}));
  const std::string call = R"(<tool_call>{"name": "f", "arguments": {"a": "STOP"}}</tool_call>)";
  EXPECT_EQ(parse({call}, stopping({"STOP"})), (Parts{"", "", {{"f", R"({"a": "STOP"})"}}, {}, {}}));
}

TEST(Answer, NothingOfAStopTextGoesOutEarly) {
  AnswerParser parser(stopping({"END OF TEXT"}));
  parser.push("a END OF");
  ASSERT_EQ(parser.pieces().size(), 1u);
  EXPECT_EQ(parser.pieces()[0].text, "a");
  parser.push(" TEXT b");
  EXPECT_EQ(parser.pieces().size(), 1u);
  EXPECT_EQ(parser.stopped_by(), "END OF TEXT");
}

TEST(Answer, Row51HalfACharacterNeverGoesOut) {
  const std::string korean = "값은 한글 🙂";
  AnswerParser parser(answering());
  Parts parts;
  for (const char c : korean) {
    parser.push({&c, 1});
    collect(parser, parts);
  }
  parser.finish();
  collect(parser, parts);
  EXPECT_EQ(parts.content, korean);
  EXPECT_EQ(parse({"a\xed\x95"}, answering()), text("", "a\xef\xbf\xbd"));
}

TEST(Answer, VerbatimTextIsAllContent) {
  AnswerOptions options = stopping({"!"});
  options.verbatim = true;
  EXPECT_EQ(parse({" <think>a</think> " + kCallF + "\n"}, options),
            text("", " <think>a</think> " + kCallF + "\n"));
  EXPECT_EQ(parse({" a ! b"}, options), (Parts{"", " a ", {}, "!", {}}));
}

TEST(Answer, WhatContinuesKeepsItsSpace) {
  AnswerOptions options;
  options.continues_content = true;
  EXPECT_EQ(parse({" world</think>"}, options), text("", " world</think>"));
}

TEST(Answer, SaysWhereItStands) {
  AnswerParser parser(thinking());
  parser.push("r </thi");
  EXPECT_TRUE(parser.in_reasoning());
  EXPECT_EQ(parser.pieces().at(0).text, "r");
  parser.push("nk>\n");
  EXPECT_FALSE(parser.in_reasoning());
}

std::string generated(std::mt19937& generator) {
  static const std::vector<std::string> pieces = {
      "<think>",
      "</think>",
      "<tool_call>",
      "</tool_call>",
      kCallF,
      "<",
      "/",
      "think",
      ">",
      " ",
      "\n",
      "한",
      "🙂",
      "a",
      "</",
      "<th",
      "\t",
      "{\"name\": \"f\"",
      ", \"arguments\": ",
      "{\"a\": ",
      "}",
      "]",
      "[",
      "\"",
      "\\\"",
      "\\u00e9",
      "12",
      "true",
      "{\"name\": \"g\", \"arguments\": \"x\"}",
      "STOP",
      "ST",
      std::string(140, 'y'),
      "{\"name\": \"w\", \"arguments\": {\"t\": \"" + std::string(130, 'z'),
      "\"}}"};
  std::string text;
  for (std::size_t n = generator() % 14; n > 0; --n) text += pieces[generator() % pieces.size()];
  return text;
}

// Every way to cut an answer gives what the whole text gives.
TEST(Answer, EveryCutEqualsTheWhole) {
  std::mt19937 generator(17);
  int cuts = 0;
  while (cuts < kCuts) {
    const std::string whole_text = generated(generator);
    AnswerOptions options;
    options.in_reasoning = generator() % 2 == 0;
    options.calls = generator() % 4 != 0;
    options.continues_content = !options.in_reasoning && generator() % 8 == 0;
    options.verbatim = generator() % 16 == 0;
    if (generator() % 2 == 0) options.stop = {"STOP", "\n\n", "한a"};
    const Parts whole = parse({whole_text}, options);
    std::vector<std::string> bytes;
    for (const char c : whole_text) bytes.emplace_back(1, c);
    ASSERT_EQ(parse(bytes, options), whole) << whole_text;
    for (int round = 0; round < 20; ++round) {
      std::vector<std::string> pushes;
      for (std::size_t at = 0; at < whole_text.size();) {
        const std::size_t n = 1 + generator() % (round % 2 == 0 ? 8 : 60);
        pushes.push_back(whole_text.substr(at, n));
        at += n;
        ++cuts;
      }
      ++cuts;
      ASSERT_EQ(parse(pushes, options), whole) << whole_text;
    }
    for (const Call& call : whole.calls) ASSERT_FALSE(call.name.empty());
  }
}

// Nothing that a model writes is lost: what is no tag and no call comes out.
TEST(Answer, TextWithoutTagsIsKept) {
  std::mt19937 generator(3);
  for (int round = 0; round < 2000; ++round) {
    std::string words;
    for (std::size_t n = generator() % 30; n > 0; --n)
      words += std::vector<std::string>{"a", "나", "<", "{", "\"", "/", "t"}[generator() % 7];
    ASSERT_EQ(parse({words}, answering()).content, words);
  }
}

// EXAONE Deep writes other tags; those of the others are text to it, and its are text to them.
TEST(Answer, TheModelsOwnTagsEndItsThoughts) {
  const std::string text = "so </think> it is\n</thought>\n\nThe <thought>answer";
  AnswerOptions deep;
  deep.thinking = kThoughtTags;
  deep.in_reasoning = true;
  Parts expected;
  expected.reasoning = "so </think> it is";
  expected.content = "The <thought>answer";
  EXPECT_EQ(parse({text}, deep), expected);
  std::vector<std::string> letters;
  for (const char c : text) letters.emplace_back(1, c);
  EXPECT_EQ(parse(letters, deep), expected);
  deep.in_reasoning = false;
  expected = {};
  expected.reasoning = "why";
  expected.content = "x";
  EXPECT_EQ(parse({"<thought>\nwhy</thought>x"}, deep), expected);
  expected = {};
  expected.content = "<thought>why</thought>x";
  EXPECT_EQ(parse({"<thought>why</thought>x"}, {}), expected);
}

}  // namespace
}  // namespace exa
