// One request under way: what rows it wants of the next step, and what it makes of their logits.
//
// It waits, begins on a cache, puts its prompt there, writes its answer, and is finished. It neither runs the
// model nor measures time: the loop does, and tells it.
// Ownership and threads: owns its Prepared, answer and events; borrows tokenizer, cancel token and, from
// begin() on, the cache, which is its alone until it is finished or gone. One thread at a time. Source:
// exaone-models specification 5.5 and 5.6 (what ends an answer, what prompts share).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/answer_writer.h"
#include "engine/request.h"
#include "engine/sight.h"
#include "engine/token_cache.h"
#include "exaone/engine.h"
#include "model/decoder.h"

namespace exa {

class Sequence {
 public:
  enum class State { kWaiting, kPrefill, kDecode, kFinished };
  using Time = std::chrono::steady_clock::time_point;

  // prompt_role: of the prompt's rows. cancel: null for none, else it lives as long as this.
  Sequence(const Tokenizer& tokenizer, Prepared request, Role prompt_role, const CancelToken* cancel);

  State state() const { return state_; }
  // Read before each step and while pictures are encoded.
  bool cancelled() const { return cancel_ && cancel_->cancelled(); }

  // kWaiting → kPrefill. The cache keeps what it shares with the prompt.
  void begin(TokenCache& cache, Time now);

  // Pictures whose rows the rest of the prompt needs and has not got; next_slice() wants none.
  std::span<PlacedPicture> pictures_to_see();
  // They were seen, or not to the end (nothing), in so many seconds.
  void count_pictures(const std::optional<Sight::Seen>& seen, double seconds);

  // The rows of the next step: at most `budget` of the prompt, or the last token. The slice is valid until
  // take() or drop_cache(). Errors: kMemory.
  StepSlice next_slice(std::int64_t budget);
  // The step with the slice ran: its logits [1, vocab], or none where the slice asked for none. kPrefill →
  // kDecode with the prompt's last rows. The reason where the answer's end came. Errors: kUnsupported where
  // the text is too ambiguous for its grammar.
  std::optional<FinishReason> take(std::span<const float> logits, Time now);
  // The step with the slice failed half way.
  void drop_cache() { cache_->clear(); }

  // → kFinished, with the last event.
  void finish(FinishReason reason, Time now);

  // What happened since the last call.
  std::vector<Event> take_events() { return std::exchange(events_, {}); }
  // The whole, once it is finished.
  Answer take_answer() { return std::move(answer_); }

 private:
  std::int64_t n_prompt() const { return static_cast<std::int64_t>(request_.ids.size()); }
  Event& emit(Event::Kind kind);
  void emit_pieces();

  const Tokenizer* tokenizer_;
  Prepared request_;
  Role prompt_role_;
  const CancelToken* cancel_;
  AnswerWriter writer_;
  State state_ = State::kWaiting;
  TokenCache* cache_ = nullptr;
  Time began_;  // when the state began that it is in: kPrefill, kDecode
  Answer answer_;
  std::vector<Event> events_;
  // What the slice of the running step points to.
  TokenId last_ = 0;
  std::int32_t logits_row_ = 0;
  std::vector<GivenRow> given_;
};

}  // namespace exa
