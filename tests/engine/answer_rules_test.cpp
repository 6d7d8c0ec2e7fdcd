// What a request says about its answer (budget, stop texts, tools, an unfinished message) against a tiny
// model.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "engine/tiny_models.h"
#include "exaone/engine.h"

namespace exa {
namespace {

Engine& engine_of(const std::string& name) {
  static std::map<std::string, std::unique_ptr<Engine>> engines;
  auto& engine = engines[name];
  if (!engine) {
    EngineOptions options;
    options.model = tiny_model(name);
    options.n_threads = 2;
    options.context_tokens = 1024;
    engine = Engine::load(options);
  }
  return *engine;
}

GenerateRequest question(const std::string& text, std::int64_t max_tokens, double temperature = 1) {
  GenerateRequest request;
  request.messages = {{"user", text}};
  request.max_tokens = max_tokens;
  request.sampling.temperature = temperature;
  request.sampling.presence_penalty = 0;
  request.sampling.seed = 11;
  return request;
}

Error failure(Engine& engine, const GenerateRequest& request) {
  try {
    engine.generate(request, {});
  } catch (const Error& error) {
    return error;
  }
  return {ErrorKind::kInternal, "nothing was thrown"};
}

// Row 15: the thinking is closed where its budget is spent, and the answer follows.
TEST(AnswerRules, Row15TheBudgetEndsTheThinking) {
  for (const std::string name : {"tiny-exaone4", "tiny-exaone4_5"}) {
    GenerateRequest request = question("왜?", 120);
    request.think = Think::kOn;
    request.reasoning_budget = 8;
    request.reasoning_budget_message = "Enough thought.";
    request.sampling.logit_bias = bias_against_ends(tiny_model(name));
    const Answer answer = engine_of(name).generate(request, {});
    EXPECT_TRUE(answer.reasoning.ends_with("Enough thought.")) << answer.reasoning;
    EXPECT_GE(answer.usage.reasoning_tokens, 8);
    EXPECT_LT(answer.usage.reasoning_tokens, 60);
    EXPECT_FALSE(answer.content.empty());

    request.reasoning_budget_message.clear();
    const Answer silent = engine_of(name).generate(request, {});
    EXPECT_EQ(silent.reasoning.find("Enough"), std::string::npos);
    EXPECT_FALSE(silent.content.empty());
  }
}

TEST(AnswerRules, ABudgetOfNothingIsNoThinking) {
  GenerateRequest request = question("왜?", 10);
  request.think = Think::kOn;
  request.reasoning_budget = 0;
  const Answer none = engine_of("tiny-exaone4_5").generate(request, {});
  EXPECT_EQ(none.reasoning, "");
  EXPECT_EQ(none.usage.reasoning_tokens, 0);
  request.reasoning_budget.reset();
  request.think = Think::kOff;
  const Answer off = engine_of("tiny-exaone4_5").generate(request, {});
  EXPECT_EQ(none.usage.prompt_tokens, off.usage.prompt_tokens);
  EXPECT_EQ(none.content, off.content);
}

TEST(AnswerRules, AStopTextEndsTheAnswer) {
  GenerateRequest request = question("Hello", 60);
  request.think = Think::kOff;
  Engine& engine = engine_of("tiny-exaone4");
  const std::string whole = engine.generate(request, {}).content;
  ASSERT_GT(whole.size(), 20u);
  std::size_t middle = whole.size() / 2;
  while ((static_cast<unsigned char>(whole[middle]) & 0xc0) == 0x80) ++middle;
  std::size_t end = middle + 1;
  while (end < whole.size() && (static_cast<unsigned char>(whole[end]) & 0xc0) == 0x80) ++end;
  const std::string stop = whole.substr(middle, end - middle);
  request.stop = {stop};
  std::string streamed;
  const Answer answer = engine.generate(request, [&](const Event& event) {
    if (event.kind == Event::Kind::kContent) streamed += event.text;
  });
  EXPECT_EQ(answer.reason, FinishReason::kStop);
  EXPECT_EQ(answer.stop, stop);
  EXPECT_EQ(answer.content.find(stop), std::string::npos);
  EXPECT_TRUE(whole.starts_with(answer.content));
  EXPECT_EQ(streamed, answer.content);
}

constexpr const char* kTools =
    R"([{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}])";

TEST(AnswerRules, ToolsAreShownUnlessTheChoiceIsNone) {
  Engine& engine = engine_of("tiny-exaone4_5");
  GenerateRequest request = question("Hello", 1);
  const std::int64_t without = engine.generate(request, {}).usage.prompt_tokens;
  request.tools = kTools;
  EXPECT_GT(engine.generate(request, {}).usage.prompt_tokens, without + 10);
  request.tool_choice.kind = ToolChoice::Kind::kNone;
  EXPECT_EQ(engine.generate(request, {}).usage.prompt_tokens, without);
}

constexpr const char* kCityTools = R"([
    {"type": "function", "function": {"name": "get_weather", "strict": true, "parameters": {"type": "object",
      "properties": {"city": {"enum": ["서울", "Busan"]}}, "required": ["city"], "additionalProperties": false}}},
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {},
      "additionalProperties": false}}}])";

TEST(AnswerRules, ARequiredCallIsMade) {
  for (const std::string name : {"tiny-exaone4", "tiny-exaone4_5"}) {
    for (const bool thinking : {false, true}) {
      GenerateRequest request = question("Hello", 200);
      request.think = thinking ? Think::kOn : Think::kOff;
      request.reasoning_budget = thinking ? 5 : 0;
      request.tools = kCityTools;
      request.tool_choice = {ToolChoice::Kind::kNamed, "get_weather"};
      request.parallel_tool_calls = false;
      const Answer named = engine_of(name).generate(request, {});
      ASSERT_EQ(named.reason, FinishReason::kStop) << named.content;
      ASSERT_EQ(named.tool_calls.size(), 1u) << named.content;
      EXPECT_EQ(named.tool_calls[0].name, "get_weather");
      EXPECT_NE(named.tool_calls[0].arguments.find("\"city\""), std::string::npos);
      EXPECT_TRUE(named.tool_calls[0].id.starts_with("call_"));
      EXPECT_EQ(named.content, "");
      request.tool_choice = {ToolChoice::Kind::kRequired, ""};
      const Answer required = engine_of(name).generate(request, {});
      ASSERT_EQ(required.tool_calls.size(), 1u) << required.content;
    }
  }
}

// Row 26: the thinking is free, the answer is not; a forced end of the thinking is no part of the grammar.
TEST(AnswerRules, Row26ASchemaBindsTheAnswerOnly) {
  for (const std::string name : {"tiny-exaone4", "tiny-exaone4_5"}) {
    for (const std::int64_t budget : {0, 7, 100000}) {
      GenerateRequest request = question("Hello", 300);
      request.think = Think::kOn;
      request.reasoning_budget = budget;
      request.reasoning_budget_message = "Enough.";
      request.constraint = {
          Constraint::Kind::kJsonSchema,
          R"({"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"],
              "additionalProperties": false})",
          {}};
      for (std::uint64_t seed = 0; seed < 5; ++seed) {
        request.sampling.seed = seed;
        const Answer answer = engine_of(name).generate(request, {});
        // Without a budget the token limit may come first.
        if (budget > 100 && answer.reason == FinishReason::kLength) continue;
        EXPECT_EQ(answer.reason, FinishReason::kStop);
        EXPECT_EQ(answer.content.find_first_not_of(" \n\t{}\":yestruefalse"), std::string::npos)
            << answer.content;
        EXPECT_TRUE(answer.content.starts_with('{') && answer.content.ends_with('}')) << answer.content;
      }
    }
  }
}

TEST(AnswerRules, GrammarsAndChoicesBindTheAnswer) {
  Engine& engine = engine_of("tiny-exaone4");
  GenerateRequest request = question("Hello", 100);
  request.constraint = {Constraint::Kind::kChoice, {}, {"서울", "부산"}};
  const Answer choice = engine.generate(request, {});
  EXPECT_TRUE(choice.content == "서울" || choice.content == "부산") << choice.content;
  request.constraint = {Constraint::Kind::kRegex, "[0-9]{4}", {}};
  EXPECT_EQ(engine.generate(request, {}).content.size(), 4u);
  request.constraint = {Constraint::Kind::kGbnf, "root ::= \"가\" [a-c] \"!\"", {}};
  EXPECT_TRUE(engine.generate(request, {}).content.starts_with("가"));
  request.tools = kTools;
  EXPECT_EQ(failure(engine, request).kind(), ErrorKind::kUsage);
  request.tools.clear();
  request.constraint = {Constraint::Kind::kJsonSchema, "{", {}};
  EXPECT_EQ(failure(engine, request).kind(), ErrorKind::kBadInput);
}

TEST(AnswerRules, ToolsThatAreNoneAreRefused) {
  Engine& engine = engine_of("tiny-exaone4");
  GenerateRequest request = question("Hello", 1);
  for (const char* tools :
       {"{", "5", "{}", "[5]", "[{\"type\": \"function\"}]", "[{\"function\": {\"name\": 5}}]"}) {
    request.tools = tools;
    EXPECT_EQ(failure(engine, request).kind(), ErrorKind::kBadInput) << tools;
  }
  request.tools = kTools;
  request.tool_choice = {ToolChoice::Kind::kNamed, "other"};
  EXPECT_EQ(failure(engine, request).where(), "tool_choice");
  request.tools = "[]";
  request.tool_choice.kind = ToolChoice::Kind::kRequired;
  EXPECT_EQ(failure(engine, request).where(), "tool_choice");
  request.tool_choice.kind = ToolChoice::Kind::kAuto;
  EXPECT_EQ(engine.generate(request, {}).usage.completion_tokens, 1);
}

TEST(AnswerRules, ConversationsWithToolsAreRendered) {
  for (const std::string name : {"tiny-exaone4", "tiny-exaone4_5"}) {
    GenerateRequest request = question("날씨?", 1);
    Message call("assistant", "");
    call.reasoning = "let me see";
    call.tool_calls = {{"a", "get_weather", R"({"city": "서울"})"}, {"b", "get_weather", "\"Busan\""}};
    request.messages.push_back(call);
    for (const char* id : {"b", "a"}) {
      Message result("tool", std::string("of ") + id);
      result.tool_call_id = id;
      request.messages.push_back(result);
    }
    request.tools = kTools;
    EXPECT_GT(engine_of(name).generate(request, {}).usage.prompt_tokens, 50);
    request.messages.back().tool_call_id = "c";
    EXPECT_EQ(failure(engine_of(name), request).kind(), ErrorKind::kBadInput);
  }
}

TEST(AnswerRules, MessagesThatCannotBeAreRefused) {
  Engine& engine = engine_of("tiny-exaone4");
  GenerateRequest request = question("Hello", 1);
  request.messages[0].tool_calls = {{"a", "f", "{}"}};
  EXPECT_EQ(failure(engine, request).where(), "messages[0].tool_calls");
  request = question("Hello", 1);
  request.messages[0].content.emplace_back().image =
      std::make_shared<const std::string>("bytes of a picture");
  EXPECT_EQ(failure(engine, request).where(), "messages[0].content");
  request = question("Hello", 1);
  request.template_arguments = "[1]";
  EXPECT_EQ(failure(engine, request).kind(), ErrorKind::kBadInput);
  request.template_arguments = R"({"preserve_thinking": true, "unknown": [1]})";
  EXPECT_EQ(engine.generate(request, {}).usage.completion_tokens, 1) << "unknown arguments are ignored";
  request.stop = {""};
  EXPECT_EQ(failure(engine, request).kind(), ErrorKind::kUsage);
  request.stop.clear();
  request.reasoning_budget = -1;
  EXPECT_EQ(failure(engine, request).kind(), ErrorKind::kUsage);
}

TEST(AnswerRules, AnUnfinishedMessageGoesOn) {
  Engine& engine = engine_of("tiny-exaone4");
  GenerateRequest request = question("Hello", 40);
  request.think = Think::kOff;
  const Answer whole = engine.generate(request, {});
  GenerateRequest half = question("Hello", 4);
  half.think = Think::kOff;
  half.messages.push_back({"assistant", "The answer is"});
  half.continue_final_message = true;
  const Answer rest = engine.generate(half, {});
  EXPECT_GT(rest.usage.prompt_tokens, whole.usage.prompt_tokens);
  EXPECT_EQ(rest.reasoning, "");
  half.messages.pop_back();
  EXPECT_EQ(failure(engine, half).kind(), ErrorKind::kBadInput);
}

TEST(AnswerRules, TheSecondTurnReadsOnlyWhatIsNew) {
  Engine& engine = engine_of("tiny-exaone4");
  GenerateRequest request = question("서울은 어떤 도시인가요?", 20, 0);
  request.think = Think::kOff;
  const Answer first = engine.generate(request, {});
  request.messages.push_back({"assistant", first.content});
  request.messages.push_back({"user", "더 말해 줘."});
  const Answer second = engine.generate(request, {});
  EXPECT_GE(second.usage.cached_tokens, first.usage.prompt_tokens);
}

}  // namespace
}  // namespace exa
