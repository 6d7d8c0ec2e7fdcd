#include "grammar/runner.h"

#include <algorithm>

#include "base/error.h"

namespace exa::grammar {
namespace {

constexpr std::size_t kMostConfigs = 4096;
constexpr std::size_t kFirstSlots = 1024;

std::size_t hash_of(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  std::uint64_t h = (std::uint64_t{a} << 32 | b) * 0x9e3779b97f4a7c15u;
  h ^= (h >> 29) ^ (std::uint64_t{c} * 0xbf58476d1ce4e5b9u);
  h *= 0x94d049bb133111ebu;
  return static_cast<std::size_t>(h ^ (h >> 32));
}

}  // namespace

Runner::Runner(const Machine& machine, std::uint32_t most_depth)
    : machine_(machine),
      most_depth_(most_depth),
      frames_{{0, 0, 0, 0}, {0, 0, 0, 0}},
      slots_(kFirstSlots, 0),
      seen_(kFirstSlots),
      seen_round_(kFirstSlots, 0) {}

std::size_t Runner::slot_of(StateId state, std::uint32_t count, std::uint32_t parent) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = hash_of(state, count, parent) & mask;
  for (; slots_[i] != 0; i = (i + 1) & mask) {
    const Frame& frame = frames_[slots_[i]];
    if (frame.state == state && frame.count == count && frame.parent == parent) break;
  }
  return i;
}

std::uint32_t Runner::push(StateId state, std::uint32_t count, std::uint32_t parent) {
  std::size_t slot = slot_of(state, count, parent);
  if (slots_[slot] != 0) return slots_[slot];
  if (frames_.size() * 2 > slots_.size()) {
    grow();
    slot = slot_of(state, count, parent);
  }
  slots_[slot] = static_cast<std::uint32_t>(frames_.size());
  frames_.push_back({state, count, parent, frames_[parent].depth + 1});
  return slots_[slot];
}

void Runner::grow() {
  slots_.assign(slots_.size() * 2, 0);
  for (std::uint32_t f = 2; f < frames_.size(); ++f) {
    slots_[slot_of(frames_[f].state, frames_[f].count, frames_[f].parent)] = f;
  }
}

void Runner::rollback(std::size_t mark) {
  // Last in, first out: nobody's probing went past a slot that is freed here.
  while (frames_.size() > mark) {
    const Frame& frame = frames_.back();
    slots_[slot_of(frame.state, frame.count, frame.parent)] = 0;
    frames_.pop_back();
  }
}

void Runner::compact(std::vector<Config>& configs) {
  std::vector<std::uint32_t> renamed(frames_.size(), 0);
  renamed[kUnknownStack] = kUnknownStack;
  for (const Config& config : configs) {
    for (std::uint32_t f = config.stack; f > kUnknownStack && renamed[f] == 0; f = frames_[f].parent) {
      renamed[f] = kUnknownStack;  // wanted
    }
  }
  std::vector<Frame> kept(frames_.begin(), frames_.begin() + 2);
  // A frame's parent is older than the frame.
  for (std::uint32_t f = 2; f < frames_.size(); ++f) {
    if (renamed[f] == 0) continue;
    renamed[f] = static_cast<std::uint32_t>(kept.size());
    kept.push_back(frames_[f]);
    kept.back().parent = renamed[frames_[f].parent];
  }
  frames_ = std::move(kept);
  std::fill(slots_.begin(), slots_.end(), 0u);
  for (std::uint32_t f = 2; f < frames_.size(); ++f) {
    slots_[slot_of(frames_[f].state, frames_[f].count, frames_[f].parent)] = f;
  }
  for (Config& config : configs) config.stack = renamed[config.stack];
}

bool Runner::is_new(const Config& config) {
  const std::size_t mask = seen_.size() - 1;
  std::size_t i = hash_of(config.state, config.count, config.stack) & mask;
  for (; seen_round_[i] == round_; i = (i + 1) & mask) {
    if (seen_[i] == config) return false;
  }
  if (++n_seen_ > kMostConfigs) {
    throw Error(ErrorKind::kUnsupported, "the grammar is too ambiguous: expected at most " +
                                             std::to_string(kMostConfigs) + " readings of the text so far");
  }
  seen_[i] = config;
  seen_round_[i] = round_;
  if (n_seen_ * 2 > seen_.size()) {
    std::vector<Config> old;
    for (std::size_t k = 0; k < seen_.size(); ++k) {
      if (seen_round_[k] == round_) old.push_back(seen_[k]);
    }
    seen_.assign(seen_.size() * 2, Config{});
    seen_round_.assign(seen_.size(), 0);
    round_ = 1;
    for (const Config& c : old) {
      std::size_t k = hash_of(c.state, c.count, c.stack) & (seen_.size() - 1);
      while (seen_round_[k] == round_) k = (k + 1) & (seen_.size() - 1);
      seen_[k] = c;
      seen_round_[k] = round_;
    }
  }
  return true;
}

void Runner::enter(RuleId rule, std::uint32_t stack) {
  const Machine::RuleInfo& info = machine_.rule(rule);
  if (info.fewest == 0) leave(stack);
  work_.push_back({info.start, 0, stack});
}

void Runner::leave(std::uint32_t stack) {
  if (stack == kEmptyStack) {
    outcome_.ended = true;
  } else if (stack == kUnknownStack) {
    outcome_.reached_unknown = true;
  } else {
    const Frame& frame = frames_[stack];
    work_.push_back({frame.state, frame.count, frame.parent});
  }
}

void Runner::end_pass(const Config& config) {
  const Machine::RuleInfo& rule = machine_.rule(machine_.rule_of(config.state));
  if (!rule.repeats) return leave(config.stack);
  if (config.count >= kFarFromMost) {
    if (config.count == kFarFromMost) leave(config.stack);
    work_.push_back({rule.start, config.count, config.stack});
    return;
  }
  const std::uint32_t done = config.count + 1;
  if (done >= rule.fewest) leave(config.stack);
  if (done < rule.most) {
    // Past the fewest, passes without a limit need no counting.
    const std::uint32_t kept = rule.most == kUnlimited ? std::min(done, rule.fewest) : done;
    work_.push_back({rule.start, kept, config.stack});
  }
}

void Runner::close(std::vector<Config>& out) {
  while (!work_.empty()) {
    const Config config = work_.back();
    work_.pop_back();
    if (!is_new(config)) continue;
    if (frames_[config.stack].depth + machine_.depth_needed(config.state) > most_depth_) {
      outcome_.too_deep = true;
      continue;
    }
    if (machine_.takes_bytes(config.state)) out.push_back(config);
    if (machine_.is_plain(config.state)) continue;
    for (const StateId to : machine_.empties(config.state)) work_.push_back({to, config.count, config.stack});
    for (const Machine::Call& call : machine_.calls(config.state)) {
      if (call.is_tail) {
        enter(call.rule, config.stack);
      } else if (frames_[config.stack].depth + std::max(1u, machine_.depth_needed(call.to)) > most_depth_) {
        outcome_.too_deep = true;
      } else {
        enter(call.rule, push(call.to, config.count, config.stack));
      }
    }
    if (machine_.accepts(config.state)) end_pass(config);
  }
}

Runner::Outcome Runner::begin(RuleId rule, std::vector<Config>& out) {
  outcome_ = {};
  ++round_;
  n_seen_ = 0;
  work_.clear();
  enter(rule, kEmptyStack);
  close(out);
  return outcome_;
}

Runner::Outcome Runner::step(std::vector<Config>& configs, std::size_t first, std::size_t last,
                             std::uint8_t byte) {
  outcome_ = {};
  if (last - first == 1) {
    const Config config = configs[first];
    const std::uint16_t to = machine_.next(config.state, byte);
    if (to == Machine::kDead) return outcome_;
    if (machine_.is_plain(to)) {
      if (frames_[config.stack].depth + machine_.depth_needed(to) > most_depth_) {
        outcome_.too_deep = true;
      } else {
        configs.push_back({to, config.count, config.stack});
      }
      return outcome_;
    }
  }
  // From the back, so that what work_ gives up first is what came first.
  work_.clear();
  for (std::size_t i = last; i > first; --i) {
    const Config& config = configs[i - 1];
    const std::uint16_t to = machine_.next(config.state, byte);
    if (to != Machine::kDead) work_.push_back({to, config.count, config.stack});
  }
  if (work_.empty()) return outcome_;
  ++round_;
  n_seen_ = 0;
  close(configs);
  return outcome_;
}

}  // namespace exa::grammar
