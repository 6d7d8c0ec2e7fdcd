// A finished grammar: rules flattened into one table, proved free of endless loops and dead ends.
//
// Ownership and threads: immutable; shared by all sequences that follow the grammar.
// Source: pushdown automata; Knuth 1977 (cheapest ways to an end), FIRST and FOLLOW sets.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <span>
#include <vector>

#include "grammar/rules.h"

namespace exa::grammar {

class Machine {
 public:
  static constexpr std::uint16_t kDead = 0xffff;

  struct RuleInfo {
    StateId start;
    std::uint32_t fewest, most;
    bool repeats;
    // One pass through a repeated body may take no byte; counts are small then.
    bool may_be_empty;
    std::bitset<256> follow;  // bytes that may come right after the rule is through
  };
  struct Call {
    RuleId rule;
    StateId to;
    bool is_tail;  // nothing but the end of a rule that does not repeat comes after it
  };

  // Errors: kBadInput (a rule that refers to itself before it took a byte, a grammar that can never end),
  // kUnsupported (more than kMostStates; a long repetition of something that may be empty).
  explicit Machine(const RuleSet& rules);

  std::size_t n_states() const { return info_.size(); }
  // Rule 0; the first that the root calls is rule 1.
  static constexpr RuleId kRoot = 0;
  const RuleInfo& rule(RuleId id) const { return rules_[id]; }
  RuleId rule_of(StateId s) const { return info_[s].rule; }

  std::uint16_t next(StateId s, std::uint8_t byte) const {
    return table_[std::size_t{s} * n_classes_ + class_of_[byte]];
  }
  bool takes_bytes(StateId s) const { return info_[s].takes_bytes; }
  // Neither calls nor empty edges nor the end of a rule.
  bool is_plain(StateId s) const { return info_[s].is_plain; }
  bool accepts(StateId s) const { return info_[s].accepts; }
  std::span<const StateId> empties(StateId s) const {
    return std::span(empties_).subspan(info_[s].first_empty, info_[s].n_empties);
  }
  std::span<const Call> calls(StateId s) const {
    return std::span(calls_).subspan(info_[s].first_call, info_[s].n_calls);
  }
  // How many more calls must be open at once before the state's rule is through.
  std::uint32_t depth_needed(StateId s) const { return info_[s].depth_needed; }
  std::uint32_t most_depth_needed() const { return most_depth_needed_; }
  std::uint32_t most_depth() const { return most_depth_; }

 private:
  struct StateInfo {
    RuleId rule;
    std::uint32_t first_empty, n_empties;
    std::uint32_t first_call, n_calls;
    std::uint32_t depth_needed;
    bool takes_bytes, is_plain, accepts;
  };

  std::uint32_t most_depth_ = 0;
  std::uint32_t most_depth_needed_ = 0;
  std::size_t n_classes_ = 0;
  std::array<std::uint8_t, 256> class_of_{};
  std::vector<std::uint16_t> table_;  // [n_states, n_classes]
  std::vector<StateInfo> info_;       // [n_states]
  std::vector<StateId> empties_;
  std::vector<Call> calls_;
  std::vector<RuleInfo> rules_;
};

}  // namespace exa::grammar
