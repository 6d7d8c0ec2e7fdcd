#include "grammar/expression.h"

#include <algorithm>

namespace exa::grammar {
namespace {

// A repetition of at most this many places is written out, so that it can melt into its surroundings.
constexpr std::uint64_t kWrittenOut = 160;

// About how many states the expression takes.
std::uint64_t places(const Expression& e) {
  constexpr std::uint64_t kMany = 1'000'000'000;
  std::uint64_t n = 0;
  switch (e.kind) {
    case Expression::Kind::kBytes:
      return e.text.size();
    case Expression::Kind::kSet:
      return e.set.ranges().empty() || e.set.ranges().back().high < 0x80 ? 1 : 6;
    case Expression::Kind::kRule:
      return 1;
    case Expression::Kind::kSequence:
    case Expression::Kind::kChoice:
      for (const Expression& part : e.parts) n = std::min(kMany, n + places(part));
      return n;
    case Expression::Kind::kRepeat:
      return std::min(
          kMany, places(e.parts[0]) * std::max<std::uint64_t>(1, e.most == kUnlimited ? e.fewest : e.most));
  }
  return n;
}

bool calls_rules(const Expression& e) {
  return e.kind == Expression::Kind::kRule || std::any_of(e.parts.begin(), e.parts.end(), calls_rules);
}

void add_repeat(const Expression& e, Automaton& into, StateId from, StateId to, RuleSet* rules) {
  const Expression& part = e.parts[0];
  if (e.most == 0) return into.add_empty(from, to);
  if (e.most == kUnlimited && e.fewest == 0) {
    const StateId loop = into.add_state();
    into.add_empty(from, loop);
    add_expression(part, into, loop, loop, rules);
    return into.add_empty(loop, to);
  }
  if (rules && places(e) > kWrittenOut) {
    std::uint32_t fewest = e.fewest;
    Automaton body(into.budget());
    const StateId end = body.add_state();
    body.states[end].accepts = true;
    add_expression(part, body, Automaton::kStart, end, rules);
    if (!calls_rules(part)) {
      body = determinize(body);
      if (body.states[Automaton::kStart].accepts) {
        body = without_empty(body);
        fewest = 0;
        if (is_empty(body)) return into.add_empty(from, to);
      }
    }
    return into.add_call(from, rules->add("a repetition", std::move(body), fewest, e.most), to);
  }
  StateId at = from;
  const std::uint32_t n = e.most == kUnlimited ? e.fewest : e.most;
  for (std::uint32_t i = 0; i < n; ++i) {
    if (i >= e.fewest) into.add_empty(at, to);
    const StateId next = into.add_state();
    add_expression(part, into, at, next, rules);
    at = next;
  }
  if (e.most == kUnlimited) {
    const StateId loop = into.add_state();
    into.add_empty(at, loop);
    add_expression(part, into, loop, loop, rules);
    at = loop;
  }
  into.add_empty(at, to);
}

}  // namespace

Expression Expression::bytes(std::string value) {
  Expression e;
  e.text = std::move(value);
  return e;
}

Expression Expression::one_of(CodePointSet value) {
  Expression e;
  e.kind = Kind::kSet;
  e.set = std::move(value);
  return e;
}

Expression Expression::sequence(std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  Expression e;
  e.kind = Kind::kSequence;
  e.parts = std::move(parts);
  return e;
}

Expression Expression::choice(std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  Expression e;
  e.kind = Kind::kChoice;
  e.parts = std::move(parts);
  return e;
}

Expression Expression::repeat(Expression part, std::uint32_t fewest, std::uint32_t most) {
  Expression e;
  e.kind = Kind::kRepeat;
  e.parts.push_back(std::move(part));
  e.fewest = fewest;
  e.most = most;
  return e;
}

Expression Expression::call(RuleId rule) {
  Expression e;
  e.kind = Kind::kRule;
  e.rule = rule;
  return e;
}

void add_expression(const Expression& e, Automaton& into, StateId from, StateId to, RuleSet* rules) {
  into.budget().count_steps(1);
  switch (e.kind) {
    case Expression::Kind::kBytes:
      return into.add_literal(from, e.text, to);
    case Expression::Kind::kSet:
      return into.add_code_points(from, e.set, to);
    case Expression::Kind::kRule:
      return into.add_call(from, e.rule, to);
    case Expression::Kind::kChoice:
      for (const Expression& part : e.parts) add_expression(part, into, from, to, rules);
      return;
    case Expression::Kind::kRepeat:
      return add_repeat(e, into, from, to, rules);
    case Expression::Kind::kSequence: {
      for (std::size_t i = 0; i < e.parts.size(); ++i) {
        const StateId next = i + 1 == e.parts.size() ? to : into.add_state();
        add_expression(e.parts[i], into, from, next, rules);
        from = next;
      }
      if (e.parts.empty()) into.add_empty(from, to);
      return;
    }
  }
}

Automaton regular(const Expression& expression, Budget& budget) {
  Automaton automaton(budget);
  const StateId end = automaton.add_state();
  automaton.states[end].accepts = true;
  add_expression(expression, automaton, Automaton::kStart, end, nullptr);
  return determinize(automaton);
}

Automaton settled(const Automaton& body) {
  // A list of optional parts has a deterministic form of quadratic size; it stays as it is.
  auto deterministic = determinize(body, 2 * body.states.size() + 64);
  return deterministic ? std::move(*deterministic) : trimmed(body);
}

}  // namespace exa::grammar
