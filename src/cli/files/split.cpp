#include "cli/files/split.h"

#include <memory>
#include <string>

#include "base/threads.h"
#include "cli/flags/byte_size.h"
#include "cli/flags/threads_flag.h"
#include "convert/gguf_copy.h"

namespace exa {
namespace {

struct SplitFlags {
  CopyOptions copy;
  std::string split_size;
};

void run_copy(SplitFlags& options) {
  if (!options.split_size.empty())
    options.copy.split_bytes = parse_byte_size(options.split_size, "--split-size");
  if (options.copy.n_threads == 0) options.copy.n_threads = usable_cores();
  copy_gguf(options.copy);
}

CLI::App* add_copy(CLI::App& app, const char* name, const char* what,
                   const std::shared_ptr<SplitFlags>& options) {
  CLI::App* command = app.add_subcommand(name, what);
  add_threads_flag(*command, options->copy.n_threads, 64);
  command->callback([options] { run_copy(*options); });
  return command;
}

}  // namespace

void add_split(CLI::App& app) {
  auto split = std::make_shared<SplitFlags>();
  split->copy.n_threads = 0;
  CLI::App* split_command = add_copy(app, "split", "Cut a GGUF file into shards", split);
  split_command->add_option("input", split->copy.input, "GGUF file")->required();
  split_command->add_option("-o,--output", split->copy.output, "OUT.gguf: shards are OUT-00001-of-0000N.gguf")
      ->required();
  split_command->add_option("--split-size", split->split_size, "Largest size of a shard, such as 4G")
      ->required();

  auto merge = std::make_shared<SplitFlags>();
  merge->copy.n_threads = 0;
  CLI::App* merge_command = add_copy(app, "merge", "Join the shards of a split GGUF file", merge);
  merge_command->add_option("input", merge->copy.input, "Any shard")->required();
  merge_command->add_option("-o,--output", merge->copy.output, "GGUF file to write")->required();
}

}  // namespace exa
