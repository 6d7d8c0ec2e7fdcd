// The rows of a bench as llama-bench prints them: a Markdown table, CSV, JSON or JSON lines.
//
// Ownership and threads: writes to standard output; one thread.
// Source: llama-bench's columns and keys; exaone's own keys come after them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/measure/bench_canary.h"
#include "cli/measure/bench_run.h"

namespace exa {

struct BenchRow {
  const BenchModel* model;
  BenchTest test;
  BenchSetting setting;
  std::int64_t n_batch;
  int n_threads;
  std::string isa;
  std::string kv_type;
  std::vector<double> seconds;
  double roofline_seconds;
  Canary canary;
  double load_seconds;         // from opening the file to packed weights, huge pages included
  double first_token_seconds;  // from opening the file to the first token of a one-token prompt
  std::string test_time;       // RFC 3339
};

enum class BenchFormat { kMarkdown, kCsv, kJson, kJsonLines };
// md, csv, json, jsonl; nothing for other names.
std::optional<BenchFormat> parse_bench_format(std::string_view name);

class BenchReport {
 public:
  explicit BenchReport(BenchFormat format) : format_(format) {}
  void add(const BenchRow& row);
  void end();

 private:
  void add_markdown(const BenchRow& row);

  BenchFormat format_;
  bool begun_ = false;
};

}  // namespace exa
