#include "engine/sequence.h"

#include <algorithm>
#include <utility>

namespace exa {
namespace {

double seconds_between(Sequence::Time from, Sequence::Time to) {
  return std::chrono::duration<double>(to - from).count();
}

// A call that was cut short is no call: its text is content.
void take_back_broken_calls(const AnswerParser& parser, Answer& answer) {
  const auto& broken = parser.broken_calls();
  for (auto call = broken.rbegin(); call != broken.rend(); ++call) {
    answer.tool_calls.erase(answer.tool_calls.begin() + call->index);
  }
  for (const auto& call : broken) {
    if (!answer.content.empty()) answer.content += '\n';
    answer.content += call.text;
  }
}

}  // namespace

Sequence::Sequence(const Tokenizer& tokenizer, Prepared request, Role prompt_role, const CancelToken* cancel)
    : tokenizer_(&tokenizer),
      request_(std::move(request)),
      prompt_role_(prompt_role),
      cancel_(cancel),
      writer_(tokenizer, std::move(request_.answer)) {
  Usage& usage = answer_.usage;
  usage.prompt_tokens = n_prompt();
  usage.images = static_cast<std::int64_t>(request_.pictures.size());
  for (const PlacedPicture& placed : request_.pictures) usage.image_tokens += placed.picture.n_tokens;
}

Event& Sequence::emit(Event::Kind kind) {
  Event& event = events_.emplace_back();
  event.kind = kind;
  event.prefilled_tokens = std::min(cache_->length(), n_prompt());
  event.reason = answer_.reason;
  event.usage = answer_.usage;
  return event;
}

void Sequence::emit_pieces() {
  for (const AnswerPiece& piece : writer_.pieces()) {
    switch (piece.kind) {
      case AnswerPiece::Kind::kReasoning:
        answer_.reasoning += piece.text;
        emit(Event::Kind::kReasoning).text = piece.text;
        break;
      case AnswerPiece::Kind::kContent:
        answer_.content += piece.text;
        emit(Event::Kind::kContent).text = piece.text;
        break;
      case AnswerPiece::Kind::kCall: {
        answer_.tool_calls.push_back({writer_.call_id(piece.index), piece.text, {}});
        Event& event = emit(Event::Kind::kToolCall);
        event.id = answer_.tool_calls.back().id;
        event.name = piece.text;
        break;
      }
      case AnswerPiece::Kind::kArguments:
        answer_.tool_calls.back().arguments += piece.text;
        emit(Event::Kind::kArguments).text = piece.text;
        break;
    }
    events_.back().index = piece.index;
  }
}

void Sequence::begin(TokenCache& cache, Time now) {
  state_ = State::kPrefill;
  began_ = now;
  cache_ = &cache;
  answer_.usage.cached_tokens = cache.keep_shared(request_.ids, request_.keys);
}

std::span<PlacedPicture> Sequence::pictures_to_see() {
  const auto first =
      std::find_if(request_.pictures.begin(), request_.pictures.end(),
                   [this](const auto& placed) { return placed.end() > cache_->length() && !placed.rows; });
  return {first, request_.pictures.end()};
}

void Sequence::count_pictures(const std::optional<Sight::Seen>& seen, double seconds) {
  answer_.usage.image_seconds = seconds;
  if (!seen) return;
  answer_.usage.encoded_images = seen->n_encoded;
  answer_.usage.reused_images = seen->n_found;
}

StepSlice Sequence::next_slice(std::int64_t budget) {
  if (state_ == State::kDecode) {
    last_ = writer_.last();
    logits_row_ = 0;
    StepSlice slice = cache_->append({&last_, 1});
    slice.logits_rows = {&logits_row_, 1};
    slice.role = Role::kGenerated;
    return slice;
  }
  const std::int64_t done = cache_->length();
  const std::int64_t n = std::min(budget, n_prompt() - done);
  const auto first = static_cast<std::size_t>(done);
  const auto count = static_cast<std::size_t>(n);
  given_ = given_rows(request_.pictures, done, n);
  logits_row_ = static_cast<std::int32_t>(n - 1);
  StepSlice slice = cache_->append(std::span(request_.ids).subspan(first, count),
                                   std::span(request_.keys).subspan(first, count));
  if (done + n == n_prompt()) slice.logits_rows = {&logits_row_, 1};
  slice.given_rows = given_;
  slice.role = prompt_role_;
  return slice;
}

std::optional<FinishReason> Sequence::take(std::span<const float> logits, Time now) {
  if (state_ == State::kPrefill) {
    emit(Event::Kind::kPrefill);
    if (cache_->length() < n_prompt()) return std::nullopt;
    if (request_.begins_turn) cache_->hold();
    answer_.usage.prefill_seconds = seconds_between(std::exchange(began_, now), now);
    state_ = State::kDecode;
  }
  const auto reason = writer_.advance(logits.first(std::min(logits.size(), tokenizer_->vocab_size())));
  emit_pieces();
  return reason;
}

void Sequence::finish(FinishReason reason, Time now) {
  answer_.reason = reason;
  writer_.flush();
  emit_pieces();
  take_back_broken_calls(writer_.parser(), answer_);
  answer_.stop = writer_.parser().stopped_by();
  answer_.satisfies_request = writer_.satisfies_request(answer_);
  Usage& usage = answer_.usage;
  usage.completion_tokens = writer_.n_generated();
  usage.reasoning_tokens = writer_.n_reasoning();
  const double seconds = seconds_between(began_, now);
  if (state_ == State::kPrefill) usage.prefill_seconds = seconds;
  if (writer_.n_generated() > 0) usage.decode_seconds = seconds;
  emit(Event::Kind::kFinished);
  state_ = State::kFinished;
  // Keys and values that are no numbers must not meet the next request.
  if (reason == FinishReason::kError) cache_->clear();
}

}  // namespace exa
