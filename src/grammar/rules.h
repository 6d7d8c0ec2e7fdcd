// The one form that every kind of grammar is brought into: rules that call one another.
//
// Ownership and threads: a value of one compilation, on one thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "grammar/automaton.h"

namespace exa::grammar {

struct Rule {
  std::string name;  // for messages: a GBNF name, a JSON path
  Automaton body;
  // The body this many times, one after the other; most may be kUnlimited.
  std::uint32_t fewest = 1;
  std::uint32_t most = 1;

  bool repeats() const { return fewest != 1 || most != 1; }
};

struct RuleSet {
  Budget* budget;
  std::vector<Rule> rules;
  RuleId root = 0;
  // How many calls may be open at once in what is generated.
  std::uint32_t most_depth = 0;

  // A rule whose body is still empty.
  RuleId reserve(std::string name) {
    rules.push_back({std::move(name), Automaton(*budget), 1, 1});
    return static_cast<RuleId>(rules.size() - 1);
  }
  RuleId add(std::string name, Automaton body, std::uint32_t fewest = 1, std::uint32_t most = 1) {
    rules.push_back({std::move(name), std::move(body), fewest, most});
    return static_cast<RuleId>(rules.size() - 1);
  }
};

}  // namespace exa::grammar
