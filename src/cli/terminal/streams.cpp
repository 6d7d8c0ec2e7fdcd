#include "cli/terminal/streams.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "base/error.h"
#include "text/utf8.h"

namespace exa {
namespace {

constexpr std::size_t kMostInput = std::size_t{64} << 20;

[[noreturn]] void refuse_output(int reason) {
  if (reason == EPIPE) throw ReaderGone{};
  throw Error(ErrorKind::kIo, std::strerror(reason), "standard output");
}

// Appends what standard input has next; false at its end.
bool read_more(std::string& text) {
  char bytes[65536];
  ssize_t n = 0;
  while ((n = read(STDIN_FILENO, bytes, sizeof bytes)) < 0 && errno == EINTR) {
  }
  if (n < 0) throw Error(ErrorKind::kIo, std::strerror(errno), "standard input");
  text.append(bytes, static_cast<std::size_t>(n));
  if (text.size() > kMostInput) {
    throw Error(ErrorKind::kBadInput, "more than 64 MiB of text, expected a prompt", "standard input");
  }
  return n > 0;
}

}  // namespace

void write_out(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse_output(errno);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

void write_note(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(STDERR_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

void flush_out() {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout)
    refuse_output(errno != 0 ? errno : EIO);
}

bool stdin_is_terminal() {
  return isatty(STDIN_FILENO) == 1;
}
bool stdin_is_piped() {
  struct stat about {};
  return fstat(STDIN_FILENO, &about) == 0 && (S_ISFIFO(about.st_mode) || S_ISREG(about.st_mode));
}
bool stdout_is_terminal() {
  return isatty(STDOUT_FILENO) == 1;
}
bool stderr_is_terminal() {
  return isatty(STDERR_FILENO) == 1;
}

bool may_style() {
  const char* const no_color = std::getenv("NO_COLOR");
  const char* const term = std::getenv("TERM");
  return (!no_color || *no_color == '\0') && term && std::string_view(term) != "dumb";
}

std::string read_all_input() {
  std::string text;
  while (read_more(text)) {
  }
  return text;
}

bool LineReader::next(std::string& line) {
  std::size_t searched = 0;
  std::size_t end;
  while ((end = buffer_.find('\n', searched)) == std::string::npos && !ended_) {
    searched = buffer_.size();
    ended_ = !read_more(buffer_);
  }
  if (end == std::string::npos && buffer_.empty()) return false;
  line = buffer_.substr(0, end);
  const std::size_t n = std::min(buffer_.size(), line.size() + 1);
  buffer_.erase(0, n);
  const std::size_t invalid = find_invalid_utf8(line);
  if (invalid != std::string_view::npos) {
    throw Error(ErrorKind::kBadInput, "invalid UTF-8 at byte " + std::to_string(taken_ + invalid),
                "standard input");
  }
  taken_ += n;
  return true;
}

void fill_standard_descriptors() {
  constexpr int kModes[] = {O_WRONLY, O_RDONLY, O_WRONLY};
  for (int descriptor = 0; descriptor < 3; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    // The lowest free number is this one.
    if (open("/dev/null", kModes[descriptor]) != descriptor) _exit(exit_code(ErrorKind::kIo));
  }
}

void require_utf8(std::string_view text, const std::string& where) {
  const std::size_t invalid = find_invalid_utf8(text);
  if (invalid == std::string_view::npos) return;
  throw Error(ErrorKind::kBadInput, "invalid UTF-8 at byte " + std::to_string(invalid), where);
}

std::string for_terminal(std::string_view text) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c0 = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f;
    const bool c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c0 || c1) {
      out += kReplacement;
      if (c1) ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string one_line(std::string_view bytes) {
  std::string text;
  append_replacing_invalid(text, bytes);
  std::string line;
  for (const char c : text) {
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else {
      line += c;
    }
  }
  return for_terminal(line);
}

}  // namespace exa
