#include "engine/token_cache.h"

#include <algorithm>

namespace exa {
namespace {

TokenKey key_of(std::size_t i, std::span<const TokenId> ids, std::span<const TokenKey> keys) {
  return keys.empty() ? static_cast<std::uint32_t>(ids[i]) : keys[i];
}

}  // namespace

std::int64_t TokenCache::keep_shared(std::span<const TokenId> prompt, std::span<const TokenKey> keys) {
  const std::size_t most = std::min(keys_.size(), prompt.empty() ? 0 : prompt.size() - 1);
  std::size_t shared = 0;
  while (shared < most && keys_[shared] == key_of(shared, prompt, keys)) ++shared;
  const std::int64_t kept = kv_.truncate(static_cast<std::int64_t>(shared));
  keys_.resize(static_cast<std::size_t>(kept));
  return kept;
}

StepSlice TokenCache::append(std::span<const TokenId> ids, std::span<const TokenKey> keys) {
  keys_.reserve(keys_.size() + ids.size());
  kv_.reserve(static_cast<std::int64_t>(ids.size()));
  for (std::size_t i = 0; i < ids.size(); ++i) keys_.push_back(key_of(i, ids, keys));
  return {.cache = &kv_, .ids = ids, .logits_rows = {}};
}

void TokenCache::save(const std::function<void(std::span<const std::byte>)>& write) const {
  kv_.save(write);
  write(std::as_bytes(std::span(keys_)));
}

void TokenCache::load(const std::function<void(std::span<std::byte>)>& read, std::int64_t most_tokens) {
  clear();
  try {
    kv_.load(read, most_tokens);
    keys_.resize(static_cast<std::size_t>(kv_.length()));
    read(std::as_writable_bytes(std::span(keys_)));
  } catch (...) {
    clear();
    throw;
  }
}

void TokenCache::clear() {
  kv_.truncate(0);
  keys_.clear();
}

}  // namespace exa
