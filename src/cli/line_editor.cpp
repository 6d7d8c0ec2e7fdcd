#include "cli/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "cli/interrupt.h"
#include "text/utf8.h"

namespace exa {
namespace {

constexpr int kHistoryLines = 1000;

wchar_t* prompt(EditLine*) {
  static wchar_t text[] = L"> ";
  return text;
}

// Wide characters are measured by the C library, which knows their width in a UTF-8 locale only.
void choose_locale() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

std::size_t sequence_bytes(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
}

}  // namespace

struct LineEditor::State {
  enum class Stop { kNone, kInterrupt, kEnd };

  ~State() {
    if (history) history_wend(history);
    if (editor) el_end(editor);
  }

  // Reads a byte; false where a signal or the end came instead.
  bool read_byte(char& byte) {
    for (;;) {
      pollfd ends[] = {{STDIN_FILENO, POLLIN, 0}, {signals->fd(), POLLIN, 0}};
      if (poll(ends, 2, -1) < 0 && errno != EINTR) return false;
      char letter = 0;
      while (::read(signals->fd(), &letter, 1) == 1) {
        if (letter == 'i') {
          stop = Stop::kInterrupt;
          return false;
        }
        el_resize(editor);
      }
      if (ends[0].revents == 0) continue;
      const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
      if (n == 1) return true;
      if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      stop = Stop::kEnd;
      return false;
    }
  }

  // libedit's reader of one character: 1, or 0 for the end of input.
  static int read_character(EditLine* editor, wchar_t* character) {
    void* data = nullptr;
    el_wget(editor, EL_CLIENTDATA, &data);
    State& state = *static_cast<State*>(data);
    std::string bytes(1, '\0');
    if (!state.read_byte(bytes[0])) return 0;
    const std::size_t expected = sequence_bytes(static_cast<unsigned char>(bytes[0]));
    while (bytes.size() < expected) {
      char next = 0;
      if (!state.read_byte(next)) return 0;
      bytes += next;
    }
    const bool valid = find_invalid_utf8(bytes) == std::string_view::npos;
    *character = valid ? static_cast<wchar_t>(decode_utf8(bytes.data()).value) : L'\xfffd';
    return 1;
  }

  EditLine* editor = nullptr;
  HistoryW* history = nullptr;
  std::filesystem::path file;
  std::unique_ptr<WakeOnSignal> signals;
  Stop stop = Stop::kNone;
};

LineEditor::LineEditor(std::filesystem::path history) : state_(std::make_unique<State>()) {
  choose_locale();
  State& s = *state_;
  s.editor = el_init("exaone", stdin, stdout, stderr);
  s.history = history_winit();
  if (!s.editor || !s.history) throw Error(ErrorKind::kIo, "the terminal cannot be edited", "standard input");
  HistEventW event;
  history_w(s.history, &event, H_SETSIZE, kHistoryLines);
  history_w(s.history, &event, H_SETUNIQUE, 1);
  el_wset(s.editor, EL_CLIENTDATA, static_cast<void*>(&s));
  el_wset(s.editor, EL_PROMPT, prompt);
  el_wset(s.editor, EL_EDITOR, L"emacs");
  el_wset(s.editor, EL_SIGNAL, 0);
  el_wset(s.editor, EL_HIST, history_w, s.history);
  el_wset(s.editor, EL_GETCFN, State::read_character);
  el_wset(s.editor, EL_BIND, L"^R", L"em-inc-search-prev", nullptr);
  el_source(s.editor, nullptr);

  if (history.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(history.parent_path(), ignored);
  const int fd = open(history.c_str(), O_CREAT | O_CLOEXEC | O_RDWR, S_IRUSR | S_IWUSR);
  if (fd < 0) return;
  fchmod(fd, S_IRUSR | S_IWUSR);
  close(fd);
  s.file = std::move(history);
  history_w(s.history, &event, H_LOAD, s.file.c_str());
}

LineEditor::~LineEditor() = default;

LineEditor::Result LineEditor::read(std::string& line) {
  State& s = *state_;
  s.stop = State::Stop::kNone;
  s.signals = std::make_unique<WakeOnSignal>();
  // libedit shows the prompt before it takes the terminal over: what is typed between would be read by the
  // line rules of a terminal that nobody edits, and an end of input be lost.
  el_wset(s.editor, EL_PREP_TERM, 1);
  int n = 0;
  const wchar_t* const typed = el_wgets(s.editor, &n);
  s.signals.reset();
  line.clear();
  if (s.stop == State::Stop::kInterrupt) return Result::kInterrupted;
  if (!typed || n <= 0) return Result::kEnd;
  for (const wchar_t* c = typed; *c != L'\0' && *c != L'\n'; ++c)
    append_utf8(line, static_cast<char32_t>(*c));
  if (!line.empty()) {
    HistEventW event;
    history_w(s.history, &event, H_ENTER, typed);
    if (!s.file.empty()) history_w(s.history, &event, H_SAVE, s.file.c_str());
  }
  return Result::kLine;
}

std::filesystem::path LineEditor::history_file() {
  const auto variable = [](const char* name) -> std::string_view {
    const char* const value = std::getenv(name);
    return value ? value : "";
  };
  if (variable("EXAONE_NOHISTORY") == "1") return {};
  const std::filesystem::path state(variable("XDG_STATE_HOME"));
  if (state.is_absolute()) return state / "exaone" / "history";
  const std::filesystem::path home(variable("HOME"));
  return home.is_absolute() ? home / ".local" / "state" / "exaone" / "history" : std::filesystem::path{};
}

}  // namespace exa
