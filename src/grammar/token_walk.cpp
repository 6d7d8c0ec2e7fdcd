#include "grammar/token_walk.h"

#include <algorithm>
#include <string_view>

namespace exa::grammar {

void TokenWalk::begin(std::span<const Config> from) {
  configs_.assign(from.begin(), from.end());
  levels_.resize(vocabulary_.longest() + 1);
  levels_[0] = {0, configs_.size(), false, false, false};
}

void TokenWalk::step(std::size_t depth, std::uint8_t byte, const std::bitset<256>* follow) {
  const Level& before = levels_[depth - 1];
  configs_.resize(before.last);
  const Runner::Outcome outcome = runner_.step(configs_, before.first, before.last, byte);
  levels_[depth] = {before.last, configs_.size(), outcome.ended || outcome.reached_unknown,
                    outcome.reached_unknown,
                    before.uncertain || outcome.too_deep || (before.unknown && follow && follow->test(byte))};
}

void TokenWalk::all(std::span<const Config> from, const std::bitset<256>* follow, Found& out) {
  const std::size_t mark = runner_.mark();
  begin(from);
  const auto nodes = vocabulary_.nodes();
  const auto add = [](std::vector<std::uint32_t>& ranks, std::uint32_t first, std::uint32_t end) {
    for (; first < end; ++first) ranks.push_back(first);
  };
  for (std::size_t i = 1; i + 1 < nodes.size();) {
    const TokenMasks::Node& node = nodes[i];
    step(node.depth, node.byte, follow);
    const Level& level = levels_[node.depth];
    if (level.dead()) {
      if (level.uncertain) add(out.uncertain, node.first_token, nodes[node.after].first_token);
      i = node.after;
    } else {
      add(out.allowed, node.first_token, nodes[i + 1].first_token);
      ++i;
    }
  }
  runner_.rollback(mark);
}

void TokenWalk::some(std::span<const Config> from, const std::bitset<256>* follow,
                     std::span<const std::uint32_t> ranks, Found& out) {
  const std::size_t mark = runner_.mark();
  begin(from);
  std::string_view before;
  std::size_t known = 0;  // bytes of `before` that were followed
  for (const std::uint32_t rank : ranks) {
    const std::string_view symbols = vocabulary_.symbols_of(rank);
    const auto shared = static_cast<std::size_t>(
        std::mismatch(before.begin(), before.end(), symbols.begin(), symbols.end()).first - before.begin());
    known = std::min(known, shared);
    while (known < symbols.size() && !levels_[known].dead()) {
      ++known;
      step(known, static_cast<std::uint8_t>(symbols[known - 1]), follow);
    }
    before = symbols;
    if (!levels_[known].dead()) {
      out.allowed.push_back(rank);
    } else if (levels_[known].uncertain) {
      out.uncertain.push_back(rank);
    }
  }
  runner_.rollback(mark);
}

}  // namespace exa::grammar
