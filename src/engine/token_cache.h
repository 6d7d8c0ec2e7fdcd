// The tokens whose keys and values are at hand: what the last request left, and what the running one adds.
//
// Ownership and threads: owns its KvCache; one sequence at a time.
// Source: exaone-models specification 5.6 (prefixes are compared by id, never by text; pictures by their
// content).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/decoder.h"
#include "model/kv_cache.h"
#include "text/tokenizer.h"

namespace exa {

// What two prompts compare to find what they share: a token's id, or for a token of a picture a hash of the
// picture's content with the top bit set.
using TokenKey = std::uint64_t;
inline constexpr TokenKey kPictureKey = TokenKey{1} << 63;

class TokenCache {
 public:
  explicit TokenCache(KvCache kv) : kv_(std::move(kv)) {}

  // Forgets all but the longest front part shared with the prompt, at least the prompt's last token (its
  // logits are wanted). Returns the number of tokens kept; the cache may keep fewer than are shared (rings).
  // keys: one a token; empty: the ids.
  std::int64_t keep_shared(std::span<const TokenId> prompt, std::span<const TokenKey> keys = {});

  // Makes room for the tokens behind those that are here: they are here once the returned slice has run in a
  // step. Where that fails, clear() comes next. keys: as above, of these tokens. Errors: kMemory, nothing
  // changed.
  StepSlice append(std::span<const TokenId> ids, std::span<const TokenKey> keys = {});

  // The tokens that are here can be gone back to, as keep_shared does it, whatever is appended, until the
  // next hold().
  void hold() { kv_.hold(); }

  // As KvCache's, with the tokens.
  void save(const std::function<void(std::span<const std::byte>)>& write) const;
  void load(const std::function<void(std::span<std::byte>)>& read, std::int64_t most_tokens);

  // Forgets everything.
  void clear();

  std::int64_t length() const { return static_cast<std::int64_t>(keys_.size()); }

 private:
  KvCache kv_;
  std::vector<TokenKey> keys_;  // kv_.length() of them, but while a step runs
};

}  // namespace exa
