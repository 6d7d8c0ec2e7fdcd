#include "engine/loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/tiny_models.h"
#include "model/kv_pool.h"

namespace exa {
namespace {

// A loop over a tiny model, whose keys and values may take what so many tokens take.
struct TinyLoop {
  explicit TinyLoop(std::int64_t n_tokens)
      : tokenizer(Tokenizer::from_checkpoint(model.checkpoint)),
        settler(model.weights, nullptr),
        loop({model.decoder, *model.backend, model.pool, settler, nullptr}, new_cache(n_tokens)) {}

  TokenCache new_cache(std::int64_t n_tokens) const {
    const KvShape shape(model.weights.config);
    const std::int64_t chunk = model.decoder.max_rows();
    auto pool = std::make_shared<KvPool>(shape.block_bytes(KvType::kBF16),
                                         KvCache::bytes_for(shape, KvType::kBF16, chunk, n_tokens));
    return TokenCache(KvCache(std::move(pool), shape, KvType::kBF16, chunk));
  }

  Sequence sequence(TokenId first, std::size_t n_prompt, std::int64_t max_tokens,
                    const CancelToken* cancel = nullptr) const {
    Prepared request;
    for (std::size_t i = 0; i < n_prompt; ++i) {
      request.ids.push_back(first + static_cast<TokenId>(i * 7 % 300));
    }
    request.keys = token_keys(request.ids, {});
    request.answer.n_prompt = static_cast<std::int64_t>(n_prompt);
    request.answer.max_tokens = max_tokens;
    request.answer.answer.verbatim = true;
    request.answer.sampling.temperature = 1;
    for (const auto& [id, bias] : bias_against_ends(tiny_model("tiny-exaone4-hybrid"))) {
      request.answer.sampling.logit_bias.emplace_back(id, bias);
    }
    return {tokenizer, std::move(request), Role::kPrompt, cancel};
  }
  Answer run(Sequence sequence) { return loop.run(sequence, {}); }

  std::int64_t cached() {
    std::int64_t length = -1;
    loop.between_sequences([&](const TokenCache& cache) { length = cache.length(); });
    return length;
  }

  OpenedModel model{tiny_model("tiny-exaone4-hybrid"), 2, Precision::kProduction, 32};
  Tokenizer tokenizer;
  WeightSettler settler;
  Loop loop;
};

ErrorKind kind_of_failure(TinyLoop& tiny, Sequence sequence) {
  try {
    tiny.run(std::move(sequence));
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::kInternal;
}

TEST(Loop, TooLittleMemoryEndsOneSequenceOnly) {
  TinyLoop ample(512);
  const Answer expected = ample.run(ample.sequence(20, 40, 20));
  EXPECT_EQ(expected.usage.completion_tokens, 20);
  TinyLoop tight(64);
  EXPECT_EQ(tight.run(tight.sequence(20, 40, 20)).content, expected.content);
  EXPECT_EQ(kind_of_failure(tight, tight.sequence(30, 400, 20)), ErrorKind::kMemory);  // in the prompt
  EXPECT_EQ(tight.run(tight.sequence(20, 40, 20)).content, expected.content);
  EXPECT_EQ(kind_of_failure(tight, tight.sequence(20, 40, 100)), ErrorKind::kMemory);  // in the answer
  EXPECT_EQ(tight.run(tight.sequence(20, 40, 20)).content, expected.content);
}

TEST(Loop, AStepThatFailsEndsItsSequenceAndEmptiesTheCache) {
  TinyLoop tiny(512);
  const std::string expected = tiny.run(tiny.sequence(20, 40, 20)).content;
  EXPECT_EQ(tiny.cached(), 40 + 19);
  int n_steps = 0;
  tiny.model.decoder.observe_hidden([&](std::int64_t i, std::span<const float>) {
    if (i == 1 && ++n_steps == 5) throw std::runtime_error("half way");
  });
  std::string streamed;
  Sequence sequence = tiny.sequence(20, 40, 20);
  EXPECT_THROW(tiny.loop.run(sequence, [&](const Event& event) { streamed += event.text; }),
               std::runtime_error);
  EXPECT_FALSE(streamed.empty());
  EXPECT_TRUE(expected.starts_with(streamed));
  EXPECT_EQ(tiny.cached(), 0);
  tiny.model.decoder.observe_hidden({});
  EXPECT_EQ(tiny.run(tiny.sequence(20, 40, 20)).content, expected);
}

TEST(Loop, SequencesHaveTheirTurnsInTheOrderInWhichTheyCame) {
  TinyLoop tiny(512);
  std::vector<std::string> order;  // written by whose turn it is
  std::atomic<bool> ran{false};
  std::jthread job;
  Sequence sequence = tiny.sequence(20, 100, 8);
  tiny.loop.run(sequence, [&](const Event& event) {
    if (!job.joinable()) {
      job = std::jthread([&] {
        tiny.loop.between_sequences([&](const TokenCache&) {
          order.push_back("job");
          ran = true;
        });
      });
    }
    if (event.kind == Event::Kind::kFinished) return;
    EXPECT_FALSE(ran);
    if (event.kind == Event::Kind::kContent && order.empty()) order.push_back("sequence");
  });
  job.join();
  EXPECT_EQ(order, (std::vector<std::string>{"sequence", "job"}));
}

TEST(Loop, AJobThatThrowsMakesRoom) {
  TinyLoop tiny(512);
  EXPECT_THROW(tiny.loop.between_sequences([](TokenCache&) { throw std::runtime_error("no"); }),
               std::runtime_error);
  EXPECT_EQ(tiny.run(tiny.sequence(20, 10, 3)).usage.completion_tokens, 3);
}

// What a sequence wants, without a loop.
TEST(Sequence, WantsItsPromptInPiecesAndThenOneTokenAtATime) {
  TinyLoop tiny(512);
  TokenCache cache = tiny.new_cache(512);
  CancelToken cancel;
  Sequence sequence = tiny.sequence(20, 70, 3, &cancel);
  EXPECT_EQ(sequence.state(), Sequence::State::kWaiting);
  sequence.begin(cache, {});
  EXPECT_EQ(sequence.state(), Sequence::State::kPrefill);
  EXPECT_TRUE(sequence.pictures_to_see().empty());
  std::vector<std::size_t> sizes;
  std::optional<FinishReason> reason;
  while (!reason) {
    EXPECT_EQ(sequence.state() == Sequence::State::kDecode, sizes.size() >= 3);
    const StepSlice slice = sequence.next_slice(32);
    sizes.push_back(slice.ids.size());
    EXPECT_EQ(slice.role, sizes.size() <= 3 ? Role::kPrompt : Role::kGenerated);
    EXPECT_EQ(slice.logits_rows.size(), sizes.size() >= 3 ? 1u : 0u);
    reason = sequence.take(tiny.model.decoder.step({&slice, 1}), {});
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{32, 32, 6, 1, 1}));
  EXPECT_EQ(reason, FinishReason::kLength);
  EXPECT_FALSE(sequence.cancelled());
  cancel.cancel();
  EXPECT_TRUE(sequence.cancelled());
  sequence.finish(*reason, {});
  EXPECT_EQ(sequence.state(), Sequence::State::kFinished);
  const std::vector<Event> events = sequence.take_events();
  EXPECT_EQ(std::count_if(events.begin(), events.end(),
                          [](const Event& event) { return event.kind == Event::Kind::kPrefill; }),
            3);
  EXPECT_EQ(events.back().kind, Event::Kind::kFinished);
  EXPECT_EQ(events.back().usage.completion_tokens, 3);
  EXPECT_TRUE(sequence.take_events().empty());
}

}  // namespace
}  // namespace exa
