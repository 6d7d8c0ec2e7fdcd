// Which tokens of a vocabulary a machine can take from where it stands.
//
// Ownership and threads: borrows runner and vocabulary; keeps its scratch; one thread.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <vector>

#include "grammar/runner.h"
#include "grammar/token_masks.h"

namespace exa::grammar {

// Ranks of tokens, rising.
struct Found {
  std::vector<std::uint32_t> allowed;
  // Tokens that would go on below the unknown stack, or deeper than the runner follows.
  std::vector<std::uint32_t> uncertain;
};

class TokenWalk {
 public:
  TokenWalk(Runner& runner, const TokenMasks& vocabulary) : runner_(runner), vocabulary_(vocabulary) {}

  // follow: bytes that may come where the unknown stack goes on; nothing where no stack is unknown.
  void all(std::span<const Config> from, const std::bitset<256>* follow, Found& out);
  // The same for some tokens only.
  void some(std::span<const Config> from, const std::bitset<256>* follow,
            std::span<const std::uint32_t> ranks, Found& out);

 private:
  struct Level {
    std::size_t first, last;  // of configs_
    bool at_end;              // a rule is through: of the root or above the unknown stack
    bool unknown;
    bool uncertain;
    bool dead() const { return first == last && !at_end; }
  };

  void begin(std::span<const Config> from);
  void step(std::size_t depth, std::uint8_t byte, const std::bitset<256>* follow);

  Runner& runner_;
  const TokenMasks& vocabulary_;
  std::vector<Config> configs_;
  std::vector<Level> levels_;  // [depth]
};

}  // namespace exa::grammar
