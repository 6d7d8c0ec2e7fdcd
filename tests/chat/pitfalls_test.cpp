// One test a pitfall of prompts, by the number it has in the models specification (section 8, 6.6) and in the
// product specification's list of complaints; those about answers stand in answer_test.cpp.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "base/error.h"
#include "chat/prompt.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::vector<Message> messages_of(const Json& json) {
  return read_messages(json.dump(), {});
}

struct Model {
  explicit Model(const std::string& name)
      : folder(fs::path(EXAONE_SOURCE_DIR) / "tests/data/models" / name),
        tokenizer(Tokenizer::from_json_file(folder / "tokenizer.json")),
        prompts(tokenizer, Template::parse(template_text())) {}
  std::string template_text() const {
    std::ifstream file(folder / "chat_template.jinja", std::ios::binary);
    std::stringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
  }
  std::string text(const Json& messages, Thinking thinking = Thinking::kAuto,
                   const Json& tools = nullptr) const {
    return prompts.chat(messages_of(messages), tools, thinking).text;
  }
  fs::path folder;
  Tokenizer tokenizer;
  PromptBuilder prompts;
};

const Model& exaone_4_0() {
  static const Model model("tiny-exaone4");
  return model;
}
const Model& exaone_4_5() {
  static const Model model("tiny-exaone4_5");
  return model;
}

Json user(const std::string& text) {
  return {{"role", "user"}, {"content", text}};
}
Json assistant(const std::string& text) {
  return {{"role", "assistant"}, {"content", text}};
}

// Row 1, section 6.6 (llama.cpp 14630), pitfall 25: nobody switches 4.0's thinking on unasked.
TEST(Pitfalls, Pitfall25ThinkingFollowsTheCard) {
  const Json talk = Json::array({user("Hi")});
  EXPECT_FALSE(exaone_4_0().prompts.chat(messages_of(talk), nullptr, Thinking::kAuto).opens_reasoning);
  EXPECT_TRUE(exaone_4_5().prompts.chat(messages_of(talk), nullptr, Thinking::kAuto).opens_reasoning);
}

// Row 20: off is off, and the parser starts behind the closed pair.
TEST(Pitfalls, Row20OffIsNotIgnored) {
  const Json talk = Json::array({user("Hi")});
  for (const Model* model : {&exaone_4_0(), &exaone_4_5()}) {
    const Prompt off = model->prompts.chat(messages_of(talk), nullptr, Thinking::kOff);
    EXPECT_TRUE(off.text.ends_with("<think>\n\n</think>\n\n"));
    EXPECT_FALSE(off.opens_reasoning);
    const Prompt by_name = model->prompts.chat(messages_of(talk), nullptr, Thinking::kAuto, {{"enable_thinking", false}});
    EXPECT_EQ(by_name.text, off.text);
  }
}

// Row 6, row 21: what other servers' clients send is ignored, not refused.
TEST(Pitfalls, Row21UnknownTemplateArgumentsAreIgnored) {
  const Json talk = Json::array({user("Hi")});
  const Json unknown = {
      {"thinking", true}, {"preserve_thinking", true}, {"reasoning_effort", "none"}, {"x", {1, 2}}};
  for (const Model* model : {&exaone_4_0(), &exaone_4_5()}) {
    EXPECT_EQ(model->prompts.chat(messages_of(talk), nullptr, Thinking::kAuto, unknown).text, model->text(talk));
  }
}

// Row 24: all three names of the reasoning are read.
TEST(Pitfalls, Row24ReasoningHasManyNames) {
  for (const char* name : {"reasoning_content", "reasoning", "thinking"}) {
    Json call = {{"role", "assistant"}, {"content", ""}, {name, "because"}};
    call["tool_calls"] = Json::array({{{"id", "c"}, {"function", {{"name", "f"}, {"arguments", "{}"}}}}});
    const Json talk =
        Json::array({user("q"), call, {{"role", "tool"}, {"tool_call_id", "c"}, {"content", "r"}}});
    EXPECT_NE(exaone_4_5().text(talk).find("<think>\nbecause\n</think>"), std::string::npos) << name;
  }
}

// Section 6.6, LM Studio: templates of the family slice lists and call methods of strings.
TEST(Pitfalls, Section66SlicesAndMethodsOfTemplates) {
  const Template reversed = Template::parse(
      "{% for m in messages[::-1] %}{{ m.content.split('</think>')[-1].lstrip('\\n').strip() }};{% endfor %}"
      "{{ messages[1:] | length }}{{ messages[0].content.startswith('a') }}");
  const Json variables = {{"messages", Json::array({user("a"), assistant("r</think>\n\n b ")})}};
  EXPECT_EQ(reversed.render(variables).text, "b;a;1True");
}

// Section 6.6, EXAONE-4.0 issue 3 and llama.cpp's built-in templates (no newline behind the role, no end of
// the user's turn, no thoughts): the only template is the model's own, to the byte.
TEST(Pitfalls, Section66NoBuiltInTemplate) {
  const Json talk = Json::array({user("Hi")});
  EXPECT_EQ(exaone_4_0().text(talk), "[|user|]\nHi[|endofturn|]\n[|assistant|]\n<think>\n\n</think>\n\n");
  EXPECT_EQ(exaone_4_0().text(talk, Thinking::kOn), "[|user|]\nHi[|endofturn|]\n[|assistant|]\n<think>\n");
  EXPECT_EQ(exaone_4_5().text(talk), "<|user|>\nHi<|endofturn|>\n<|assistant|>\n<think>\n");
  const PromptBuilder other(exaone_4_0().tokenizer,
                            Template::parse("{% for m in messages %}{{ m.content }}!{% endfor %}"));
  EXPECT_EQ(other.chat(messages_of(talk), nullptr, Thinking::kAuto).text, "Hi!");
}

// Section 6.5: the results of calls stand in a turn of their own, and a new thought begins behind them.
TEST(Pitfalls, Section65ResultsOpenANewTurn) {
  Json call = {{"role", "assistant"}, {"content", ""}};
  call["tool_calls"] = Json::array({{{"id", "c"}, {"function", {{"name", "f"}, {"arguments", "{}"}}}}});
  const Json talk =
      Json::array({user("q"), call, {{"role", "tool"}, {"tool_call_id", "c"}, {"content", "r"}}});
  for (const Model* model : {&exaone_4_0(), &exaone_4_5()}) {
    const Prompt thinking = model->prompts.chat(messages_of(talk), nullptr, Thinking::kOn);
    const std::size_t result = thinking.text.find("<tool_result>");
    ASSERT_NE(result, std::string::npos);
    EXPECT_GT(result, thinking.text.find("</tool_call>"));
    EXPECT_TRUE(thinking.text.ends_with("<think>\n"));
    EXPECT_TRUE(thinking.opens_reasoning);
    EXPECT_FALSE(model->prompts.chat(messages_of(talk), nullptr, Thinking::kOff).opens_reasoning);
  }
}

// Section 6.5: tags are single tokens, and text where control tokens are hidden.
TEST(Pitfalls, Section65TagsAreNoControlTokens) {
  for (const Model* model : {&exaone_4_0(), &exaone_4_5()}) {
    for (const char* tag : {"<think>", "</think>", "<tool_call>", "</tool_call>"}) {
      const auto id = model->tokenizer.find(tag);
      ASSERT_TRUE(id) << tag;
      EXPECT_EQ(model->tokenizer.kind(*id), TokenKind::kUserDefined) << tag;
    }
  }
}

// Row 25: history comes back without its reasoning; it is a conversation like any other.
TEST(Pitfalls, Row25HistoryWithoutReasoning) {
  const Json talk = Json::array({user("a"), assistant("b"), user("c")});
  for (const Model* model : {&exaone_4_0(), &exaone_4_5()}) {
    EXPECT_NE(model->text(talk).find("<think>\n\n</think>\n\nb"), std::string::npos);
  }
}

// Row 27: what was read and written without thinking is the front of the next prompt, token for token.
TEST(Pitfalls, Row27TheNextPromptBeginsWithThisOne) {
  for (const Model* model : {&exaone_4_0(), &exaone_4_5()}) {
    const std::string first = model->text(Json::array({user("a")}), Thinking::kOff);
    const std::string second =
        model->text(Json::array({user("a"), assistant("b"), user("c")}), Thinking::kOff);
    EXPECT_TRUE(second.starts_with(first + "b")) << second;
  }
}

// Pitfall 26 and row 5: trim_blocks and lstrip_blocks, JSON as Python's json.dumps writes it.
TEST(Pitfalls, Pitfall26WhitespaceAndJson) {
  const Json tools =
      Json::array({{{"type", "function"}, {"function", {{"name", "f"}, {"description", "<서울> & 'x'"}}}}});
  for (const Model* model : {&exaone_4_0(), &exaone_4_5()}) {
    const std::string text = model->text(Json::array({user("Hi")}), Thinking::kAuto, tools);
    EXPECT_NE(text[0], '\n');
    EXPECT_NE(text.find(R"({"type": "function", "function": {"name": "f", "description": "<서울> & 'x'"}})"),
              std::string::npos);
  }
}

// Pitfall 28: arguments that are text are not quoted again.
TEST(Pitfalls, Pitfall28ArgumentsAreQuotedOnce) {
  Json call = {{"role", "assistant"}, {"content", nullptr}};
  call["tool_calls"] =
      Json::array({{{"id", "c"}, {"function", {{"name", "f"}, {"arguments", "{\"city\": \"서울\"}"}}}}});
  for (const Model* model : {&exaone_4_0(), &exaone_4_5()}) {
    EXPECT_NE(model->text(Json::array({user("q"), call})).find(R"("arguments": {"city": "서울"}})"),
              std::string::npos);
  }
}

// A message that goes on: behind its text, with nothing in between.
TEST(Pitfalls, AnUnfinishedMessageGoesOnWhereItStopped) {
  for (const Model* model : {&exaone_4_0(), &exaone_4_5()}) {
    for (const Thinking thinking : {Thinking::kOn, Thinking::kOff}) {
      const Json talk = Json::array({user("a"), assistant("The answer [|endofturn|] is")});
      const Prompt prompt = model->prompts.chat(messages_of(talk), nullptr, thinking, Json::object(), true);
      EXPECT_TRUE(prompt.text.ends_with("</think>\n\nThe answer [|endofturn|] is")) << prompt.text;
      EXPECT_TRUE(prompt.continues_content);
      EXPECT_FALSE(prompt.opens_reasoning);
      EXPECT_FALSE(model->tokenizer.ends_generation(prompt.ids.back()));
    }
    Json thought = {{"role", "assistant"}, {"content", ""}, {"reasoning_content", "First,"}};
    const Prompt prompt =
        model->prompts.chat(messages_of(Json::array({user("a"), thought})), nullptr, Thinking::kOn, Json::object(), true);
    EXPECT_TRUE(prompt.text.ends_with("<think>\nFirst,"));
    EXPECT_TRUE(prompt.opens_reasoning);
    EXPECT_THROW(model->prompts.chat(messages_of(Json::array({user("a")})), nullptr, Thinking::kOn, Json::object(), true),
                 Error);
    EXPECT_THROW(model->prompts.chat(messages_of(Json::array()), nullptr, Thinking::kOn, Json::object(), true), Error);
  }
}

}  // namespace
}  // namespace exa
