// The flag -t, --threads of the commands that do without the engine.
//
// Ownership and threads: a free function; used on the main thread.
#pragma once

#include <CLI/CLI.hpp>

namespace exa {

// n_threads must outlive the command; what it holds means: one a physical core. most: of them that make
// sense.
inline void add_threads_flag(CLI::App& command, int& n_threads, int most = 1024) {
  command.add_option("-t,--threads", n_threads, "Threads (default: physical cores)")
      ->check(CLI::Range(1, most));
}

}  // namespace exa
