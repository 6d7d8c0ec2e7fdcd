#include "text/splitter.h"

#include "text/utf8.h"

namespace exa {
namespace {

constexpr std::uint8_t kLetter = CharTable::kLetter;
constexpr std::uint8_t kNumber = CharTable::kNumber;
constexpr std::uint8_t kMark = CharTable::kMark;
constexpr std::uint8_t kSpace = CharTable::kSpace;

struct Character {
  std::uint8_t flags;
  std::size_t n_bytes;  // 0 at the end of the text

  bool is(std::uint8_t flag) const { return (flags & flag) != 0; }
  // [^\s\p{L}\p{N}]
  bool is_other() const { return n_bytes != 0 && (flags & (kSpace | kLetter | kNumber)) == 0; }
};

class Scanner {
 public:
  Scanner(std::string_view text, const CharTable& table)
      : text_(text.data()), size_(text.size()), table_(table) {}

  std::size_t size() const { return size_; }
  char byte(std::size_t i) const { return i < size_ ? text_[i] : '\0'; }

  Character at(std::size_t i) const {
    if (i >= size_) return {0, 0};
    const auto lead = static_cast<unsigned char>(text_[i]);
    if (lead < 0x80) return {table_.ascii_flags(lead), 1};
    if (lead == 0xEB || lead == 0xEC) return {kLetter, 3};  // U+B000 to U+CFFF: Hangul syllables only
    const CodePoint c = decode_utf8(text_ + i);
    return {table_.flags(c.value), c.n_bytes};
  }

  // End of the longest run from i on of characters with one of these flags.
  std::size_t skip(std::size_t i, std::uint8_t flags) const {
    for (Character c = at(i); c.is(flags); c = at(i)) i += c.n_bytes;
    return i;
  }
  std::size_t skip_other(std::size_t i) const {
    for (Character c = at(i); c.is_other(); c = at(i)) i += c.n_bytes;
    return i;
  }

  // A run of white space: its end, where its last character starts, and where its last CR or LF ends (0:
  // none).
  struct SpaceRun {
    std::size_t end;
    std::size_t last;
    std::size_t after_newline;
  };
  SpaceRun space_run(std::size_t begin) const {
    SpaceRun run{begin, begin, 0};
    for (Character c = at(begin); c.is(kSpace); c = at(run.end)) {
      run.last = run.end;
      run.end += c.n_bytes;
      if (text_[run.last] == '\n' || text_[run.last] == '\r') run.after_newline = run.end;
    }
    return run;
  }

 private:
  const char* text_;
  std::size_t size_;
  const CharTable& table_;
};

// Length of 's 't 're 've 'm 'll 'd at an apostrophe, 0 where there is none.
std::size_t contraction(const Scanner& text, std::size_t begin) {
  switch (text.byte(begin + 1)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return text.byte(begin + 2) == 'e' ? 3 : 0;
    case 'l':
      return text.byte(begin + 2) == 'l' ? 3 : 0;
    default:
      return 0;
  }
}

// The same under (?i:): the long s U+017F folds to s, nothing else outside ASCII folds to these letters.
std::size_t contraction_any_case(const Scanner& text, std::size_t begin) {
  const auto lower = [&text](std::size_t i) { return static_cast<char>(text.byte(i) | 0x20); };
  if (text.byte(begin + 1) == '\xC5' && text.byte(begin + 2) == '\xBF') return 3;
  switch (lower(begin + 1)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return lower(begin + 2) == 'e' ? 3 : 0;
    case 'l':
      return lower(begin + 2) == 'l' ? 3 : 0;
    default:
      return 0;
  }
}

// kIsolateNumbers: the text ends at every number, as the stretch between two numbers does under EXAONE 3.x.
template <bool kIsolateNumbers>
std::size_t gpt2_piece_end(const Scanner& text, std::size_t begin) {
  const char lead = text.byte(begin);
  if (lead == '\'') {
    if (const std::size_t length = contraction(text, begin)) return begin + length;
  }
  const Character first = text.at(begin);
  const std::size_t body = lead == ' ' ? begin + 1 : begin;
  const Character c = lead == ' ' ? text.at(body) : first;
  if (c.is(kLetter)) return text.skip(body + c.n_bytes, kLetter);
  if (c.is(kNumber)) {
    if (!kIsolateNumbers) return text.skip(body + c.n_bytes, kNumber);
    return lead == ' ' ? body : body + c.n_bytes;
  }
  if (c.is_other()) return text.skip_other(body + c.n_bytes);
  const Scanner::SpaceRun run = text.space_run(begin);
  // \s+(?!\S) gives back the last character in front of other text, unless nothing would be left.
  const Character next = text.at(run.end);
  const bool at_end = next.n_bytes == 0 || (kIsolateNumbers && next.is(kNumber));
  return at_end || run.last == begin ? run.end : run.last;
}

// Letters with their marks, single spaces between them allowed, from the letter at i on.
std::size_t skip_clause(const Scanner& text, std::size_t i) {
  while (true) {
    const Character c = text.at(i);
    if (c.is(kLetter)) {
      i = text.skip(i + c.n_bytes, kMark);
    } else if (text.byte(i) == ' ' && text.at(i + 1).is(kLetter)) {
      ++i;
    } else {
      return i;
    }
  }
}

std::size_t superword_piece_end(const Scanner& text, std::size_t begin) {
  const char lead = text.byte(begin);
  if (lead == '\'') {
    if (const std::size_t length = contraction_any_case(text, begin)) return begin + length;
  }
  const Character first = text.at(begin);
  if (first.is(kLetter)) return skip_clause(text, begin);
  const std::size_t second = begin + first.n_bytes;
  if (first.is(kNumber)) return second;
  if (lead != '\r' && lead != '\n' && text.at(second).is(kLetter)) return skip_clause(text, second);
  if (first.is_other() || (lead == ' ' && text.at(second).is_other())) {
    const std::size_t end = text.skip_other(second);
    // A slash belongs to the run itself, so only a line break can be left to take.
    return text.byte(end) == '\r' || text.byte(end) == '\n' ? end + 1 : end;
  }
  const Scanner::SpaceRun run = text.space_run(begin);
  if (run.after_newline != 0) return run.after_newline;
  return run.end == text.size() || run.last == begin ? run.end : run.last;
}

}  // namespace

std::string_view name(SplitterKind kind) {
  switch (kind) {
    case SplitterKind::kExaone:
      return "exaone";
    case SplitterKind::kExaone4:
      return "exaone4";
    case SplitterKind::kExaoneMoe:
      break;
  }
  return "exaone-moe";
}

std::optional<SplitterKind> splitter_from_name(std::string_view wanted) {
  for (const SplitterKind kind : {SplitterKind::kExaone, SplitterKind::kExaone4, SplitterKind::kExaoneMoe}) {
    if (name(kind) == wanted) return kind;
  }
  return std::nullopt;
}

std::size_t Splitter::piece_end(std::string_view text, std::size_t begin) const {
  const Scanner scanner(text, *table_);
  switch (kind_) {
    case SplitterKind::kExaone:
      return gpt2_piece_end<true>(scanner, begin);
    case SplitterKind::kExaone4:
      return gpt2_piece_end<false>(scanner, begin);
    case SplitterKind::kExaoneMoe:
      break;
  }
  return superword_piece_end(scanner, begin);
}

}  // namespace exa
