#include "cli/terminal/interrupt.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/error.h"

namespace exa {
namespace {

constexpr int kTerminations[] = {SIGTERM, SIGHUP, SIGQUIT};

// A signal handler reaches its subject through globals only.
std::atomic<CancelToken*> g_cancel{nullptr};
std::atomic<int> g_wake{-1};
std::atomic<int> g_n_keepers{0};
std::atomic<bool> g_known{false};
termios g_terminal;  // as the first keeper found it, where g_known

void wake(char letter) {
  const int saved = errno;
  const ssize_t written = write(g_wake.load(), &letter, 1);  // a full pipe wakes as well
  static_cast<void>(written);
  errno = saved;
}

void restore_terminal() {
  if (g_known.load()) tcsetattr(STDIN_FILENO, TCSANOW, &g_terminal);
}

// Before the program ends from a signal handler: what destructors would do.
void leave_terminal() {
  if (g_known.load() && isatty(STDOUT_FILENO) == 1) {
    constexpr char kPlain[] = "\x1b[0m\x1b[?2004l\r\n";
    const ssize_t written = write(STDOUT_FILENO, kPlain, sizeof kPlain - 1);
    static_cast<void>(written);
  }
  restore_terminal();
}

void on_termination(int signal) {
  leave_terminal();
  _exit(128 + signal);
}

void on_interrupt(int) {
  CancelToken* const token = g_cancel.load();
  if (token && !token->cancelled()) {
    token->cancel();
  } else if (!token && g_wake.load() >= 0) {
    wake('i');
  } else {
    leave_terminal();
    _exit(exit_code(ErrorKind::kInterrupted));
  }
}

void on_resize(int) {
  if (g_wake.load() >= 0) wake('w');
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

}  // namespace

void install_signal_handlers() {
  handle(SIGINT, on_interrupt);
  handle(SIGPIPE, SIG_IGN);
  handle(SIGXFSZ, SIG_IGN);  // a file past its limit is then an error of write
}

CancelOnInterrupt::CancelOnInterrupt(CancelToken& token) : before_(g_cancel.exchange(&token)) {}
CancelOnInterrupt::~CancelOnInterrupt() {
  g_cancel.store(before_);
}

KeepTerminal::KeepTerminal() {
  if (g_n_keepers.fetch_add(1) > 0) return;
  g_known.store(isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &g_terminal) == 0);
  if (!g_known.load()) return;
  for (const int signal : kTerminations) handle(signal, on_termination);
}

KeepTerminal::~KeepTerminal() {
  if (g_n_keepers.fetch_sub(1) > 1 || !g_known.load()) return;
  for (const int signal : kTerminations) handle(signal, SIG_DFL);
  g_known.store(false);
}

HideTyping::HideTyping() {
  if (!g_known.load()) return;
  termios hidden = g_terminal;
  // Without lines of its own the terminal loses nothing of what is typed, and the next line can still edit
  // it.
  hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON);
  hidden.c_cc[VMIN] = 1;
  hidden.c_cc[VTIME] = 0;
  tcsetattr(STDIN_FILENO, TCSANOW, &hidden);
}

HideTyping::~HideTyping() {
  restore_terminal();
}

WakeOnSignal::WakeOnSignal() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw Error(ErrorKind::kIo, std::strerror(errno), "pipe");
  read_end_ = ends[0];
  write_end_ = ends[1];
  g_wake.store(write_end_);
  handle(SIGWINCH, on_resize);
}

WakeOnSignal::~WakeOnSignal() {
  handle(SIGWINCH, SIG_DFL);
  g_wake.store(-1);
  close(read_end_);
  close(write_end_);
}

}  // namespace exa
