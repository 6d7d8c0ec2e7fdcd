#include "cli/program.h"

#include <CLI/CLI.hpp>
#include <exception>
#include <new>
#include <string>

#include "base/error.h"
#include "cli/files/convert.h"
#include "cli/files/inspect.h"
#include "cli/files/quantize.h"
#include "cli/files/split.h"
#include "cli/flags/command_table.h"
#include "cli/flags/settings.h"
#include "cli/measure/bench.h"
#include "cli/measure/imatrix.h"
#include "cli/measure/perplexity.h"
#include "cli/measure/verify.h"
#include "cli/stages/embed_image.h"
#include "cli/stages/grammar_check.h"
#include "cli/stages/logits.h"
#include "cli/stages/template.h"
#include "cli/stages/tokenize.h"
#include "cli/talk/chat.h"
#include "cli/talk/run.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/streams.h"
#include "exaone/engine.h"

namespace exa {
namespace {

int complain(const std::string& message, ErrorKind kind) {
  write_note("exaone: " + one_line(message) + "\n");
  return exit_code(kind);
}

// The subcommand whose flags were wrong, for the hint.
std::string help_of(const CLI::App& app) {
  std::string words = app.get_name();
  for (const CLI::App* command : app.get_subcommands()) words += " " + command->get_name();
  return words + " --help";
}

int run_command_line(int argc, char** argv) {
  CLI::App app("Runs LG AI Research's EXAONE models", "exaone");
  app.set_version_flag("--version", "exaone " + std::string(version()), "Print the version");
  app.require_subcommand(1);
  add_run(app);
  add_chat(app);
  add_inspect(app);
  add_tokenize(app);
  add_template(app);
  add_logits(app);
  add_grammar_check(app);
  add_verify(app);
  add_embed_image(app);
  add_imatrix(app);
  add_perplexity(app);
  add_bench(app);
  add_convert(app);
  add_split(app);
  add_quantize(app);
  add_completion(app);
  add_man_page(app);
  const Settings settings(app, argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) {
      return complain(std::string(error.what()) + " (see " + help_of(app) + ")", ErrorKind::kUsage);
    }
    app.exit(error);  // help and version, to standard output
  }
  flush_out();
  return 0;
}

}  // namespace

int run_program(int argc, char** argv) {
  fill_standard_descriptors();
  install_signal_handlers();
  try {
    return run_command_line(argc, argv);
  } catch (const Error& error) {
    return complain(error.what(), error.kind());
  } catch (const ReaderGone&) {
    return 0;
  } catch (const std::bad_alloc&) {
    return complain("out of memory", ErrorKind::kMemory);
  } catch (const std::exception& error) {
    return complain(std::string("internal error: ") + error.what(), ErrorKind::kInternal);
  }
}

}  // namespace exa
