#include "grammar/mask_cache.h"

#include <algorithm>
#include <limits>

namespace exa::grammar {
namespace {

constexpr std::size_t kAnyLength = std::numeric_limits<std::size_t>::max();

}  // namespace

MaskCache::MaskCache(const Machine& machine, const TokenMasks& vocabulary, std::size_t most_bytes)
    : machine_(machine),
      vocabulary_(vocabulary),
      most_bytes_(most_bytes),
      margin_(kMostOpened + machine.most_depth_needed()),
      runner_(machine, margin_),
      walk_(runner_, vocabulary) {}

std::size_t MaskCache::sure_bytes(StateId state, std::uint32_t count) const {
  const Machine::RuleInfo& rule = machine_.rule(machine_.rule_of(state));
  if (!rule.repeats || rule.may_be_empty || count >= kFarFromMost) return kAnyLength;
  // A token of n bytes ends at most n passes.
  std::size_t sure = rule.most == kUnlimited ? kAnyLength : rule.most - count;
  if (count < rule.fewest) sure = std::min<std::size_t>(sure, rule.fewest - count);
  return sure;
}

std::shared_ptr<const StateMask> MaskCache::find(const Config& config) {
  const std::lock_guard lock(mutex_);
  const Machine::RuleInfo& rule = machine_.rule(machine_.rule_of(config.state));
  std::uint32_t count = config.count;
  if (rule.repeats && !rule.may_be_empty && sure_bytes(config.state, count) >= vocabulary_.longest()) {
    count = count < rule.fewest ? kFarFromFewest : kFarFromMost;
  }
  return find_key(config.state, count);
}

std::shared_ptr<const StateMask> MaskCache::find_key(StateId state, std::uint32_t count) {
  const Key key = Key{state} << 32 | count;
  const auto known = masks_.find(key);
  if (known != masks_.end()) return known->second;
  auto mask = make(state, count);
  bytes_ += mask->bytes();
  while (bytes_ > most_bytes_ && !order_.empty()) {
    const auto oldest = masks_.find(order_.front());
    bytes_ -= oldest->second->bytes();
    masks_.erase(oldest);
    order_.pop_front();
  }
  masks_.emplace(key, mask);
  order_.push_back(key);
  return mask;
}

std::shared_ptr<const StateMask> MaskCache::packed(const Found& found) const {
  auto mask = std::make_shared<StateMask>();
  if (found.allowed.size() < vocabulary_.n_words()) {
    for (const std::uint32_t rank : found.allowed) mask->ids.push_back(vocabulary_.id_of(rank));
  } else {
    mask->words.assign(vocabulary_.n_words(), 0);
    for (const std::uint32_t rank : found.allowed) {
      const auto id = static_cast<std::size_t>(vocabulary_.id_of(rank));
      mask->words[id / 64] |= std::uint64_t{1} << (id % 64);
    }
  }
  mask->uncertain = found.uncertain;
  return mask;
}

std::shared_ptr<const StateMask> MaskCache::make(StateId state, std::uint32_t count) {
  const Config from{state, count, Runner::kUnknownStack};
  const auto* follow = &machine_.rule(machine_.rule_of(state)).follow;
  Found found;
  const std::size_t sure = sure_bytes(state, count);
  if (sure < vocabulary_.longest()) {
    std::vector<std::uint32_t> unsure;
    for (std::uint32_t rank = 0; rank < vocabulary_.n_ranks(); ++rank) {
      if (vocabulary_.symbols_of(rank).size() > sure) unsure.push_back(rank);
    }
    if (unsure.size() < vocabulary_.n_ranks() / 4) {
      const Machine::RuleInfo& rule = machine_.rule(machine_.rule_of(state));
      const auto far = find_key(state, count < rule.fewest ? kFarFromFewest : kFarFromMost);
      walk_.some({&from, 1}, follow, unsure, found);
      auto mask = std::make_shared<StateMask>();
      mask->words = far->words;
      if (mask->words.empty()) {
        mask->words.assign(vocabulary_.n_words(), 0);
        for (const TokenId id : far->ids) {
          mask->words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
        }
      }
      const auto bit = [&](std::uint32_t rank, bool allowed) {
        const auto id = static_cast<std::size_t>(vocabulary_.id_of(rank));
        const std::uint64_t one = std::uint64_t{1} << (id % 64);
        mask->words[id / 64] = allowed ? mask->words[id / 64] | one : mask->words[id / 64] & ~one;
      };
      for (const std::uint32_t rank : unsure) bit(rank, false);
      for (const std::uint32_t rank : found.allowed) bit(rank, true);
      for (const std::uint32_t rank : far->uncertain) {
        if (vocabulary_.symbols_of(rank).size() <= sure) mask->uncertain.push_back(rank);
      }
      mask->uncertain.insert(mask->uncertain.end(), found.uncertain.begin(), found.uncertain.end());
      std::sort(mask->uncertain.begin(), mask->uncertain.end());
      return mask;
    }
  }
  walk_.all({&from, 1}, follow, found);
  return packed(found);
}

}  // namespace exa::grammar
