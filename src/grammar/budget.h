// How much one grammar may cost: counted in states and steps, so that the verdict is the same on every
// machine.
//
// Ownership and threads: one Budget lives as long as one compilation, on one thread.
// Source: the limits table of the reliability specification (50,000 states; its 200 ms of building, as
// steps).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "base/error.h"

namespace exa::grammar {

constexpr std::size_t kMostStates = 50'000;         // of the finished machine
constexpr std::size_t kMostBuiltStates = 150'000;   // made on the way there, all together
constexpr std::size_t kMostSteps = 30'000'000;      // elementary steps of the constructions, about 10 ns each
constexpr std::size_t kMostBytes = 256 * 1024;      // of the text a grammar is compiled from
constexpr std::size_t kMostNesting = 128;           // of groups, of JSON values
constexpr std::uint32_t kUnlimited = 0xffff'ffffu;  // as the maximum of a repetition
constexpr std::uint32_t kMostRepetitions = 1'000'000;  // as any other bound of a repetition

class Budget {
 public:
  // What is being built now, for messages: a JSON path, a rule.
  void set_place(std::string place) { place_ = std::move(place); }
  const std::string& place() const { return place_; }

  void count_state() {
    if (++states_ > kMostBuiltStates) fail(kMostBuiltStates, "states");
  }
  void count_steps(std::size_t n) {
    steps_ += n;
    if (steps_ > kMostSteps) fail(kMostSteps, "steps");
  }

 private:
  [[noreturn]] void fail(std::size_t limit, const char* of_what) const {
    throw Error(ErrorKind::kUnsupported,
                "the grammar is too large: expected to need at most " + std::to_string(limit) + " " +
                    of_what + " of construction, found more",
                place_);
  }

  std::string place_;
  std::size_t states_ = 0;
  std::size_t steps_ = 0;
};

}  // namespace exa::grammar
