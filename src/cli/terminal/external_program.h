// Programs of the person's own: the editor, and the one that carries out a tool call.
//
// Ownership and threads: they run while the call waits; on the main thread, which holds the terminal.
// Source: POSIX posix_spawn; git's order of VISUAL and EDITOR.
#pragma once

#include <string>

#include "exaone/engine.h"

namespace exa {

// The text after the person has edited it with $VISUAL, $EDITOR or vi. Errors: kIo where the editor cannot be
// started or fails, kBadInput where it leaves text that is not UTF-8.
std::string edit_text(const std::string& text);

// What the program wrote to standard output, for a call: its only argument is the function's name, its
// standard input the arguments as JSON. A failure is told in the text, so that the model learns of it.
// Broken UTF-8 is replaced, beyond 1 MiB is cut. Errors: kIo where it cannot be started.
std::string run_tool(const std::string& program, const ToolCall& call);

}  // namespace exa
