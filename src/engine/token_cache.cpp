#include "engine/token_cache.h"

#include <algorithm>

namespace exa {

std::int64_t TokenCache::keep_shared(std::span<const TokenId> prompt) {
  const std::size_t most = std::min(ids_.size(), prompt.empty() ? 0 : prompt.size() - 1);
  std::size_t shared = 0;
  while (shared < most && ids_[shared] == prompt[shared]) ++shared;
  const std::int64_t kept = kv_.truncate(static_cast<std::int64_t>(shared));
  ids_.resize(static_cast<std::size_t>(kept));
  return kept;
}

std::span<const float> TokenCache::append(Decoder& decoder, std::span<const TokenId> ids, Role role,
                                          bool wants_logits) {
  const std::int32_t last_row = static_cast<std::int32_t>(ids.size()) - 1;
  const StepSlice slice{.cache = &kv_,
                        .ids = ids,
                        .logits_rows = {&last_row, wants_logits ? std::size_t{1} : std::size_t{0}},
                        .role = role};
  try {
    ids_.reserve(ids_.size() + ids.size());
    const std::span<const float> logits = decoder.step({&slice, 1});
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    return logits;
  } catch (...) {
    // A step that stopped half way may have overwritten rows of the rings.
    clear();
    throw;
  }
}

void TokenCache::clear() {
  kv_.truncate(0);
  ids_.clear();
}

}  // namespace exa
