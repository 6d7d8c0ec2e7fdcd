#include "cli/measure/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/terminal/streams.h"
#include "exaone/engine.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

double deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double middle = mean(values);
  double sum = 0;
  for (const double v : values) sum += (v - middle) * (v - middle);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

std::vector<double> speeds(const BenchRow& row) {
  std::vector<double> result;
  for (const double s : row.seconds) result.push_back(static_cast<double>(row.test.n_tokens()) / s);
  return result;
}

double share(const BenchRow& row) {
  return row.roofline_seconds / mean(row.seconds);
}

// The value of a line "Key:   123 kB" of /proc/self/status, in bytes.
std::uint64_t status_bytes(std::string_view key) {
  std::ifstream file("/proc/self/status");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(key)) continue;
    std::uint64_t kib = 0;
    for (const char c : line) {
      if (c >= '0' && c <= '9') kib = kib * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return kib * 1024;
  }
  return 0;
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

std::string test_name(const BenchTest& t) {
  std::string name = t.n_prompt > 0 && t.n_gen > 0 ? fmt::format("pp{}+tg{}", t.n_prompt, t.n_gen)
                     : t.n_prompt > 0              ? fmt::format("pp{}", t.n_prompt)
                                                   : fmt::format("tg{}", t.n_gen);
  if (t.n_depth > 0) name += fmt::format(" @ d{}", t.n_depth);
  if (t.n_sequences > 1) name += fmt::format(" x {}", t.n_sequences);
  return name;
}

Json to_json(const BenchRow& row) {
  const std::vector<double> ts = speeds(row);
  std::vector<std::uint64_t> ns;
  for (const double s : row.seconds) ns.push_back(static_cast<std::uint64_t>(s * 1e9));
  return {{"build_commit", std::string(version())},
          {"build_number", 0},
          {"cpu_info", cpu_name()},
          {"gpu_info", ""},
          {"backends", "CPU"},
          {"model_filename", row.model->file_name},
          {"model_type", row.model->type},
          {"model_size", row.model->n_bytes},
          {"model_n_params", row.model->n_params},
          {"n_batch", row.n_batch},
          {"n_ubatch", row.setting.n_ubatch},
          {"n_threads", row.n_threads},
          {"type_k", row.kv_type},
          {"type_v", row.kv_type},
          {"n_gpu_layers", 0},
          {"flash_attn", true},
          {"n_prompt", row.test.n_prompt},
          {"n_gen", row.test.n_gen},
          {"n_depth", row.test.n_depth},
          {"test_time", row.test_time},
          {"avg_ns", static_cast<std::uint64_t>(mean(row.seconds) * 1e9)},
          {"stddev_ns", static_cast<std::uint64_t>(deviation(row.seconds) * 1e9)},
          {"avg_ts", mean(ts)},
          {"stddev_ts", deviation(ts)},
          {"samples_ns", ns},
          {"samples_ts", ts},
          {"n_sequences", row.test.n_sequences},
          {"deterministic", row.setting.prompt_path == PromptPath::kDeterministic},
          {"fast_prefill", row.setting.prompt_path == PromptPath::kFast},
          {"isa", row.isa},
          {"roofline_share", share(row)},
          {"read_gb_s", row.canary.read_gb_s},
          {"int8_gops", row.canary.int8_gops},
          {"bf16_gflops", row.canary.bf16_gflops},
          {"fp32_gflops", row.canary.fp32_gflops},
          {"tile_bf16_gflops", row.canary.tile_bf16_gflops},
          {"tile_int8_gops", row.canary.tile_int8_gops},
          {"load_ms", row.load_seconds * 1000},
          {"first_token_ms", row.first_token_seconds * 1000},
          {"vm_hwm_bytes", status_bytes("VmHWM:")},
          {"rss_anon_bytes", status_bytes("RssAnon:")},
          {"rss_file_bytes", status_bytes("RssFile:")}};
}

std::string csv_field(const Json& value) {
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string printed(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::optional<BenchFormat> parse_bench_format(std::string_view name) {
  if (name == "md") return BenchFormat::kMarkdown;
  if (name == "csv") return BenchFormat::kCsv;
  if (name == "json") return BenchFormat::kJson;
  if (name == "jsonl") return BenchFormat::kJsonLines;
  return std::nullopt;
}

void BenchReport::add_markdown(const BenchRow& row) {
  if (!begun_) {
    write_out(fmt::format("| {:<30} | {:>10} | {:>10} | {:<7} | {:>7} | {:>6} | {:>20} | {:>18} | {:>8} |\n",
                          "model", "size", "params", "backend", "threads", "kv", "test", "t/s", "roofline"));
    write_out(fmt::format(
        "| {:-<30} | {:->9}: | {:->9}: | {:-<7} | {:->6}: | {:->5}: | {:->19}: | {:->17}: | {:->7}: |\n", "",
        "", "", "", "", "", "", "", ""));
  }
  const std::vector<double> ts = speeds(row);
  const double mib = static_cast<double>(row.model->n_bytes) / (1 << 20);
  write_out(fmt::format(
      "| {:<30} | {:>10} | {:>8.2f} B | {:<7} | {:>7} | {:>6} | {:>20} | {:>18} | {:>6.0f} % |\n",
      row.model->type, mib < 1024 ? fmt::format("{:.2f} MiB", mib) : fmt::format("{:.2f} GiB", mib / 1024),
      1e-9 * static_cast<double>(row.model->n_params), row.isa, row.n_threads, row.kv_type,
      test_name(row.test), fmt::format("{:.2f} ± {:.2f}", mean(ts), deviation(ts)), 100 * share(row)));
}

void BenchReport::add(const BenchRow& row) {
  switch (format_) {
    case BenchFormat::kMarkdown:
      add_markdown(row);
      break;
    case BenchFormat::kCsv: {
      std::string keys;
      std::string values;
      const Json object = to_json(row);
      for (const auto& [key, value] : object.items()) {
        if (value.is_array()) continue;
        keys += (keys.empty() ? "" : ",") + key;
        values += (values.empty() ? "" : ",") + csv_field(value);
      }
      write_out((begun_ ? "" : keys + "\n") + values + "\n");
      break;
    }
    case BenchFormat::kJson:
      write_out((begun_ ? ",\n" : "[\n") + printed(to_json(row), 2));
      break;
    case BenchFormat::kJsonLines:
      write_out(printed(to_json(row), -1) + "\n");
      break;
  }
  begun_ = true;
}

void BenchReport::end() {
  if (format_ == BenchFormat::kJson) write_out(begun_ ? "\n]\n" : "[]\n");
}

}  // namespace exa
