#include "grammar/automaton.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <utility>

namespace exa::grammar {
namespace {

using Subset = std::vector<StateId>;

struct SubsetHash {
  std::size_t operator()(const Subset& subset) const {
    std::uint64_t h = 0x9e3779b97f4a7c15u;
    for (const StateId s : subset) h = (h ^ s) * 0xff51afd7ed558ccdu ^ (h >> 29);
    return static_cast<std::size_t>(h);
  }
};

// Adds what empty edges reach; sorted, each state once.
class Closure {
 public:
  explicit Closure(const Automaton& automaton) : automaton_(automaton), seen_(automaton.states.size(), 0) {}

  void close(Subset& subset) {
    ++round_;
    std::size_t kept = 0;
    for (const StateId s : subset) {
      if (std::exchange(seen_[s], round_) != round_) subset[kept++] = s;
    }
    subset.resize(kept);
    for (std::size_t i = 0; i < subset.size(); ++i) {
      const State& state = automaton_.states[subset[i]];
      automaton_.budget().count_steps(1 + state.empties.size());
      for (const StateId to : state.empties) {
        if (std::exchange(seen_[to], round_) != round_) subset.push_back(to);
      }
    }
    if (std::is_sorted(subset.begin(), subset.end())) return;
    automaton_.budget().count_steps(subset.size() * std::bit_width(subset.size()) / 2);
    std::sort(subset.begin(), subset.end());
  }

 private:
  const Automaton& automaton_;
  std::vector<std::uint32_t> seen_;
  std::uint32_t round_ = 0;
};

class Determinizer {
 public:
  Determinizer(const Automaton& automaton, std::size_t most_states)
      : in_(automaton), closure_(automaton), most_states_(most_states), out_(automaton.budget()) {
    out_.states.clear();
  }

  std::optional<Automaton> run() {
    Subset start{Automaton::kStart};
    id_of(start);
    for (std::size_t i = 0; i < order_.size(); ++i) {
      if (order_.size() > most_states_) return std::nullopt;
      expand(static_cast<StateId>(i));
    }
    return std::move(out_);
  }

 private:
  StateId id_of(Subset& subset) {
    closure_.close(subset);
    const auto [at, is_new] = ids_.try_emplace(subset, static_cast<StateId>(order_.size()));
    if (is_new) {
      in_.budget().count_steps(16 + subset.size());
      order_.push_back(&at->first);
      const StateId id = out_.add_state();
      for (const StateId s : subset) {
        if (in_.states[s].accepts) out_.states[id].accepts = true;
      }
    }
    return at->second;
  }

  void expand(StateId id) {
    const Subset& subset = *order_[id];
    std::vector<CallEdge> calls;
    std::array<bool, 257> cut{};
    std::array<std::size_t, 257> place{};  // of the next edge with this lowest byte
    for (const StateId s : subset) {
      for (const ByteEdge& edge : in_.states[s].bytes) {
        cut[edge.low] = cut[std::size_t{edge.high} + 1] = true;
        ++place[std::size_t{edge.low} + 1];
      }
      const auto& more = in_.states[s].calls;
      calls.insert(calls.end(), more.begin(), more.end());
    }
    std::partial_sum(place.begin(), place.end(), place.begin());
    // By their lowest byte, else as they were: then targets are mostly in order too.
    std::vector<ByteEdge> edges(place.back());
    for (const StateId s : subset) {
      for (const ByteEdge& edge : in_.states[s].bytes) edges[place[edge.low]++] = edge;
    }
    std::vector<ByteEdge> live;
    std::size_t next = 0;
    for (unsigned low = 0; low < 256;) {
      unsigned high = low;
      while (!cut[high + 1] && high < 255) ++high;
      std::erase_if(live, [low](const ByteEdge& edge) { return edge.high < low; });
      for (; next < edges.size() && edges[next].low <= low; ++next) live.push_back(edges[next]);
      if (!live.empty()) {
        in_.budget().count_steps(live.size());
        Subset targets;
        for (const ByteEdge& edge : live) targets.push_back(edge.to);
        const StateId to = id_of(targets);
        auto& bytes = out_.states[id].bytes;
        if (!bytes.empty() && bytes.back().to == to && bytes.back().high + 1u == low) {
          bytes.back().high = static_cast<std::uint8_t>(high);
        } else {
          bytes.push_back({static_cast<std::uint8_t>(low), static_cast<std::uint8_t>(high), to});
        }
      }
      low = high + 1;
    }
    std::sort(calls.begin(), calls.end(),
              [](const CallEdge& a, const CallEdge& b) { return a.rule < b.rule; });
    for (std::size_t i = 0; i < calls.size();) {
      Subset targets;
      const RuleId rule = calls[i].rule;
      for (; i < calls.size() && calls[i].rule == rule; ++i) targets.push_back(calls[i].to);
      const StateId to = id_of(targets);
      out_.states[id].calls.push_back({rule, to});
    }
  }

  const Automaton& in_;
  Closure closure_;
  std::size_t most_states_;
  std::unordered_map<Subset, StateId, SubsetHash> ids_;
  std::vector<const Subset*> order_;
  Automaton out_;
};

}  // namespace

StateId Automaton::add_state() {
  budget_->count_state();
  states.emplace_back();
  return static_cast<StateId>(states.size() - 1);
}

void Automaton::add_bytes(StateId from, std::uint8_t low, std::uint8_t high, StateId to) {
  states[from].bytes.push_back({low, high, to});
}

void Automaton::add_literal(StateId from, std::string_view bytes, StateId to) {
  if (bytes.empty()) return add_empty(from, to);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    const StateId next = i + 1 == bytes.size() ? to : add_state();
    add_bytes(from, byte, byte, next);
    from = next;
  }
}

void Automaton::add_code_points(StateId from, const CodePointSet& set, StateId to) {
  // tails[k]: k bytes 80..BF before `to`, shared by all sequences that end so.
  std::array<std::optional<StateId>, 4> tails;
  tails[0] = to;
  const auto tail = [&](std::size_t k) {
    for (std::size_t i = 1; i <= k; ++i) {
      if (tails[i]) continue;
      tails[i] = add_state();
      add_bytes(*tails[i], 0x80, 0xbf, *tails[i - 1]);
    }
    return *tails[k];
  };
  for (const ByteRanges& sequence : utf8_ranges(set)) {
    budget_->count_steps(4);
    std::size_t n_full = 0;
    while (n_full + 1 < sequence.n) {
      const auto& range = sequence.ranges[sequence.n - 1 - n_full];
      if (range.low != 0x80 || range.high != 0xbf) break;
      ++n_full;
    }
    StateId at = from;
    for (std::size_t i = 0; i < sequence.n - n_full; ++i) {
      const StateId next = i + 1 == sequence.n - n_full ? tail(n_full) : add_state();
      add_bytes(at, sequence.ranges[i].low, sequence.ranges[i].high, next);
      at = next;
    }
  }
}

void Automaton::add_copy(StateId from, const Automaton& part, StateId to) {
  const auto offset = static_cast<StateId>(states.size());
  for (const State& state : part.states) {
    State& copy = states[add_state()];
    copy.bytes = state.bytes;
    copy.empties = state.empties;
    copy.calls = state.calls;
    for (ByteEdge& edge : copy.bytes) edge.to += offset;
    for (StateId& edge : copy.empties) edge += offset;
    for (CallEdge& edge : copy.calls) edge.to += offset;
    if (state.accepts) copy.empties.push_back(to);
    budget_->count_steps(1 + state.bytes.size() + state.empties.size() + state.calls.size());
  }
  add_empty(from, offset);
}

std::optional<Automaton> determinize(const Automaton& automaton, std::size_t most_states) {
  auto out = Determinizer(automaton, most_states).run();
  if (out) out = trimmed(*out);
  return out;
}

Automaton determinize(const Automaton& automaton) {
  return *determinize(automaton, std::numeric_limits<std::size_t>::max());
}

Automaton trimmed(const Automaton& a) {
  const std::size_t n = a.states.size();
  std::vector<std::vector<StateId>> before(n);
  for (StateId s = 0; s < n; ++s) {
    const State& state = a.states[s];
    a.budget().count_steps(1 + state.bytes.size() + state.empties.size() + state.calls.size());
    for (const ByteEdge& edge : state.bytes) before[edge.to].push_back(s);
    for (const StateId to : state.empties) before[to].push_back(s);
    for (const CallEdge& edge : state.calls) before[edge.to].push_back(s);
  }
  std::vector<bool> useful(n, false);
  std::vector<StateId> work;
  for (StateId s = 0; s < n; ++s) {
    if (a.states[s].accepts) {
      useful[s] = true;
      work.push_back(s);
    }
  }
  while (!work.empty()) {
    const StateId s = work.back();
    work.pop_back();
    for (const StateId from : before[s]) {
      if (useful[from]) continue;
      useful[from] = true;
      work.push_back(from);
    }
  }
  std::vector<StateId> renamed(n, 0);
  Automaton out(a.budget());
  for (StateId s = 1; s < n; ++s) {
    if (useful[s]) renamed[s] = out.add_state();
  }
  for (StateId s = 0; s < n; ++s) {
    if (!useful[s]) continue;
    const State& state = a.states[s];
    State& copy = out.states[renamed[s]];
    copy.accepts = state.accepts;
    for (const ByteEdge& edge : state.bytes) {
      if (useful[edge.to]) copy.bytes.push_back({edge.low, edge.high, renamed[edge.to]});
    }
    for (const StateId to : state.empties) {
      if (useful[to]) copy.empties.push_back(renamed[to]);
    }
    for (const CallEdge& edge : state.calls) {
      if (useful[edge.to]) copy.calls.push_back({edge.rule, renamed[edge.to]});
    }
  }
  return out;
}

Automaton intersect(const Automaton& a, const Automaton& b) {
  Automaton out(a.budget());
  std::unordered_map<std::uint64_t, StateId> ids;
  std::vector<std::pair<StateId, StateId>> pairs;
  const auto id_of = [&](StateId in_a, StateId in_b) {
    const auto [at, is_new] =
        ids.try_emplace(std::uint64_t{in_a} << 32 | in_b, static_cast<StateId>(pairs.size()));
    if (is_new) {
      if (!pairs.empty()) out.add_state();
      pairs.emplace_back(in_a, in_b);
      out.states[at->second].accepts = a.states[in_a].accepts && b.states[in_b].accepts;
    }
    return at->second;
  };
  id_of(Automaton::kStart, Automaton::kStart);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto [in_a, in_b] = pairs[i];
    const auto& left = a.states[in_a].bytes;
    const auto& right = b.states[in_b].bytes;
    a.budget().count_steps(4 + left.size() + right.size());
    for (std::size_t l = 0, r = 0; l < left.size() && r < right.size();) {
      const std::uint8_t low = std::max(left[l].low, right[r].low);
      const std::uint8_t high = std::min(left[l].high, right[r].high);
      if (low <= high) {
        const StateId to = id_of(left[l].to, right[r].to);
        out.states[i].bytes.push_back({low, high, to});
      }
      if (left[l].high < right[r].high) {
        ++l;
      } else {
        ++r;
      }
    }
  }
  return trimmed(out);
}

Automaton complement(const Automaton& a) {
  Automaton out = a;
  const StateId sink = out.add_state();
  for (State& state : out.states) {
    state.accepts = !state.accepts;
    std::vector<ByteEdge> bytes;
    unsigned next = 0;
    for (const ByteEdge& edge : state.bytes) {
      if (edge.low > next) {
        bytes.push_back({static_cast<std::uint8_t>(next), static_cast<std::uint8_t>(edge.low - 1), sink});
      }
      bytes.push_back(edge);
      next = edge.high + 1u;
    }
    if (next < 256) bytes.push_back({static_cast<std::uint8_t>(next), 0xff, sink});
    state.bytes = std::move(bytes);
  }
  return out;
}

Automaton without_empty(const Automaton& a) {
  if (!a.states[Automaton::kStart].accepts) return a;
  // Edges back to the start must still meet a state that accepts.
  Automaton out = a;
  const StateId copy = out.add_state();
  out.states[copy] = out.states[Automaton::kStart];
  for (State& state : out.states) {
    for (ByteEdge& edge : state.bytes) {
      if (edge.to == Automaton::kStart) edge.to = copy;
    }
  }
  out.states[Automaton::kStart].accepts = false;
  return trimmed(out);
}

bool is_empty(const Automaton& a) {
  std::vector<bool> seen(a.states.size(), false);
  std::vector<StateId> work{Automaton::kStart};
  seen[Automaton::kStart] = true;
  while (!work.empty()) {
    const StateId s = work.back();
    work.pop_back();
    if (a.states[s].accepts) return false;
    for (const ByteEdge& edge : a.states[s].bytes) {
      if (!seen[edge.to]) {
        seen[edge.to] = true;
        work.push_back(edge.to);
      }
    }
  }
  return true;
}

bool matches(const Automaton& a, std::string_view bytes) {
  StateId at = Automaton::kStart;
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    const auto& edges = a.states[at].bytes;
    const auto edge = std::find_if(edges.begin(), edges.end(),
                                   [byte](const ByteEdge& e) { return e.low <= byte && byte <= e.high; });
    if (edge == edges.end()) return false;
    at = edge->to;
  }
  return a.states[at].accepts;
}

LengthRange count_code_points(const Automaton& a) {
  const auto starts = [](const ByteEdge& edge) { return edge.low < 0x80 || edge.low > 0xbf ? 1u : 0u; };
  constexpr std::size_t kFar = std::numeric_limits<std::size_t>::max();
  const std::size_t n = a.states.size();
  std::vector<std::size_t> fewest(n, kFar);
  std::vector<std::vector<StateId>> buckets{{Automaton::kStart}};
  fewest[Automaton::kStart] = 0;
  LengthRange out{kFar, std::nullopt};
  for (std::size_t d = 0; d < buckets.size() && out.fewest == kFar; ++d) {
    for (std::size_t i = 0; i < buckets[d].size(); ++i) {
      const StateId s = buckets[d][i];
      if (fewest[s] != d) continue;
      if (a.states[s].accepts) out.fewest = d;
      for (const ByteEdge& edge : a.states[s].bytes) {
        const std::size_t reached = d + starts(edge);
        if (reached >= fewest[edge.to]) continue;
        fewest[edge.to] = reached;
        if (reached >= buckets.size()) buckets.resize(reached + 1);
        buckets[reached].push_back(edge.to);
      }
    }
  }
  // Kahn's order: states left over lie on a cycle, and then there is no longest string.
  std::vector<std::size_t> n_before(n, 0);
  for (const State& state : a.states) {
    for (const ByteEdge& edge : state.bytes) ++n_before[edge.to];
  }
  std::vector<StateId> order;
  for (StateId s = 0; s < n; ++s) {
    if (n_before[s] == 0) order.push_back(s);
  }
  std::vector<std::size_t> most(n, 0);
  std::size_t longest = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const StateId s = order[i];
    if (a.states[s].accepts) longest = std::max(longest, most[s]);
    for (const ByteEdge& edge : a.states[s].bytes) {
      most[edge.to] = std::max(most[edge.to], most[s] + starts(edge));
      if (--n_before[edge.to] == 0) order.push_back(edge.to);
    }
  }
  if (order.size() == n) out.most = longest;
  return out;
}

}  // namespace exa::grammar
