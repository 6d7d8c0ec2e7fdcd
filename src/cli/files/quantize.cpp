#include "cli/files/quantize.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "cli/flags/threads_flag.h"
#include "cli/terminal/streams.h"
#include "convert/quantize_file.h"

namespace exa {
namespace {

struct QuantizeFlags {
  QuantizeOptions quantize;
  std::string kind;
  std::string imatrix;
  std::vector<std::string> tensor_types;
  std::string output_type;
  std::string token_embedding_type;
  bool dry_run = false;
};

TypeOverride parse_override(const std::string& text) {
  const std::size_t sign = text.rfind('=');
  if (sign == std::string::npos || sign == 0) {
    throw Error(ErrorKind::kUsage, "expected REGEX=TYPE, found \"" + text + "\"", "--tensor-type");
  }
  return {text.substr(0, sign), parse_tensor_type(text.substr(sign + 1), "--tensor-type")};
}

std::string total_line(const char* what, std::uint64_t n_bytes, std::uint64_t n_elements) {
  std::array<char, 128> text{};
  std::snprintf(text.data(), text.size(), "%s %12.1f MiB %8.2f bits a weight\n", what,
                static_cast<double>(n_bytes) / 1024.0 / 1024.0,
                n_elements > 0 ? 8.0 * static_cast<double>(n_bytes) / static_cast<double>(n_elements) : 0.0);
  return text.data();
}

// A line a tensor, then the types and the totals.
void print_table(const Quantization& quantization) {
  std::size_t width = 0;
  for (const TensorChange& change : quantization.changes()) width = std::max(width, change.name.size());
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  std::uint64_t n_elements = 0;
  bool known = true;
  std::array<std::size_t, 64> counts{};
  for (const TensorChange& change : quantization.changes()) {
    std::string line = change.name;
    line.resize(width + 2, ' ');
    write_out(one_line(line + describe(change)) + "\n");
    std::uint64_t n = 1;
    for (const std::uint64_t dimension : change.shape) n *= dimension;
    n_elements += n;
    before += change.from_bytes;
    known = known && change.from_bytes > 0;
    after += change.to_bytes;
    ++counts[static_cast<std::size_t>(change.to)];
  }
  std::string types;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    types += (types.empty() ? "" : ", ") + std::to_string(counts[i]) + " " +
             std::string(name(static_cast<DType>(i)));
  }
  write_out("\n" + std::to_string(quantization.changes().size()) + " tensors: " + types + "\n");
  if (known) write_out(total_line("input ", before, n_elements));
  write_out(total_line("output", after, n_elements));
  for (const std::string& note : quantization.notes()) write_out(note + "\n");
}

void run_quantize(QuantizeFlags& options) {
  QuantizeOptions& quantize = options.quantize;
  quantize.recipe.kind = parse_file_kind(options.kind);
  if (!options.imatrix.empty()) quantize.imatrix = options.imatrix;
  for (const std::string& text : options.tensor_types) quantize.overrides.push_back(parse_override(text));
  if (!options.output_type.empty()) {
    quantize.recipe.output_type = parse_tensor_type(options.output_type, "--output-tensor-type");
  }
  if (!options.token_embedding_type.empty()) {
    quantize.recipe.token_embedding_type =
        parse_tensor_type(options.token_embedding_type, "--token-embedding-type");
  }
  if (quantize.n_threads == 0) quantize.n_threads = usable_cores();
  Quantization quantization(quantize);
  if (options.dry_run) {
    print_table(quantization);
  } else {
    quantization.run();
  }
}

}  // namespace

void add_quantize(CLI::App& app) {
  auto options = std::make_shared<QuantizeFlags>();
  options->quantize.n_threads = 0;
  std::string kinds;
  for (const FileKindTraits& file : file_kinds())
    kinds += (kinds.empty() ? "" : " ") + std::string(file.name);
  CLI::App* command = app.add_subcommand("quantize", "Write a model with smaller numbers");
  command
      ->add_option("input", options->quantize.input, "GGUF file, any shard of one, or a Hugging Face folder")
      ->required();
  command->add_option("output", options->quantize.output, "GGUF file to write")->required();
  command->add_option("type", options->kind, "One of " + kinds)->required();
  command->add_option("--imatrix", options->imatrix,
                      "Importance matrix (GGUF): weighs the errors of columns");
  command
      ->add_option("--tensor-type", options->tensor_types,
                   "REGEX=TYPE for the tensors whose names match; may be repeated, the first match decides")
      ->allow_extra_args(false);
  command->add_option("--output-tensor-type", options->output_type, "Type of the head");
  command->add_option("--token-embedding-type", options->token_embedding_type, "Type of the token embedding");
  command->add_flag("--pure", options->quantize.recipe.pure, "One type for all matrices");
  command->add_flag("--official", options->quantize.recipe.official,
                    "Drafting layers like all others, as in LG's own files, instead of Q8_0");
  command->add_flag("--one-file", options->quantize.one_file,
                    "Of a folder, put the vision tower into the file, too");
  command->add_flag("--keep-split", options->quantize.keep_split, "Write the shards that the input has");
  command->add_flag("--allow-requantize", options->quantize.allow_requantize,
                    "Keep tensors that are quantized already and would get no smaller, instead of refusing them");
  command->add_flag("--dry-run", options->dry_run, "Print tensors, types and sizes; write nothing");
  add_threads_flag(*command, options->quantize.n_threads, 256);
  command->callback([options] { run_quantize(*options); });
}

}  // namespace exa
