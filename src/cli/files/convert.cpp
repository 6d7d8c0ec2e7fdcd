#include "cli/files/convert.h"

#include <memory>
#include <string>

#include "base/threads.h"
#include "cli/flags/byte_size.h"
#include "cli/flags/threads_flag.h"
#include "convert/hf_to_gguf.h"

namespace exa {
namespace {

struct ConvertFlags {
  ConvertOptions convert;
  std::string type = "auto";
  std::string mmproj;
  std::string split_size;
  bool no_mtp = false;
};

void run_convert(ConvertFlags& options) {
  ConvertOptions& convert = options.convert;
  if (options.type == "bf16") convert.type = DType::kBF16;
  if (options.type == "f16") convert.type = DType::kF16;
  if (options.type == "f32") convert.type = DType::kF32;
  if (options.type == "q8_0") convert.type = DType::kQ8_0;
  if (!options.mmproj.empty()) convert.mmproj = options.mmproj;
  if (!options.split_size.empty()) convert.split_bytes = parse_byte_size(options.split_size, "--split-size");
  convert.keep_mtp = !options.no_mtp;
  if (convert.n_threads == 0) convert.n_threads = usable_cores();
  convert_huggingface(convert);
}

}  // namespace

void add_convert(CLI::App& app) {
  auto options = std::make_shared<ConvertFlags>();
  options->convert.n_threads = 0;
  CLI::App* command = app.add_subcommand("convert", "Turn a Hugging Face folder into GGUF");
  command->add_option("folder", options->convert.folder, "Folder with config.json, safetensors and tokenizer")
      ->required();
  command->add_option("-o,--output", options->convert.output, "GGUF file to write")->required();
  command
      ->add_option("--type", options->type,
                   "Type of the matrices; auto: f16 where all are stored so, else bf16")
      ->check(CLI::IsMember({"auto", "bf16", "f16", "f32", "q8_0"}));
  CLI::Option* mmproj =
      command->add_option("--mmproj", options->mmproj, "Also write the vision tower, as llama.cpp reads it");
  command->add_flag("--one-file", options->convert.one_file, "Put the vision tower into the same file")
      ->excludes(mmproj);
  command->add_option("--split-size", options->split_size, "Largest size of a shard, such as 4G");
  command->add_flag("--no-mtp", options->no_mtp, "Leave the drafting layers out");
  add_threads_flag(*command, options->convert.n_threads, 64);
  command->callback([options] { run_convert(*options); });
}

}  // namespace exa
