// The tokens a state of a machine takes, found once and kept: whatever the calls below it, most are decided.
//
// Ownership and threads: shared by the sequences of one grammar; a mutex guards it.
// Source: Dong et al. 2024, "XGrammar" (masks a state; the tokens that leave a rule are decided when they are
// needed).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "grammar/token_walk.h"

namespace exa::grammar {

// Of one state and count over an unknown stack.
struct StateMask {
  std::vector<std::uint64_t> words;      // [n_words], or empty where `ids` says it shorter
  std::vector<TokenId> ids;              // allowed whatever lies below
  std::vector<std::uint32_t> uncertain;  // ranks, rising: what lies below decides
  std::size_t bytes() const {
    return sizeof(*this) + words.size() * 8 + ids.size() * sizeof(TokenId) + uncertain.size() * 4;
  }
};

class MaskCache {
 public:
  // Calls that a token may open above its state before it counts as uncertain.
  static constexpr std::uint32_t kMostOpened = 16;

  MaskCache(const Machine& machine, const TokenMasks& vocabulary, std::size_t most_bytes);

  // How deep a sequence's stack may become while its tokens are decided here.
  std::uint32_t margin() const { return margin_; }
  std::shared_ptr<const StateMask> find(const Config& config);


 private:
  using Key = std::uint64_t;  // state, count

  std::shared_ptr<const StateMask> find_key(StateId state, std::uint32_t count);
  std::shared_ptr<const StateMask> make(StateId state, std::uint32_t count);
  std::shared_ptr<const StateMask> packed(const Found& found) const;
  // Tokens of more than this many bytes tell the count from one that is far from its bounds.
  std::size_t sure_bytes(StateId state, std::uint32_t count) const;

  const Machine& machine_;
  const TokenMasks& vocabulary_;
  std::size_t most_bytes_;
  std::uint32_t margin_;
  Runner runner_;
  TokenWalk walk_;
  std::mutex mutex_;
  std::unordered_map<Key, std::shared_ptr<const StateMask>> masks_;
  std::deque<Key> order_;  // oldest first
  std::size_t bytes_ = 0;
};

}  // namespace exa::grammar
