#include "cli/terminal/external_program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "cli/terminal/streams.h"
#include "text/utf8.h"

extern char** environ;

namespace exa {
namespace {

constexpr std::size_t kMostOutput = std::size_t{1} << 20;

[[noreturn]] void fail(int reason, const std::string& where) {
  throw Error(ErrorKind::kIo, std::strerror(reason), where);
}

// Ctrl-C is for the program that has the terminal.
class LeaveInterruptsAlone {
 public:
  LeaveInterruptsAlone() {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGINT, &ignore, &before_);
  }
  ~LeaveInterruptsAlone() { sigaction(SIGINT, &before_, nullptr); }
  LeaveInterruptsAlone(const LeaveInterruptsAlone&) = delete;
  LeaveInterruptsAlone& operator=(const LeaveInterruptsAlone&) = delete;

 private:
  struct sigaction before_ {};
};

// in, out: descriptors for its standard input and output, -1 for ours.
pid_t start(const char* const* words, int in, int out) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (in >= 0) posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  if (out >= 0) posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGINT);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t child = -1;
  const int reason =
      posix_spawnp(&child, words[0], &actions, &attributes, const_cast<char**>(words), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (reason != 0) fail(reason, words[0]);
  return child;
}

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return status;
}

void write_all(int fd, std::string_view text, const std::string& where) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(errno, where);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

std::string edit_text(const std::string& text) {
  const char* editor = std::getenv("VISUAL");
  if (!editor || !*editor) editor = std::getenv("EDITOR");
  if (!editor || !*editor) editor = "vi";

  std::string path = (std::filesystem::temp_directory_path() / "exaone-XXXXXX").string();
  Descriptor file(mkostemp(path.data(), O_CLOEXEC));
  if (file.get() < 0) fail(errno, path);
  struct Removed {
    const std::string& path;
    ~Removed() { unlink(path.c_str()); }
  } const removed{path};
  write_all(file.get(), text + "\n", path);
  file.close();

  const LeaveInterruptsAlone alone;
  // The variable may hold flags too: a shell takes it apart, as git has it done.
  const std::string command = std::string(editor) + " \"$1\"";
  const char* const words[] = {"/bin/sh", "-c", command.c_str(), "sh", path.c_str(), nullptr};
  const int status = wait_for(start(words, -1, -1));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw Error(ErrorKind::kIo, "the editor failed, the text is dropped", editor);
  }
  std::string edited = read_text_file(path, std::uint64_t{64} << 20);
  require_utf8(edited, "the editor's text");
  while (edited.ends_with('\n')) edited.pop_back();
  return edited;
}

std::string run_tool(const std::string& program, const ToolCall& call) {
  Descriptor in(memfd_create("exaone-tool", MFD_CLOEXEC));
  if (in.get() < 0) fail(errno, program);
  write_all(in.get(), call.arguments + "\n", program);
  lseek(in.get(), 0, SEEK_SET);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail(errno, program);
  Descriptor reader(ends[0]);
  Descriptor writer(ends[1]);

  const LeaveInterruptsAlone alone;
  const char* const words[] = {program.c_str(), call.name.c_str(), nullptr};
  const pid_t child = start(words, in.get(), writer.get());
  writer.close();
  std::string bytes;
  char buffer[65536];
  for (;;) {
    const ssize_t n = read(reader.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    if (bytes.size() < kMostOutput) bytes.append(buffer, static_cast<std::size_t>(n));
  }
  const int status = wait_for(child);
  if (bytes.size() > kMostOutput) bytes = bytes.substr(0, kMostOutput) + "\n[cut]";
  while (bytes.ends_with('\n')) bytes.pop_back();
  std::string text;
  append_replacing_invalid(text, bytes);
  if (WIFSIGNALED(status)) {
    text += "\n[the tool was ended by signal " + std::to_string(WTERMSIG(status)) + "]";
  } else if (WEXITSTATUS(status) != 0) {
    text += "\n[the tool failed with exit status " + std::to_string(WEXITSTATUS(status)) + "]";
  }
  return text;
}

}  // namespace exa
