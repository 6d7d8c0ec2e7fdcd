// What Ctrl-C does: end the program with 130, stop a generation, or wake whoever waits for a line; and a
// terminal that is left as it was found.
//
// Ownership and threads: process-wide, because signal handlers are; set up on the main thread. A scope
// restores what was before it. Source: POSIX sigaction; promise G40 of the reliability specification (exit
// code of an interruption).
#pragma once

#include "exaone/engine.h"

namespace exa {

// From now on SIGINT ends the program with 130, and a vanished reader is a failed write, not a signal.
void install_signal_handlers();

// While it lives, the first SIGINT cancels the token, one after that ends the program with 130.
class CancelOnInterrupt {
 public:
  explicit CancelOnInterrupt(CancelToken& token);
  ~CancelOnInterrupt();
  CancelOnInterrupt(const CancelOnInterrupt&) = delete;
  CancelOnInterrupt& operator=(const CancelOnInterrupt&) = delete;

 private:
  CancelToken* before_;
};

// While one lives and standard input is a terminal, SIGTERM, SIGHUP and SIGQUIT end the program with 128 +
// signal and leave the terminal as the first one found it; so does a SIGINT that ends the program.
class KeepTerminal {
 public:
  KeepTerminal();
  ~KeepTerminal();
  KeepTerminal(const KeepTerminal&) = delete;
  KeepTerminal& operator=(const KeepTerminal&) = delete;
};

// While it lives, what a person types on the terminal is kept for the next line and not shown in between.
class HideTyping {
 public:
  HideTyping();
  ~HideTyping();
  HideTyping(const HideTyping&) = delete;
  HideTyping& operator=(const HideTyping&) = delete;

 private:
  const KeepTerminal keep_;
};

// While it lives, SIGWINCH and, outside of every CancelOnInterrupt, SIGINT write 'w' and 'i' to the pipe that
// fd() reads, and do nothing else. The terminal is kept, as a KeepTerminal does.
class WakeOnSignal {
 public:
  // Errors: kIo where no pipe can be had.
  WakeOnSignal();
  ~WakeOnSignal();
  WakeOnSignal(const WakeOnSignal&) = delete;
  WakeOnSignal& operator=(const WakeOnSignal&) = delete;

  int fd() const { return read_end_; }

 private:
  const KeepTerminal keep_;
  int read_end_;
  int write_end_;
};

}  // namespace exa
