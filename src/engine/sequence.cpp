#include "engine/sequence.h"

#include <utility>

namespace exa {

Sequence::Sequence(const Tokenizer& tokenizer, const Prompt& prompt, Text text, SamplingValues sampling,
                   std::int64_t max_tokens)
    : tokenizer_(&tokenizer),
      decoder_(tokenizer),
      text_(text),
      split_(prompt.opens_reasoning),
      sampler_(std::move(sampling)),
      n_prompt_(static_cast<std::int64_t>(prompt.ids.size())),
      max_tokens_(max_tokens) {}

void Sequence::let_out(const std::string& text) {
  if (text_ == Text::kVerbatim) {
    content_ += text;
  } else {
    split_.push(text, reasoning_, content_);
  }
}

std::optional<FinishReason> Sequence::advance(std::span<const float> logits) {
  reasoning_.clear();
  content_.clear();
  const std::optional<TokenId> id = sampler_.sample(logits, n_prompt_ + n_generated_);
  if (!id) return FinishReason::kError;
  last_ = *id;
  ++n_generated_;
  sampler_.accept(last_);
  if (text_ == Text::kSplit && split_.in_reasoning()) ++n_reasoning_;
  if (tokenizer_->ends_generation(last_)) return FinishReason::kStop;
  let_out(decoder_.push(last_));
  if (n_generated_ >= max_tokens_) return FinishReason::kLength;
  return std::nullopt;
}

void Sequence::flush() {
  reasoning_.clear();
  content_.clear();
  let_out(decoder_.finish());
  if (text_ == Text::kSplit) split_.finish(reasoning_, content_);
}

}  // namespace exa
