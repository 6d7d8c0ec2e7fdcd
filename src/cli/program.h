// The program's door: the subcommands, and the one place where an error becomes a line and an exit code.
//
// Ownership and threads: called once, on the main thread.
// Source: exit codes of exaone/error.h.
#pragma once

namespace exa {

// The program from its arguments to its exit code.
int run_program(int argc, char** argv);

}  // namespace exa
