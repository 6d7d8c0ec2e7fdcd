#include "grammar/machine.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace exa::grammar {
namespace {

constexpr std::uint32_t kNever = std::numeric_limits<std::uint32_t>::max();
// Passes that take no byte are followed one by one.
constexpr std::uint32_t kMostEmptyPasses = 64;

// All rules' states in one row; what is said about a grammar before its table is laid out.
struct Flat {
  const RuleSet& set;
  std::vector<State> states;
  std::vector<RuleId> rule_of;
  std::vector<StateId> start;  // of each rule

  explicit Flat(const RuleSet& rules) : set(rules) {
    for (RuleId r = 0; r < rules.rules.size(); ++r) {
      const auto offset = static_cast<StateId>(states.size());
      start.push_back(offset);
      for (State state : rules.rules[r].body.states) {
        for (ByteEdge& edge : state.bytes) edge.to += offset;
        for (StateId& to : state.empties) to += offset;
        for (CallEdge& edge : state.calls) edge.to += offset;
        states.push_back(std::move(state));
        rule_of.push_back(r);
      }
    }
  }

  const Rule& rule(RuleId r) const { return set.rules[r]; }
};

// Rules that the root reaches, one after the other; the others' parts of a loose attempt are left behind.
RuleSet reachable(const RuleSet& all) {
  std::vector<RuleId> renamed(all.rules.size(), kNever);
  std::vector<RuleId> order{all.root};
  renamed[all.root] = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (const State& state : all.rules[order[i]].body.states) {
      for (const CallEdge& edge : state.calls) {
        if (renamed[edge.rule] != kNever) continue;
        renamed[edge.rule] = static_cast<RuleId>(order.size());
        order.push_back(edge.rule);
      }
    }
  }
  RuleSet out{all.budget, {}, 0, all.most_depth};
  for (const RuleId r : order) {
    out.rules.push_back(all.rules[r]);
    for (State& state : out.rules.back().body.states) {
      for (CallEdge& edge : state.calls) edge.rule = renamed[edge.rule];
    }
  }
  return out;
}

// depth_needed of each state, kNever where no end can be reached: states are settled by rising need.
std::vector<std::uint32_t> depths_needed(const Flat& flat) {
  const std::size_t n = flat.states.size();
  struct Caller {
    StateId from, to;
  };
  std::vector<std::vector<StateId>> before(n);
  std::vector<std::vector<Caller>> callers(flat.set.rules.size());
  std::vector<std::vector<Caller>> returns(n);  // calls by where they return to
  std::vector<std::vector<StateId>> levels(1);
  std::vector<std::uint32_t> need(n, kNever);
  std::vector<bool> settled(n, false);
  const auto offer = [&](StateId s, std::uint32_t depth) {
    if (settled[s] || depth >= need[s]) return;
    need[s] = depth;
    if (depth >= levels.size()) levels.resize(depth + 1);
    levels[depth].push_back(s);
  };
  for (StateId s = 0; s < n; ++s) {
    for (const ByteEdge& edge : flat.states[s].bytes) before[edge.to].push_back(s);
    for (const StateId to : flat.states[s].empties) before[to].push_back(s);
    for (const CallEdge& edge : flat.states[s].calls) {
      callers[edge.rule].push_back({s, edge.to});
      returns[edge.to].push_back({s, flat.start[edge.rule]});
      if (flat.rule(edge.rule).fewest == 0) before[edge.to].push_back(s);
    }
    if (flat.states[s].accepts) offer(s, 0);
  }
  for (std::size_t depth = 0; depth < levels.size(); ++depth) {
    for (std::size_t i = 0; i < levels[depth].size(); ++i) {
      const StateId s = levels[depth][i];
      if (settled[s] || need[s] != depth) continue;
      settled[s] = true;
      const auto d = static_cast<std::uint32_t>(depth);
      for (const StateId from : before[s]) offer(from, d);
      for (const auto& [from, callee] : returns[s]) {
        if (settled[callee]) offer(from, std::max(need[callee] + 1, d));
      }
      const RuleId r = flat.rule_of[s];
      if (s != flat.start[r]) continue;
      for (const auto& [from, to] : callers[r]) {
        if (settled[to]) offer(from, std::max(d + 1, need[to]));
      }
    }
  }
  return need;
}

// Rules that can be through without a byte; a repeating rule's own body is told apart.
struct Nullable {
  std::vector<bool> body, rule;
};

// From a rule's start over empty edges and over calls that may take nothing.
template <typename Visit>
void visit_free_states(const Flat& flat, RuleId r, const std::vector<bool>& nullable, const Visit& visit) {
  std::vector<StateId> work{flat.start[r]};
  std::vector<StateId> seen{flat.start[r]};
  const auto add = [&](StateId s) {
    if (std::find(seen.begin(), seen.end(), s) != seen.end()) return;
    seen.push_back(s);
    work.push_back(s);
  };
  while (!work.empty()) {
    const StateId s = work.back();
    work.pop_back();
    visit(s);
    flat.set.budget->count_steps(1 + seen.size() / 8);
    for (const StateId to : flat.states[s].empties) add(to);
    for (const CallEdge& edge : flat.states[s].calls) {
      if (nullable[edge.rule]) add(edge.to);
    }
  }
}

Nullable find_nullable(const Flat& flat) {
  const std::size_t n = flat.set.rules.size();
  Nullable out{std::vector<bool>(n, false), std::vector<bool>(n, false)};
  std::vector<std::vector<RuleId>> callers(n);
  for (StateId s = 0; s < flat.states.size(); ++s) {
    for (const CallEdge& edge : flat.states[s].calls) callers[edge.rule].push_back(flat.rule_of[s]);
  }
  for (RuleId r = 0; r < n; ++r) {
    auto& list = callers[r];
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    out.rule[r] = flat.rule(r).fewest == 0;
  }
  std::vector<RuleId> work(n);
  for (RuleId r = 0; r < n; ++r) work[r] = r;
  while (!work.empty()) {
    const RuleId r = work.back();
    work.pop_back();
    if (out.body[r]) continue;
    bool ends = false;
    visit_free_states(flat, r, out.rule, [&](StateId s) { ends = ends || flat.states[s].accepts; });
    if (!ends) continue;
    out.body[r] = true;
    out.rule[r] = true;
    work.insert(work.end(), callers[r].begin(), callers[r].end());
  }
  return out;
}

void refuse_left_recursion(const Flat& flat, const std::vector<bool>& nullable) {
  const std::size_t n = flat.set.rules.size();
  std::vector<std::vector<RuleId>> calls(n);
  for (RuleId r = 0; r < n; ++r) {
    visit_free_states(flat, r, nullable, [&](StateId s) {
      for (const CallEdge& edge : flat.states[s].calls) calls[r].push_back(edge.rule);
    });
  }
  enum class Mark : std::uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(n, Mark::kNew);
  for (RuleId first = 0; first < n; ++first) {
    if (marks[first] != Mark::kNew) continue;
    std::vector<std::pair<RuleId, std::size_t>> path{{first, 0}};
    marks[first] = Mark::kOpen;
    while (!path.empty()) {
      auto& [r, i] = path.back();
      if (i == calls[r].size()) {
        marks[r] = Mark::kDone;
        path.pop_back();
        continue;
      }
      const RuleId callee = calls[r][i++];
      if (marks[callee] == Mark::kOpen) {
        throw Error(ErrorKind::kBadInput,
                    "expected a rule that takes text before it refers to itself, found left recursion",
                    flat.rule(callee).name);
      }
      if (marks[callee] == Mark::kNew) {
        marks[callee] = Mark::kOpen;
        path.emplace_back(callee, 0);
      }
    }
  }
}

// first[r]: bytes that rule r may begin with; follow[r]: bytes that may come after it.
struct Edges {
  std::vector<std::bitset<256>> first, follow;
};

Edges find_edges(const Flat& flat, const Nullable& nullable) {
  const std::size_t n = flat.set.rules.size();
  const std::size_t n_states = flat.states.size();
  Edges out{std::vector<std::bitset<256>>(n), std::vector<std::bitset<256>>(n)};
  const auto own = [&](StateId s) {
    std::bitset<256> bytes;
    for (const ByteEdge& edge : flat.states[s].bytes) {
      for (unsigned b = edge.low; b <= edge.high; ++b) bytes.set(b);
    }
    return bytes;
  };
  // What a state may begin with, and whether its rule's body may end there without a byte: to a fixed point.
  std::vector<std::bitset<256>> first(n_states);
  std::vector<bool> ends(n_states, false);
  for (StateId s = 0; s < n_states; ++s) {
    first[s] = own(s);
    ends[s] = flat.states[s].accepts;
  }
  // Parts are mostly built front to back, so the ends are seen first from behind.
  std::vector<StateId> passing;
  std::size_t n_passes = 0;
  for (StateId s = static_cast<StateId>(n_states); s-- > 0;) {
    const std::size_t here = flat.states[s].empties.size() + flat.states[s].calls.size();
    if (here > 0) passing.push_back(s);
    n_passes += here;
  }
  // What comparing and joining sets of bytes costs, in elementary steps.
  constexpr std::size_t kStepsOfSet = 2;
  for (bool changed = true; changed;) {
    changed = false;
    flat.set.budget->count_steps(kStepsOfSet * (passing.size() + n_passes));
    for (const StateId s : passing) {
      const State& state = flat.states[s];
      std::bitset<256> bytes = first[s];
      bool end = ends[s];
      const auto follow_on = [&](StateId to) {
        bytes |= first[to];
        end = end || ends[to];
      };
      for (const StateId to : state.empties) follow_on(to);
      for (const CallEdge& edge : state.calls) {
        bytes |= first[flat.start[edge.rule]];
        if (nullable.rule[edge.rule]) follow_on(edge.to);
      }
      if (bytes != first[s] || end != ends[s]) {
        first[s] = bytes;
        ends[s] = end;
        changed = true;
      }
    }
  }
  for (RuleId r = 0; r < n; ++r) {
    out.first[r] = first[flat.start[r]];
    if (flat.rule(r).repeats()) out.follow[r] |= out.first[r];
  }
  for (bool changed = true; changed;) {
    changed = false;
    flat.set.budget->count_steps(kStepsOfSet * (passing.size() + n_passes));
    for (const StateId s : passing) {
      for (const CallEdge& edge : flat.states[s].calls) {
        std::bitset<256> bytes = out.follow[edge.rule] | first[edge.to];
        if (ends[edge.to]) bytes |= out.follow[flat.rule_of[s]];
        if (bytes != out.follow[edge.rule]) {
          out.follow[edge.rule] = bytes;
          changed = true;
        }
      }
    }
  }
  return out;
}

// Byte edges of one state that overlap go to states of their own, reached by empty edges.
void part_overlaps(RuleSet& set) {
  for (Rule& rule : set.rules) {
    for (StateId s = 0; s < rule.body.states.size(); ++s) {
      auto& bytes = rule.body.states[s].bytes;
      std::sort(bytes.begin(), bytes.end(),
                [](const ByteEdge& a, const ByteEdge& b) { return a.low < b.low; });
      std::vector<ByteEdge> kept;
      std::vector<ByteEdge> rest;
      for (const ByteEdge& edge : bytes) {
        (kept.empty() || kept.back().high < edge.low ? kept : rest).push_back(edge);
      }
      bytes = std::move(kept);
      if (rest.empty()) continue;
      set.budget->count_steps(rest.size());
      const StateId more = rule.body.add_state();
      rule.body.states[more].bytes = std::move(rest);
      rule.body.add_empty(s, more);
    }
  }
}

}  // namespace

Machine::Machine(const RuleSet& all) : most_depth_(all.most_depth) {
  RuleSet set = reachable(all);
  part_overlaps(set);
  Flat flat(set);
  if (flat.states.size() > kMostStates) {
    throw Error(ErrorKind::kUnsupported,
                "the grammar is too large: expected at most " + std::to_string(kMostStates) +
                    " states, found " + std::to_string(flat.states.size()),
                set.budget->place());
  }
  {
    const std::vector<std::uint32_t> need = depths_needed(flat);
    if (need[flat.start[0]] == kNever) {
      throw Error(ErrorKind::kBadInput,
                  "expected a grammar that some text satisfies, found one that none does", set.rules[0].name);
    }
    // What can never be finished is never begun.
    for (State& state : flat.states) {
      std::erase_if(state.bytes, [&](const ByteEdge& edge) { return need[edge.to] == kNever; });
      std::erase_if(state.empties, [&](StateId to) { return need[to] == kNever; });
      std::erase_if(state.calls, [&](const CallEdge& edge) {
        if (need[edge.to] == kNever) return true;
        if (need[flat.start[edge.rule]] != kNever) return false;
        if (flat.rule(edge.rule).fewest == 0) state.empties.push_back(edge.to);
        return true;
      });
    }
    for (StateId s = 0; s < flat.states.size(); ++s) {
      info_.push_back({flat.rule_of[s], 0, 0, 0, 0, need[s] == kNever ? 0 : need[s], false, false,
                       flat.states[s].accepts});
      most_depth_needed_ = std::max(most_depth_needed_, info_.back().depth_needed);
    }
  }
  const Nullable nullable = find_nullable(flat);
  refuse_left_recursion(flat, nullable.rule);
  Edges edges = find_edges(flat, nullable);

  for (RuleId r = 0; r < set.rules.size(); ++r) {
    const Rule& rule = set.rules[r];
    const bool counted = rule.repeats() && nullable.body[r];
    if (counted && std::max(rule.fewest, rule.most == kUnlimited ? 0 : rule.most) > kMostEmptyPasses) {
      throw Error(ErrorKind::kUnsupported,
                  "expected at most " + std::to_string(kMostEmptyPasses) +
                      " repetitions of something that may be empty",
                  rule.name);
    }
    rules_.push_back(
        {flat.start[r], rule.fewest, rule.most, rule.repeats(), nullable.body[r], edges.follow[r]});
  }

  std::array<bool, 257> cut{};
  for (const State& state : flat.states) {
    for (const ByteEdge& edge : state.bytes) cut[edge.low] = cut[std::size_t{edge.high} + 1] = true;
  }
  for (std::size_t b = 0; b < 256; ++b) {
    if (b > 0 && cut[b]) ++n_classes_;
    class_of_[b] = static_cast<std::uint8_t>(n_classes_);
  }
  ++n_classes_;
  table_.assign(flat.states.size() * n_classes_, kDead);
  for (StateId s = 0; s < flat.states.size(); ++s) {
    const State& state = flat.states[s];
    StateInfo& info = info_[s];
    for (const ByteEdge& edge : state.bytes) {
      for (std::size_t c = class_of_[edge.low]; c <= class_of_[edge.high]; ++c) {
        table_[s * n_classes_ + c] = static_cast<std::uint16_t>(edge.to);
      }
    }
    info.takes_bytes = !state.bytes.empty();
    info.is_plain = state.calls.empty() && state.empties.empty() && !state.accepts;
    info.first_empty = static_cast<std::uint32_t>(empties_.size());
    info.n_empties = static_cast<std::uint32_t>(state.empties.size());
    empties_.insert(empties_.end(), state.empties.begin(), state.empties.end());
    info.first_call = static_cast<std::uint32_t>(calls_.size());
    info.n_calls = static_cast<std::uint32_t>(state.calls.size());
    for (const CallEdge& edge : state.calls) {
      const State& after = flat.states[edge.to];
      const bool is_tail = after.accepts && after.bytes.empty() && after.calls.empty() &&
                           after.empties.empty() && !rules_[info.rule].repeats;
      calls_.push_back({edge.rule, edge.to, is_tail});
    }
  }
  // A path of its own for every grammar: at least as deep as its shallowest text.
  most_depth_ = std::max(most_depth_, most_depth_needed_ + 64);
}

}  // namespace exa::grammar
