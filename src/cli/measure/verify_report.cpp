#include "cli/measure/verify_report.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/terminal/streams.h"

namespace exa {
namespace {

nlohmann::ordered_json to_json(const Report& report) {
  const auto number = [](double x) {
    return std::isfinite(x) ? nlohmann::ordered_json(x) : nlohmann::ordered_json("inf");
  };
  nlohmann::ordered_json json;
  json["passed"] = report.passed;
  json["cases"] = nlohmann::ordered_json::array();
  for (const Outcome& o : report.outcomes) {
    nlohmann::ordered_json row{{"case", o.case_name}, {"precision", o.precision}, {"role", o.role}};
    if (o.logits.n_rows > 0) {
      row["rows"] = o.logits.n_rows;
      row["max_abs"] = number(o.logits.max_abs);
      row["mean_kl"] = number(o.logits.mean_kl());
      row["top1_equal"] = o.logits.top1_equal;
    }
    if (o.hidden_max_relative) row["hidden_max_relative"] = number(*o.hidden_max_relative);
    if (o.greedy_compared) {
      row["greedy_equal"] = *o.greedy_equal;
      row["greedy_compared"] = *o.greedy_compared;
    }
    if (o.tower) {
      row["pixel_values_max_abs"] = number(o.tower->pixel_values_max_abs);
      row["embeds_max_abs"] = number(o.tower->max_abs);
      row["embeds_relative_rms"] = number(o.tower->relative_rms);
    }
    row["passed"] = o.passed ? nlohmann::ordered_json(*o.passed) : nlohmann::ordered_json();
    json["cases"].push_back(row);
  }
  json["pooled"] = nlohmann::ordered_json::array();
  for (const Report::Pooled& p : report.pooled) {
    json["pooled"].push_back({{"rows_of", p.rows},
                              {"precision", p.precision},
                              {"role", p.role},
                              {"rows", p.logits.n_rows},
                              {"max_abs", number(p.logits.max_abs)},
                              {"mean_kl", number(p.logits.mean_kl())},
                              {"top1_equal", p.logits.top1_equal},
                              {"tolerance", p.tolerance},
                              {"passed", p.passed}});
  }
  json["skipped"] = nlohmann::ordered_json::array();
  for (const auto& [name, why] : report.skipped) json["skipped"].push_back({{"case", name}, {"why", why}});
  return json;
}

}  // namespace

void print(const Report& report) {
  write_out(fmt::format("{:<12} {:<11} {:<10} {:>5} {:>10} {:>10} {:>9}  {}\n", "case", "precision", "role",
                        "rows", "max |d|", "mean KL", "top-1", "verdict"));
  for (const Outcome& o : report.outcomes) {
    const char* const verdict = !o.passed ? "-" : *o.passed ? "ok" : "FAILED";
    if (o.greedy_compared) {
      write_out(fmt::format("{:<12} {:<11} {:<10} {:>5} greedy tokens equal: {} of {} compared  {}\n",
                            o.case_name, o.precision, o.role, "", *o.greedy_equal, *o.greedy_compared,
                            verdict));
      continue;
    }
    if (o.tower) {
      write_out(fmt::format("{:<12} {:<11} {:<10} {:>5} {:>10.2e} relative RMS {:.2e}  {}\n", o.case_name,
                            o.precision, o.role, "", o.tower->max_abs, o.tower->relative_rms, verdict));
      continue;
    }
    write_out(fmt::format("{:<12} {:<11} {:<10} {:>5} {:>10.2e} {:>10.2e} {:>9}  {}\n", o.case_name,
                          o.precision, o.role, o.logits.n_rows, o.logits.max_abs, o.logits.mean_kl(),
                          fmt::format("{}/{}", o.logits.top1_equal, o.logits.n_rows), verdict));
    if (o.hidden_max_relative)
      write_out(
          fmt::format("{:<12} hidden states: max relative difference {:.2e}\n", "", *o.hidden_max_relative));
  }
  for (const Report::Pooled& p : report.pooled) {
    const bool exact = p.precision == "exact";
    write_out(fmt::format("{:<12} {:<11} {:<10} {:>5} {} {:.2e}, tolerance {:.0e}  {}\n",
                          p.rows == "all" ? "all rows" : "pictures", p.precision, p.role, p.logits.n_rows,
                          exact ? "max |d|" : "mean KL", exact ? p.logits.max_abs : p.logits.mean_kl(),
                          p.tolerance, p.passed ? "ok" : "FAILED"));
  }
  for (const auto& [name, why] : report.skipped) write_out(fmt::format("{:<12} skipped: {}\n", name, why));
  write_out(fmt::format("{}\n", report.passed ? "passed" : "FAILED"));
}

void print_json(const Report& report) {
  write_out(to_json(report).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace exa
