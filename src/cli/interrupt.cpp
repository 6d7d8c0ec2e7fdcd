#include "cli/interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/error.h"

namespace exa {
namespace {

// A signal handler reaches its subject through globals only.
std::atomic<CancelToken*> g_cancel{nullptr};
std::atomic<int> g_wake{-1};

void wake(char letter) {
  const int saved = errno;
  const ssize_t written = write(g_wake.load(), &letter, 1);  // a full pipe wakes as well
  static_cast<void>(written);
  errno = saved;
}

void on_interrupt(int) {
  if (g_wake.load() >= 0) {
    wake('i');
    return;
  }
  CancelToken* const token = g_cancel.load();
  if (!token || token->cancelled()) _exit(exit_code(ErrorKind::kInterrupted));
  token->cancel();
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
}

CancelOnInterrupt::CancelOnInterrupt(CancelToken& token) : before_(g_cancel.exchange(&token)) {}
CancelOnInterrupt::~CancelOnInterrupt() {
  g_cancel.store(before_);
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
