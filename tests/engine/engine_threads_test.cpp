// One engine and several threads: cancelling, callers that throw, answers beside others.
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine_under_test.h"

namespace exa {
namespace {

TEST(Engine, CancelEndsBetweenSteps) {
  const auto engine = load("tiny-exaone4");
  GenerateRequest request = question("Count.", 400, 1.0);
  request.sampling.logit_bias = {{361, -100}, {2, -100}};  // hardly an end of its own accord
  const Answer whole = engine->generate(request, {});
  ASSERT_GT(whole.usage.completion_tokens, 20);
  CancelToken cancel;
  int n_texts = 0;
  const Answer cut = engine->generate(
      request,
      [&](const Event& event) {
        if (event.kind == Event::Kind::kContent && ++n_texts == 4) cancel.cancel();
      },
      &cancel);
  EXPECT_EQ(cut.reason, FinishReason::kCancelled);
  EXPECT_LT(cut.usage.completion_tokens, whole.usage.completion_tokens);
  EXPECT_TRUE(whole.content.starts_with(cut.content)) << cut.content;

  const Answer nothing = engine->generate(request, {}, &cancel);
  EXPECT_EQ(nothing.reason, FinishReason::kCancelled);
  EXPECT_EQ(nothing.usage.completion_tokens, 0);
  EXPECT_EQ(nothing.content, "");
  cancel.reset();
  EXPECT_EQ(all_text(engine->generate(request, {}, &cancel)), all_text(whole));
}

TEST(Engine, ACallerThatThrowsLeavesTheEngineWhole) {
  const auto engine = load("tiny-exaone4-hybrid");
  const GenerateRequest request = question("Hello", 20, 1.0);
  const std::string expected = all_text(engine->generate(request, {}));
  struct Stop {};
  for (const auto kind : {Event::Kind::kPrefill, Event::Kind::kContent, Event::Kind::kFinished}) {
    EXPECT_THROW(engine->generate(request,
                                  [&](const Event& event) {
                                    if (event.kind == kind) throw Stop{};
                                  }),
                 Stop);
    EXPECT_EQ(all_text(engine->generate(request, {})), expected);
  }
}

TEST(Engine, RequestsFromSeveralThreadsRunOneAfterTheOther) {
  const auto engine = load("tiny-exaone4");
  const GenerateRequest requests[] = {question("One", 20, 1.0), question("Two", 20, 1.0)};
  const std::string expected[] = {all_text(engine->generate(requests[0], {})),
                                  all_text(engine->generate(requests[1], {}))};
  std::string found[2];
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        for (int round = 0; round < 3; ++round) found[i] = all_text(engine->generate(requests[i], {}));
      });
    }
  }
  EXPECT_EQ(found[0], expected[0]);
  EXPECT_EQ(found[1], expected[1]);
}

TEST(Engine, EachOfManyThreadsGetsItsSoloAnswer) {
  constexpr int kCallers = 6;
  std::vector<GenerateRequest> requests;
  std::vector<std::string> solo;
  for (int i = 0; i < kCallers; ++i) {
    requests.push_back(question(std::string(static_cast<std::size_t>(i + 1) * 9, static_cast<char>('a' + i)),
                                10 + 5 * i, i % 2 == 0 ? 1.0 : 0.0));
    if (i % 3 == 2) requests.back().constraint = {Constraint::Kind::kRegex, "[a-z]{4,8} [0-9]+", {}};
    solo.push_back(all_text(load("tiny-exaone4-hybrid")->generate(requests.back(), {})));
  }
  const auto engine = load("tiny-exaone4-hybrid");
  std::vector<std::vector<std::string>> found(kCallers);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kCallers; ++i) {
      threads.emplace_back([&, i] {
        for (int round = 0; round < 3; ++round) {
          std::string streamed;
          const Answer answer = engine->generate(requests[i], [&](const Event& event) {
            if (event.kind == Event::Kind::kContent) streamed += event.text;
          });
          found[i].push_back(streamed == answer.content ? all_text(answer) : "events differ");
        }
      });
    }
  }
  for (std::size_t i = 0; i < kCallers; ++i) EXPECT_EQ(found[i], std::vector<std::string>(3, solo[i])) << i;
}

TEST(Engine, TheCacheIsSavedAndLoadedWhileOthersGenerate) {
  const auto file = std::filesystem::temp_directory_path() / ("exaone-kv-busy-" + std::to_string(getpid()));
  const GenerateRequest requests[] = {question("One", 20, 1.0), question("Zwei", 20, 1.0)};
  const std::string solo[] = {all_text(load("tiny-exaone4-hybrid")->generate(requests[0], {})),
                              all_text(load("tiny-exaone4-hybrid")->generate(requests[1], {}))};
  const auto engine = load("tiny-exaone4-hybrid");
  std::vector<std::string> found[2];
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        for (int round = 0; round < 8; ++round) {
          found[i].push_back(all_text(engine->generate(requests[i], {})));
        }
      });
    }
    for (int round = 0; round < 8; ++round) {
      EXPECT_NO_THROW(engine->save_cache(file));
      EXPECT_NO_THROW(engine->load_cache(file));
    }
  }
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(found[i], std::vector<std::string>(8, solo[i]));
  // A whole request is in the file, never a part of one.
  engine->generate(requests[0], {});
  engine->save_cache(file);
  const auto other = load("tiny-exaone4-hybrid");
  other->load_cache(file);
  const Answer again = other->generate(requests[0], {});
  EXPECT_EQ(again.usage.cached_tokens, again.usage.prompt_tokens - 1);
  EXPECT_EQ(all_text(again), solo[0]);
  std::filesystem::remove(file);
}

std::atomic<CancelToken*> signalled{nullptr};
std::atomic<bool> handled{false};

void on_signal(int) {
  signalled.load()->cancel();
  handled = true;
}

// The handler runs on the caller's thread, or on one of the engine's.
TEST(Engine, ASignalHandlerCancels) {
  const auto engine = load("tiny-exaone4");
  GenerateRequest request = question("Count.", 400, 1.0);
  request.sampling.logit_bias = bias_against_ends(tiny_model("tiny-exaone4"));
  CancelToken cancel;
  signalled = &cancel;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = on_signal;
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  for (const bool elsewhere : {false, true}) {
    cancel.reset();
    handled = false;
    if (elsewhere) {
      ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &blocked, nullptr), 0);
    }
    int n_texts = 0;
    const Answer cut = engine->generate(
        request,
        [&](const Event& event) {
          if (event.kind != Event::Kind::kContent || ++n_texts != 4) return;
          kill(getpid(), SIGUSR1);
          while (!handled) std::this_thread::yield();
        },
        &cancel);
    pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);
    EXPECT_EQ(cut.reason, FinishReason::kCancelled);
    EXPECT_LT(cut.usage.completion_tokens, 400);
  }
  sigaction(SIGUSR1, &before, nullptr);
  cancel.reset();
  request.max_tokens = 20;
  EXPECT_EQ(engine->generate(request, {}, &cancel).usage.completion_tokens, 20);
}

}  // namespace
}  // namespace exa
