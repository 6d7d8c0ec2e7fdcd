#include "cli/terminal/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/streams.h"
#include "text/utf8.h"

namespace exa {
namespace {

constexpr int kHistoryLines = 1000;

constexpr std::string_view kPasteBegin = "\x1b[200~";
constexpr std::string_view kPasteEnd = "\x1b[201~";
constexpr std::size_t kMostPasted = std::size_t{16} << 20;
// The bytes of one key arrive together; a person's escape key comes alone.
constexpr int kKeyMs = 30;
constexpr int kPasteMs = 2000;
constexpr wchar_t kSearchKey = L'\x12';  // Ctrl-R
constexpr wchar_t kRedrawKey = L'\x1f';  // nobody types it

// Wide characters are measured by the C library, which knows their width in a UTF-8 locale only.
void choose_locale() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

bool knows_pastes() {
  const char* const term = std::getenv("TERM");
  return term && *term && std::string_view(term) != "dumb";
}

std::string note(std::size_t index, std::size_t n_lines) {
  return "[paste " + std::to_string(index + 1) + ": " + std::to_string(n_lines) + " lines]";
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

  static wchar_t* prompt_of(EditLine* editor) {
    void* data = nullptr;
    el_wget(editor, EL_CLIENTDATA, &data);
    return static_cast<State*>(data)->prompt.data();
  }

  // Reads a byte as the editor sees it: a paste is replaced by what Pastes makes of it.
  bool read_byte(char& byte) {
    if (pending.empty()) {
      if (!read_terminal(byte)) return false;
      if (byte != kPasteBegin[0]) return true;
      std::string key(1, byte);
      while (kPasteBegin.starts_with(key) && key.size() < kPasteBegin.size() && readable_soon(kKeyMs)) {
        if (!read_terminal(byte)) return false;
        key += byte;
      }
      if (key == kPasteBegin) {
        std::string text;
        if (!read_paste(text)) return false;
        key = pastes.shorten(std::move(text));
        if (key.empty()) return read_byte(byte);
      }
      pending = std::move(key);
    }
    byte = pending[0];
    pending.erase(0, 1);
    return true;
  }

  static bool readable_soon(int within_ms) {
    pollfd end = {STDIN_FILENO, POLLIN, 0};
    return poll(&end, 1, within_ms) > 0;
  }

  bool read_paste(std::string& text) {
    std::string bytes;
    while (!bytes.ends_with(kPasteEnd)) {
      char byte = 0;
      // A paste comes at once; one without an end may not hold the person up.
      if (!bytes.empty() && !readable_soon(kPasteMs)) break;
      if (!read_terminal(byte)) return false;
      bytes += byte;
      // No exception may pass through libedit: what is too much is cut.
      if (bytes.size() > kMostPasted)
        bytes.erase(kMostPasted / 2, bytes.size() - kMostPasted / 2 - kPasteEnd.size());
    }
    if (bytes.ends_with(kPasteEnd)) bytes.resize(bytes.size() - kPasteEnd.size());
    append_replacing_invalid(text, bytes);
    return true;
  }

  // Reads a byte; false where a signal or the end came instead.
  bool read_terminal(char& byte) {
    for (;;) {
      pollfd ends[] = {{STDIN_FILENO, POLLIN, 0}, {signals.fd(), POLLIN, 0}};
      if (poll(ends, 2, -1) < 0 && errno != EINTR) return false;
      char letter = 0;
      while (::read(signals.fd(), &letter, 1) == 1) {
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

  // libedit draws a change in the middle of a line that takes several rows wrongly where characters are two
  // columns wide: such a line is drawn anew after each key. Not inside of a key's bytes, nor of a search.
  bool wants_redraw() const {
    constexpr std::wstring_view kPrefixes = L"\x1b\x16\x18";
    if (last == 0 || last == kRedrawKey || searching || !pending.empty() || readable_soon(0) ||
        kPrefixes.find(last) != std::wstring_view::npos) {
      return false;
    }
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return false;
    const LineInfoW* const line = el_wline(editor);
    std::size_t columns = prompt.size() + 1;
    for (const wchar_t* c = line->buffer; c != line->lastchar; ++c) {
      columns += static_cast<std::size_t>(std::max(0, wcwidth(*c)));
    }
    return columns >= size.ws_col;
  }

  // libedit's reader of one character: 1, or 0 for the end of input.
  static int read_character(EditLine* editor, wchar_t* character) {
    void* data = nullptr;
    el_wget(editor, EL_CLIENTDATA, &data);
    State& state = *static_cast<State*>(data);
    if (state.wants_redraw()) {
      state.last = kRedrawKey;
      *character = kRedrawKey;
      return 1;
    }
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
    state.last = *character;
    if (*character == kSearchKey) state.searching = true;
    if (*character == L'\n' || *character == L'\r' || *character == L'\x1b' || *character == L'\x07') {
      state.searching = false;
    }
    return 1;
  }

  EditLine* editor = nullptr;
  HistoryW* history = nullptr;
  std::filesystem::path file;
  // All the time: a Ctrl-C that comes when an answer has just ended may not end the program.
  WakeOnSignal signals;
  Pastes pastes;
  std::string pending;  // bytes that the editor gets before the terminal's next
  std::wstring prompt;
  wchar_t last = 0;  // the key before this one
  bool searching = false;
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
  el_wset(s.editor, EL_PROMPT, State::prompt_of);
  el_wset(s.editor, EL_EDITOR, L"emacs");
  el_wset(s.editor, EL_SIGNAL, 0);
  el_wset(s.editor, EL_HIST, history_w, s.history);
  el_wset(s.editor, EL_GETCFN, State::read_character);
  el_wset(s.editor, EL_BIND, L"^R", L"em-inc-search-prev", nullptr);
  el_source(s.editor, nullptr);
  el_wset(s.editor, EL_BIND, L"^_", L"ed-redisplay", nullptr);

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

LineEditor::~LineEditor() {
  if (knows_pastes()) write_note("\x1b[?2004l");
}

LineEditor::Result LineEditor::read_line(const std::wstring& prompt, bool remember, std::string& line) {
  State& s = *state_;
  s.stop = State::Stop::kNone;
  s.prompt = prompt;
  s.pending.clear();
  s.last = 0;
  s.searching = false;
  // Each time: an editor that ran in between switches it off. It stays on, so that a paste while an answer
  // comes is one paste too.
  if (knows_pastes()) write_out("\x1b[?2004h");
  // libedit shows the prompt before it takes the terminal over: what is typed between would be read by the
  // line rules of a terminal that nobody edits, and an end of input be lost.
  el_wset(s.editor, EL_PREP_TERM, 1);
  int n = 0;
  const wchar_t* const typed = el_wgets(s.editor, &n);
  line.clear();
  if (s.stop == State::Stop::kInterrupt) return Result::kInterrupted;
  if (!typed || n <= 0) return Result::kEnd;
  for (const wchar_t* c = typed; *c != L'\0' && *c != L'\n'; ++c)
    append_utf8(line, static_cast<char32_t>(*c));
  if (!line.empty() && remember) {
    HistEventW event;
    history_w(s.history, &event, H_ENTER, typed);
    if (!s.file.empty()) history_w(s.history, &event, H_SAVE, s.file.c_str());
  }
  line = s.pastes.expand(std::move(line));
  return Result::kLine;
}

LineEditor::Result LineEditor::read(std::string& message) {
  MessageLines lines;
  std::string line;
  for (;;) {
    const Result result = read_line(lines.begun() ? L"\u00b7 " : L"> ", true, line);
    if (result != Result::kLine) return result;
    if (!lines.add(line)) continue;
    message = lines.take();
    return Result::kLine;
  }
}

LineEditor::Result LineEditor::read_answer(const std::string& question, std::string& line) {
  std::wstring prompt;
  for (std::size_t i = 0; i < question.size();) {
    const CodePoint point = decode_utf8(question.data() + i);
    prompt += static_cast<wchar_t>(point.value);
    i += point.n_bytes;
  }
  // What was typed before the question was seen is no answer to it.
  tcflush(STDIN_FILENO, TCIFLUSH);
  return read_line(prompt, false, line);
}

bool MessageLines::add(std::string_view line) {
  constexpr std::string_view kQuotes = "\"\"\"";
  if (!begun_ && line.starts_with(kQuotes)) {
    block_ = begun_ = true;
    line.remove_prefix(kQuotes.size());
    if (line.empty()) return false;
  } else if (begun_ && !text_.empty()) {
    text_ += '\n';
  }
  begun_ = true;
  if (block_) {
    const bool ends = line.ends_with(kQuotes);
    if (ends) line.remove_suffix(kQuotes.size());
    text_ += line;
    if (ends && line.empty() && text_.ends_with('\n')) text_.pop_back();
    return ends;
  }
  const bool goes_on = line.ends_with('\\');
  if (goes_on) line.remove_suffix(1);
  text_ += line;
  return !goes_on;
}

std::string MessageLines::take() {
  begun_ = block_ = false;
  return std::exchange(text_, {});
}

std::string Pastes::shorten(std::string text) {
  std::string clean;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool line_end = text[i] == '\r' || text[i] == '\n';
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
    clean += line_end ? '\n' : text[i];
  }
  while (clean.ends_with('\n')) clean.pop_back();
  if (clean.find('\n') == std::string::npos) {
    // The editor takes control characters for keys.
    for (char& c : clean) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
    return clean;
  }
  const auto n_lines = std::count(clean.begin(), clean.end(), '\n') + 1;
  texts_.push_back(std::move(clean));
  return note(texts_.size() - 1, static_cast<std::size_t>(n_lines));
}

std::string Pastes::expand(std::string line) const {
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    const auto n_lines = std::count(texts_[i].begin(), texts_[i].end(), '\n') + 1;
    const std::string short_form = note(i, static_cast<std::size_t>(n_lines));
    for (std::size_t at = 0; (at = line.find(short_form, at)) != std::string::npos; at += texts_[i].size()) {
      line.replace(at, short_form.size(), texts_[i]);
    }
  }
  return line;
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
