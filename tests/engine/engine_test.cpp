#include "exaone/engine.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine_under_test.h"
#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "kernels/isa/matmul.h"
#include "text/tokenizer.h"

namespace exa {
namespace {


TEST(Engine, SaysWhatItLoaded) {
  const auto engine = load("tiny-exaone4", 2, 0);
  const ModelInfo& info = engine->info();
  EXPECT_FALSE(info.name.empty());
  EXPECT_EQ(info.architecture, "exaone4");
  EXPECT_EQ(info.context_tokens, info.max_context_tokens);
  EXPECT_GT(info.weight_bytes, 0);
  EXPECT_GT(info.kv_bytes_at_context, 0);
  EXPECT_EQ(info.n_threads, 2);
  EXPECT_FALSE(info.isa.empty());
  EXPECT_TRUE(info.can_chat);
}

TEST(Engine, ThinkingAndSamplingDefaultsFollowTheGeneration) {
  const auto engine = load("tiny-exaone4");
  EXPECT_FALSE(engine->info().thinks_by_default);
  EXPECT_EQ(engine->defaults(false).temperature, 0.0);
  EXPECT_EQ(engine->defaults(true).temperature, 0.6);
  EXPECT_EQ(engine->defaults(true).top_p, 0.95);
  const auto later = load("tiny-exaone4_5");
  EXPECT_TRUE(later->info().thinks_by_default);
  EXPECT_EQ(later->defaults(true).temperature, 1.0);
  EXPECT_EQ(later->defaults(false).presence_penalty, 1.5);
}

TEST(Engine, LoadingTellsHowFarItIs) {
  EngineOptions options;
  options.model = tiny_model("tiny-exaone4");
  std::vector<double> seen;
  options.on_load = [&](double fraction) { seen.push_back(fraction); };
  Engine::load(options);
  ASSERT_FALSE(seen.empty());
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_GE(seen.front(), 0.0);
  EXPECT_DOUBLE_EQ(seen.back(), 1.0);
}

TEST(Engine, EventsAddUpToTheAnswer) {
  for (const std::string name : {"tiny-exaone4", "tiny-exaone4_5"}) {
    const auto engine = load(name);
    GenerateRequest request = question("무엇을 할 수 있어요?", 30, 1.0);
    request.think = Think::kOn;
    std::string reasoning, content;
    std::int64_t prefilled = 0;
    int finished = 0;
    Usage last;
    const Answer answer = engine->generate(request, [&](const Event& event) {
      ASSERT_EQ(finished, 0) << "an event after the last";
      switch (event.kind) {
        case Event::Kind::kPrefill:
          EXPECT_GT(event.prefilled_tokens, prefilled);
          EXPECT_TRUE(reasoning.empty() && content.empty());
          prefilled = event.prefilled_tokens;
          break;
        case Event::Kind::kReasoning:
          reasoning += event.text;
          break;
        case Event::Kind::kContent:
          content += event.text;
          break;
        case Event::Kind::kToolCall:
        case Event::Kind::kArguments:
          ADD_FAILURE() << "a call without tools";
          break;
        case Event::Kind::kFinished:
          ++finished;
          last = event.usage;
          break;
      }
    });
    EXPECT_EQ(finished, 1);
    EXPECT_EQ(reasoning, answer.reasoning);
    EXPECT_EQ(content, answer.content);
    EXPECT_EQ(prefilled, answer.usage.prompt_tokens);
    EXPECT_EQ(last.completion_tokens, answer.usage.completion_tokens);
    EXPECT_GT(answer.usage.prefill_seconds, 0);
    EXPECT_GT(answer.usage.decode_seconds, 0);
    EXPECT_LE(answer.usage.reasoning_tokens, answer.usage.completion_tokens);
    EXPECT_GT(answer.usage.reasoning_tokens, 0);
  }
}

TEST(Engine, TheTokenLimitIsKept) {
  const auto engine = load("tiny-exaone4");
  const Answer answer = engine->generate(question("Hi", 3), {});
  if (answer.reason == FinishReason::kLength) {
    EXPECT_EQ(answer.usage.completion_tokens, 3);
  } else {
    EXPECT_LE(answer.usage.completion_tokens, 3);
  }
  EXPECT_EQ(engine->generate(question("Hi", 1), {}).usage.completion_tokens, 1);
}

TEST(Engine, TheSameRequestTwiceIsTheSameAnswerFromTheCache) {
  for (const std::string name :
       {"tiny-exaone4", "tiny-exaone4-hybrid", "tiny-exaone4_5", "tiny-exaone3", "tiny-exaone3-deep"}) {
    const auto engine = load(name);
    for (const double temperature : {0.0, 1.0}) {
      const GenerateRequest request = question("서울은 어떤 도시인가요?", 40, temperature);
      const Answer first = engine->generate(request, {});
      const Answer second = engine->generate(request, {});
      EXPECT_EQ(all_text(first), all_text(second)) << name;
      EXPECT_EQ(first.usage.completion_tokens, second.usage.completion_tokens);
      EXPECT_EQ(second.usage.cached_tokens, second.usage.prompt_tokens - 1) << name;
    }
  }
}

TEST(Engine, ASecondTurnComputesOnlyWhatIsNew) {
  // Quantized weights: BF16 ones may meet prompt rows with other roundings than generated rows
  // (docs/numerics.md).
  for (const std::string name :
       {"tiny-exaone4/tiny-exaone4.Q8_0.gguf", "tiny-exaone4_5/tiny-exaone4_5.Q4_0.gguf"}) {
    const auto engine = load(name);
    GenerateRequest request = question("안녕하세요?", 12, 1.0);
    const Answer first = engine->generate(request, {});
    EXPECT_EQ(first.usage.cached_tokens, 0);
    request.messages.push_back({"assistant", first.content});
    request.messages.push_back({"user", "And now?"});
    const Answer second = engine->generate(request, {});
    EXPECT_GE(second.usage.cached_tokens, first.usage.prompt_tokens) << name;
    const Answer fresh = load(name)->generate(request, {});
    EXPECT_EQ(fresh.usage.cached_tokens, 0);
    EXPECT_EQ(all_text(second), all_text(fresh)) << name;
    EXPECT_EQ(second.usage.completion_tokens, fresh.usage.completion_tokens);
  }
}

// A thought longer than the rings of the window layers (576 positions here), which history is rendered
// without.
TEST(Engine, ATurnAfterALongThoughtComputesOnlyWhatIsNew) {
  for (const std::string name : {"tiny-exaone4-hybrid", "tiny-exaone4_5"}) {
    const auto engine = load(name, 2, 2040);
    GenerateRequest request = question("깊이 생각해 보세요.", 640, 1.0);
    request.think = Think::kOn;
    request.sampling.logit_bias = bias_against_ends(tiny_model(name));
    const Tokenizer tokenizer = Tokenizer::from_checkpoint(Checkpoint::open(tiny_model(name)));
    request.sampling.logit_bias[*tokenizer.find("</think>")] = -100;
    const Answer thought = engine->generate(request, {});
    ASSERT_EQ(thought.usage.reasoning_tokens, 640) << name;
    const std::int64_t n_first = thought.usage.prompt_tokens;

    // A call of a tool belongs to the turn: its thoughts stay until the person asks again.
    Message call("assistant", "");
    call.reasoning = thought.reasoning;
    call.tool_calls = {{"call_1", "look", "{}"}};
    Message result("tool", "맑음");
    result.tool_call_id = "call_1";
    GenerateRequest with_result = request;
    with_result.messages.push_back(call);
    with_result.messages.push_back(result);
    EXPECT_GE(engine->generate(with_result, {}).usage.cached_tokens, n_first - 8) << name;

    with_result.messages.push_back({"assistant", "네."});
    with_result.messages.push_back({"user", "And now?"});
    with_result.max_tokens = 12;
    const Answer next = engine->generate(with_result, {});
    EXPECT_GE(next.usage.cached_tokens, n_first - 8) << name;
    const Answer fresh = load(name, 2, 2040)->generate(with_result, {});
    EXPECT_EQ(fresh.usage.cached_tokens, 0);
    EXPECT_EQ(all_text(next), all_text(fresh)) << name;
  }
}

TEST(Engine, ASavedCacheGoesOnAfterANewStart) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("exaone-kv-" + std::to_string(getpid()));
  for (const std::string name : {"tiny-exaone4-hybrid", "tiny-exaone4_5"}) {
    GenerateRequest request = question("깊이 생각해 보세요.", 640, 1.0);
    request.think = Think::kOn;
    request.sampling.logit_bias = bias_against_ends(tiny_model(name));
    const auto before = load(name, 2, 2040);
    before->generate(request, {});
    before->save_cache(file);
    request.messages.push_back({"assistant", "네."});
    request.messages.push_back({"user", "And now?"});
    request.max_tokens = 12;
    const auto after = load(name, 2, 2040);
    after->load_cache(file);
    const Answer next = after->generate(request, {});
    EXPECT_GE(next.usage.cached_tokens, 8) << name;
    const Answer expected = before->generate(request, {});
    EXPECT_EQ(next.usage.cached_tokens, expected.usage.cached_tokens) << name;
    EXPECT_EQ(all_text(next), all_text(expected)) << name;

    const auto refuse = [&](Engine& engine, const std::string& why) {
      try {
        engine.load_cache(file);
        FAIL() << why;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
        EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
      }
    };
    refuse(*load("tiny-exaone4"), "another model");
    refuse(*load(name, 2, 512), "numbers of positions");
    const auto size = std::filesystem::file_size(file);
    std::fstream(file, std::ios::in | std::ios::out | std::ios::binary)
        .seekp(static_cast<std::streamoff>(size / 2))
        .put('x');
    refuse(*after, "broken");
    EXPECT_EQ(after->generate(request, {}).usage.cached_tokens, 0);
    std::filesystem::resize_file(file, size - 9);
    refuse(*after, "ends early");
    std::filesystem::remove(file);
  }
}

// A prompt that ends with the answer before it, whose keys and values were kept, and the same prompt on a
// fresh engine: files that hold the same bits, but where prompts have a path of their own.
TEST(Engine, DeterministicKeysAndValuesOfAnAnswerAreThoseOfAPrompt) {
  const auto model = tiny_model("tiny-exaone4") / "tiny-exaone4.BF16.gguf";
  const std::optional<TokenId> seven = Tokenizer::from_checkpoint(Checkpoint::open(model)).find("7");
  ASSERT_TRUE(seven);
  const auto file = std::filesystem::temp_directory_path() / ("exaone-kv-path-" + std::to_string(getpid()));
  const std::string text = "부산에서 무엇을 볼까요? Tell me, in numbers:";
  const auto kept = [&](bool deterministic, bool answers_first) {
    EngineOptions options;
    options.model = model;
    options.n_threads = 2;
    options.context_tokens = 512;
    options.prompt_path = deterministic ? PromptPath::kDeterministic : PromptPath::kUsual;
    const auto engine = Engine::load(options);
    GenerateRequest request;
    request.sampling.temperature = 0;
    request.sampling.logit_bias[*seven] = 100;
    if (answers_first) {
      request.raw = text;
      request.max_tokens = 12;
      EXPECT_EQ(engine->generate(request, {}).content, std::string(12, '7'));
    }
    request.raw = text + std::string(12, '7');
    request.max_tokens = 1;
    EXPECT_EQ(engine->generate(request, {}).usage.cached_tokens > 12, answers_first);
    engine->save_cache(file);
    std::ifstream in(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EXPECT_TRUE(kept(true, true) == kept(true, false));
  EXPECT_EQ(kept(false, true) == kept(false, false),
            !matmul_kernels(choose_isa()).has_prompt_path(DType::kBF16));

  // The other path's file is refused.
  kept(true, false);
  EngineOptions options;
  options.model = model;
  options.context_tokens = 512;
  try {
    Engine::load(options)->load_cache(file);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_NE(std::string(error.what()).find("--deterministic"), std::string::npos) << error.what();
  }
  std::filesystem::remove(file);
}

// Keys and values follow the faster path, and a file of them says so, where the machine has that path.
TEST(Engine, FastPrefillIsWhatTheMachineHas) {
  EngineOptions options;
  options.model = tiny_model("tiny-exaone4_5") / "tiny-exaone4_5.Q4_0.gguf";
  options.context_tokens = 512;
  const auto file = std::filesystem::temp_directory_path() / ("exaone-kv-fast-" + std::to_string(getpid()));
  const auto kept = [&](bool fast) {
    options.prompt_path = fast ? PromptPath::kFast : PromptPath::kUsual;
    const auto engine = Engine::load(options);
    EXPECT_EQ(engine->info().prompt_path == PromptPath::kFast, fast && has_fast_prompts());
    GenerateRequest request;
    request.raw = "부산에서 무엇을 볼까요?";
    request.max_tokens = 1;
    engine->generate(request, {});
    engine->save_cache(file);
    std::ifstream in(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string fast = kept(true);
  EXPECT_EQ(kept(false) != fast, has_fast_prompts());
  options.prompt_path = PromptPath::kFast;
  if (has_fast_prompts()) {
    EXPECT_THROW(Engine::load(options)->load_cache(file), Error);
  }
  std::filesystem::remove(file);
}

TEST(Engine, ThreadsChangeNothing) {
  for (const std::string name :
       {"tiny-exaone4", "tiny-exaone4-hybrid", "tiny-exaone4_5", "tiny-exaone3", "tiny-exaone3-deep"}) {
    const GenerateRequest request = question("Tell me about Busan.", 40, 1.0);
    const Answer one = load(name, 1)->generate(request, {});
    const Answer two = load(name, 2)->generate(request, {});
    const Answer three = load(name, 3)->generate(request, {});
    EXPECT_EQ(all_text(one), all_text(two)) << name;
    EXPECT_EQ(all_text(one), all_text(three)) << name;
  }
}

TEST(Engine, SeedsMatterAndOnlySeeds) {
  const auto engine = load("tiny-exaone4_5");
  GenerateRequest request = question("Hello", 30, 1.0);
  const std::string first = all_text(engine->generate(request, {}));
  request.sampling.seed = 12;
  const std::string other = all_text(engine->generate(request, {}));
  request.sampling.seed = 11;
  EXPECT_NE(first, other);
  EXPECT_EQ(all_text(engine->generate(request, {})), first);
}


TEST(Engine, APromptLongerThanTheContextNamesBothNumbers) {
  const auto engine = load("tiny-exaone4", 1, 64);
  std::string text;
  for (int i = 0; i < 100; ++i) text += "one two ";
  const Error error = failure(*engine, question(text, 5));
  EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
  EXPECT_NE(error.message().find("context holds 64"), std::string::npos) << error.message();
}

TEST(Engine, TheAnswerEndsWithTheContext) {
  GenerateRequest request = question("Hello", 1000, 1.0);
  const std::int64_t n_prompt = load("tiny-exaone4")->generate(request, {}).usage.prompt_tokens;
  const auto tight = load("tiny-exaone4", 1, n_prompt + 1);
  const Answer one = tight->generate(request, {});
  EXPECT_EQ(one.usage.completion_tokens, 1);
  EXPECT_EQ(failure(*load("tiny-exaone4", 1, n_prompt), request).kind(), ErrorKind::kBadInput);
}

TEST(Engine, ARawPromptIsTakenAsItIsAndSoIsItsAnswer) {
  const auto engine = load("tiny-exaone4");
  GenerateRequest request = question("", 20, 1.0);
  request.messages.clear();
  request.raw = "The capital of Korea";
  const Answer raw = engine->generate(request, {});
  EXPECT_EQ(raw.reasoning, "");
  EXPECT_EQ(raw.usage.reasoning_tokens, 0);
  EXPECT_LT(raw.usage.prompt_tokens, engine->generate(question(*request.raw, 1), {}).usage.prompt_tokens);
  request.raw = "";
  EXPECT_EQ(failure(*engine, request).kind(), ErrorKind::kBadInput);
  request.raw = "abc\xff";
  EXPECT_EQ(failure(*engine, request).kind(), ErrorKind::kBadInput);
}

TEST(Engine, BrokenRequestsAreRefused) {
  const auto engine = load("tiny-exaone4");
  GenerateRequest request = question("x", 5);
  request.messages.clear();
  EXPECT_EQ(failure(*engine, request).kind(), ErrorKind::kBadInput);
  request = question("x", 5);
  request.messages.push_back({"narrator", "y"});
  EXPECT_EQ(failure(*engine, request).kind(), ErrorKind::kBadInput);
  EXPECT_EQ(failure(*engine, request).where(), "messages[1].role");
  request = question("ab\xff", 5);
  EXPECT_EQ(failure(*engine, request).what(), std::string("messages[0].content: invalid UTF-8 at byte 2"));
  EXPECT_EQ(failure(*engine, question("x", 0)).kind(), ErrorKind::kUsage);
  EXPECT_EQ(failure(*engine, question("x", 5, 101)).message(), "temperature is 101, expected 0 to 100");
  request = question("x", 5);
  request.sampling.logit_bias = {{1 << 30, 1.0}};
  EXPECT_EQ(failure(*engine, request).kind(), ErrorKind::kUsage);
}

TEST(Engine, OptionsOutOfRangeAreRefused) {
  for (const auto& [n_threads, context] :
       {std::pair{-1, 0}, std::pair{5000, 0}, std::pair{1, -5}, std::pair{1, 1 << 30}}) {
    try {
      load("tiny-exaone4", n_threads, context);
      ADD_FAILURE() << n_threads << " " << context;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage) << error.what();
    }
  }
}

TEST(Engine, LogitsThatAreNotNumbersEndTheAnswerWithAnError) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("exaone-poisoned-" + std::to_string(getpid()));
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  for (const auto& entry : std::filesystem::directory_iterator(tiny_model("tiny-exaone4"))) {
    if (entry.path().extension() != ".gguf") std::filesystem::copy(entry.path(), folder);
  }
  {
    const Checkpoint checkpoint = Checkpoint::open(folder);
    const TensorInfo* const norm = checkpoint.find("model.norm.weight");
    ASSERT_NE(norm, nullptr);
    ASSERT_EQ(norm->type, DType::kBF16);
    const auto file = folder / "model.safetensors";
    std::filesystem::permissions(file, std::filesystem::perms::owner_write,
                                 std::filesystem::perm_options::add);
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(norm->offset));
    out.write("\xc0\x7f", 2);
    ASSERT_TRUE(out.good());
  }
  EngineOptions options;
  options.model = folder;
  const auto engine = Engine::load(options);
  for (const double temperature : {0.0, 1.0}) {
    const Answer answer = engine->generate(question("Hello", 5, temperature), {});
    EXPECT_EQ(answer.reason, FinishReason::kError);
    EXPECT_EQ(answer.usage.completion_tokens, 0);
    EXPECT_EQ(answer.usage.cached_tokens, 0);
  }
  std::filesystem::remove_all(folder);
}

TEST(Engine, VersionIsTheProjects) {
  std::ifstream lists(std::filesystem::path(EXAONE_SOURCE_DIR) / "CMakeLists.txt");
  std::string line;
  bool found = false;
  while (std::getline(lists, line)) {
    found = found || line.find("VERSION " + std::string(version()) + " ") != std::string::npos;
  }
  EXPECT_TRUE(found) << version();
}

}  // namespace
}  // namespace exa
