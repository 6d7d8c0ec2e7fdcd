// Runs a Machine byte by byte: all ways in which the text so far can be read, as states over shared stacks.
//
// A Config is one reading: a state, how many passes of a repeating rule are done, and a stack of open calls.
// Stacks are linked frames, each kept once, so equal readings are equal numbers.
// Ownership and threads: borrows the machine; one thread.
// Source: Tomita 1985 (shared stacks of a nondeterministic pushdown automaton).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "grammar/machine.h"

namespace exa::grammar {

struct Config {
  StateId state;
  std::uint32_t count;
  std::uint32_t stack;
  bool operator==(const Config&) const = default;
};

// Counts that stand for "far from the fewest" and "far from the most" passes of a repetition.
constexpr std::uint32_t kFarFromFewest = 0xffff'ffffu;
constexpr std::uint32_t kFarFromMost = 0xffff'fffeu;

class Runner {
 public:
  static constexpr std::uint32_t kEmptyStack = 0;    // of the grammar's root
  static constexpr std::uint32_t kUnknownStack = 1;  // whatever lies below

  struct Outcome {
    bool ended = false;            // the root is through
    bool reached_unknown = false;  // a reading came to the end of the rule above the unknown stack
    bool too_deep = false;         // a reading was left out for opening more calls than allowed
  };

  // most_depth: calls open at once; what needs more is not begun.
  Runner(const Machine& machine, std::uint32_t most_depth);

  // Appends the readings of the empty text by that rule. Errors (also of step): kUnsupported where a text has
  // more than kMostConfigs readings.
  Outcome begin(RuleId rule, std::vector<Config>& out);
  // Appends the readings that `byte` leads to from configs[first, last).
  Outcome step(std::vector<Config>& configs, std::size_t first, std::size_t last, std::uint8_t byte);

  std::uint32_t depth(std::uint32_t stack) const { return frames_[stack].depth; }

  // Frames made after mark() are forgotten by rollback(); no config may refer to them.
  std::size_t mark() const { return frames_.size(); }
  void rollback(std::size_t mark);
  // Forgets the frames that none of the configs needs; their stacks get new numbers.
  void compact(std::vector<Config>& configs);

 private:
  struct Frame {
    StateId state;
    std::uint32_t count;
    std::uint32_t parent;
    std::uint32_t depth;
  };

  std::uint32_t push(StateId state, std::uint32_t count, std::uint32_t parent);
  std::size_t slot_of(StateId state, std::uint32_t count, std::uint32_t parent) const;
  void grow();
  void enter(RuleId rule, std::uint32_t stack);
  void leave(std::uint32_t stack);
  void end_pass(const Config& config);
  // Follows everything in work_ that takes no byte.
  void close(std::vector<Config>& out);
  bool is_new(const Config& config);

  const Machine& machine_;
  std::uint32_t most_depth_;
  std::vector<Frame> frames_;
  std::vector<std::uint32_t> slots_;  // frame numbers by hash; 0: free
  std::vector<Config> work_;
  std::vector<Config> seen_;  // by hash, valid where seen_round_ is round_
  std::vector<std::uint64_t> seen_round_;
  std::uint64_t round_ = 0;
  std::size_t n_seen_ = 0;
  Outcome outcome_;
};

}  // namespace exa::grammar
