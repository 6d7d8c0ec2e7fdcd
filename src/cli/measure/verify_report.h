// What `exaone verify` found: a line a case and way of computing, verdicts over all rows of a way.
//
// Ownership and threads: values. Source: docs/numerics.md for what the verdicts mean.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/measure/verify_pictures.h"

namespace exa {

// Of logits from the reference's, row by row.
struct Difference {
  double max_abs = 0;
  double kl_sum = 0;
  std::int64_t n_rows = 0;
  std::int64_t top1_equal = 0;

  double mean_kl() const { return n_rows > 0 ? kl_sum / static_cast<double>(n_rows) : 0; }
  void add(const Difference& other) {
    max_abs = std::max(max_abs, other.max_abs);
    kl_sum += other.kl_sum;
    n_rows += other.n_rows;
    top1_equal += other.top1_equal;
  }
};

// What one way of computing (precision and role) gave for one case.
struct Outcome {
  std::string case_name;
  std::string precision;
  std::string role;
  Difference logits{};
  std::optional<double> hidden_max_relative{};
  std::optional<std::int64_t> greedy_equal{};     // steps that agree before the first that does not
  std::optional<std::int64_t> greedy_compared{};  // steps until the reference's margin falls below the error
  std::optional<TowerDifference> tower{};
  std::optional<bool> passed{};  // unset: not judged by itself (its rows count in a pooled verdict)
};

struct Report {
  std::vector<Outcome> outcomes;
  struct Pooled {
    std::string rows;  // "all" text, or "pictures": behind such
    std::string precision;
    std::string role;
    Difference logits;
    double tolerance;
    bool passed;
  };
  std::vector<Pooled> pooled;
  std::vector<std::pair<std::string, std::string>> skipped;  // case, why
  bool passed = true;
};

// On standard output, as a table or as one JSON object.
void print(const Report& report);
void print_json(const Report& report);

}  // namespace exa
