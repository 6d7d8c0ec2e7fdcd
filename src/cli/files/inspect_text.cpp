#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/files/inspect_report.h"
#include "cli/terminal/streams.h"
#include "text/utf8.h"

namespace exa {
namespace {

constexpr int kLabelColumns = 15;

// Foreign text as it may stand on one line of a terminal.
std::string shown(std::string_view foreign) {
  std::string text;
  append_replacing_invalid(text, foreign);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return for_terminal(text);
}

std::string size_text(std::uint64_t n_bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(n_bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", n_bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string count_text(std::uint64_t n) {
  if (n >= 1'000'000'000) return fmt::format("{:.2f} billion", static_cast<double>(n) / 1e9);
  if (n >= 1'000'000) return fmt::format("{:.2f} million", static_cast<double>(n) / 1e6);
  return fmt::format("{}", n);
}

void line(std::string& out, std::string_view label, std::string_view value) {
  out += fmt::format("  {:<{}}{}\n", label, kLabelColumns, value);
}

std::string layer_kind(const LayerSpec& layer) {
  const std::string reach = layer.window > 0 ? fmt::format("window {}", layer.window) : "global";
  return reach + (layer.rope ? ", RoPE" : ", no RoPE");
}

void add_model(std::string& out, const ModelConfig& c) {
  line(out, "hidden", fmt::format("{}", c.hidden));
  line(out, "attention",
       fmt::format("{} heads, {} kv heads, head_dim {}", c.n_heads, c.n_kv_heads, c.head_dim));
  line(out, "ffn_width", fmt::format("{}", c.ffn_width));
  line(out, "vocab",
       fmt::format("{}, head {}", c.vocab, c.tied_head ? "tied to the embedding" : "of its own"));
  line(out, "max_context", fmt::format("{} tokens", c.max_context));
  line(out, "rms_eps", fmt::format("{:g}", c.rms_eps));
  std::string rope = fmt::format("theta {:.0f}", c.rope_theta);
  if (c.rope_scaling) {
    rope += fmt::format(", llama3 scaling: factor {:g}, low {:g}, high {:g}, original context {:g}",
                        c.rope_scaling->factor, c.rope_scaling->low_freq_factor,
                        c.rope_scaling->high_freq_factor, c.rope_scaling->original_context);
  }
  line(out, "rope", rope);
  if (c.n_mtp_layers > 0) line(out, "drafting", fmt::format("{} MTP layer(s)", c.n_mtp_layers));
}

// One line a kind of layer, with the layers that are of it as ranges.
void add_layers(std::string& out, const ModelConfig& config) {
  out += fmt::format("\nlayers  {}\n", config.n_layers());
  std::vector<std::string> kinds;
  for (const LayerSpec& layer : config.layers) {
    const std::string kind = layer_kind(layer);
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
  }
  for (const std::string& kind : kinds) {
    std::string ranges;
    std::size_t n = 0;
    for (std::size_t i = 0; i < config.layers.size(); ++i) {
      if (layer_kind(config.layers[i]) != kind) continue;
      std::size_t last = i;
      while (last + 1 < config.layers.size() && layer_kind(config.layers[last + 1]) == kind) ++last;
      if (!ranges.empty()) ranges += ' ';
      ranges += last == i ? fmt::format("{}", i) : fmt::format("{}-{}", i, last);
      n += last - i + 1;
      i = last;
    }
    out += fmt::format("  {:<22}{:>4}  layers {}\n", kind, n, ranges);
  }
}

void add_tensors(std::string& out, const InspectReport& report) {
  const auto tensors = report.checkpoint.tensors();
  constexpr std::size_t kMostNameColumns = 60;
  std::size_t name_columns = 0;
  for (const TensorInfo& tensor : tensors) name_columns = std::max(name_columns, tensor.name.size());
  name_columns = std::min(name_columns, kMostNameColumns);
  out += fmt::format("\ntensors  {}, {} parameters, {}\n", tensors.size(), count_text(report.n_parameters),
                     size_text(report.tensor_bytes));
  for (const TensorInfo& tensor : tensors) {
    out +=
        fmt::format("  {:<{}}  {:<7}  {:<22}  {:>10}\n", shown(tensor.name), name_columns, name(tensor.type),
                    fmt::format("[{}]", fmt::join(tensor.shape, ", ")), size_text(tensor.n_bytes));
  }
  out += "\ntypes\n";
  for (const auto& total : report.types) {
    out += fmt::format("  {:<8}  {:>6} tensors  {:>10}\n", name(total.type), total.n_tensors,
                       size_text(total.n_bytes));
  }
}

void add_text_parts(std::string& out, const InspectReport& report) {
  out += "\ntext\n";
  if (report.tokenizer) {
    line(out, "tokenizer", shown(report.tokenizer->description));
    line(out, "ends with",
         fmt::format("eos {}, stops at {}",
                     report.tokenizer->eos ? fmt::format("{}", *report.tokenizer->eos) : std::string("none"),
                     fmt::join(report.tokenizer->end_of_generation, ", ")));
  } else {
    line(out, "tokenizer",
         report.tokenizer_problem.empty() ? "none" : "not supported: " + shown(report.tokenizer_problem));
  }
  line(out, "chat template",
       report.template_bytes ? fmt::format("present, {} bytes", *report.template_bytes) : "none");
}

void add_memory(std::string& out, const MemoryNeed& memory, std::uint64_t available_bytes) {
  out += fmt::format("\nmemory for a context of {} tokens\n", memory.context_tokens);
  line(out, "weights", fmt::format("{:>10}", size_text(memory.weight_bytes)));
  line(out, "kv cache", fmt::format("{:>10}", size_text(memory.kv_bytes)));
  line(out, "activations", fmt::format("{:>10}", size_text(memory.activation_bytes)));
  if (const std::uint64_t n = memory.vision_weight_bytes + memory.vision_activation_bytes; n > 0) {
    line(out, "pictures", fmt::format("{:>10}", size_text(n)));
  }
  line(out, "total",
       fmt::format("{:>10}  ({} available)", size_text(memory.total_bytes()), size_text(available_bytes)));
}

std::string format_text(const Checkpoint& checkpoint) {
  switch (checkpoint.format()) {
    case CheckpointFormat::kGguf:
      return "GGUF";
    case CheckpointFormat::kSafetensors:
      return "safetensors";
    case CheckpointFormat::kHuggingFace:
      return "Hugging Face folder";
  }
  return {};
}

}  // namespace

std::string to_text(const InspectReport& report) {
  const Checkpoint& checkpoint = report.checkpoint;
  std::string out = "model\n";
  if (report.config && !report.config->model_name.empty())
    line(out, "name", shown(report.config->model_name));
  line(out, "architecture", report.architecture.empty() ? "not stated" : shown(report.architecture));
  if (!report.config) line(out, "", "not supported: " + shown(report.problem));
  const auto files = checkpoint.files();
  std::uint64_t file_bytes = 0;
  for (const Checkpoint::File& file : files) file_bytes += file.size_bytes;
  line(out, "format",
       fmt::format("{}, {} file{} of weights, {}", format_text(checkpoint), files.size(),
                   files.size() == 1 ? "" : "s", size_text(file_bytes)));
  for (const Checkpoint::File& file : files) {
    line(out, "file", fmt::format("{}  {}", shown(file.path.string()), size_text(file.size_bytes)));
  }
  if (report.config) {
    add_model(out, *report.config);
    add_layers(out, *report.config);
  }
  add_tensors(out, report);
  add_text_parts(out, report);
  if (report.memory) add_memory(out, *report.memory, report.available_bytes);
  return out;
}

}  // namespace exa
