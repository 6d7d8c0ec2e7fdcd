#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <span>

#include "base/error.h"
#include "text/utf8.h"

namespace exa {
namespace {

struct CodePointRange {
  char32_t first;
  char32_t last;
};

// Assigned in Unicode 15.1 and 16.
constexpr CodePointRange kNewerLetters[] = {
    {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3}, {0x10D4A, 0x10D65},
    {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389}, {0x1138B, 0x1138B}, {0x1138E, 0x1138E},
    {0x11390, 0x113B5}, {0x113B7, 0x113B7}, {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0},
    {0x13460, 0x143FA}, {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D}};
constexpr CodePointRange kNewerNumbers[] = {{0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9},
                                            {0x16130, 0x16139}, {0x16D70, 0x16D79}, {0x1CCF0, 0x1CCF9},
                                            {0x1E5F1, 0x1E5FA}};
constexpr CodePointRange kNewerMarks[] = {
    {0x897, 0x897},     {0x10D69, 0x10D6D}, {0x10EFC, 0x10EFC}, {0x113B8, 0x113C0}, {0x113C2, 0x113C2},
    {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113D0}, {0x113D2, 0x113D2}, {0x113E1, 0x113E2},
    {0x11F5A, 0x11F5A}, {0x1611E, 0x1612F}, {0x1E5EE, 0x1E5EF}};

// Characters with a combining class or a decomposition that were assigned after Unicode 9.
constexpr CodePointRange kFrozenRanges[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
    {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},
    {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},   {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x10781, 0x10785},
    {0x10787, 0x107B0}, {0x107B2, 0x107BA}, {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E},
    {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
    {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42},
    {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E030, 0x1E06D},
    {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
    {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};

constexpr CodePointRange kSpaces[] = {{0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},
                                      {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
                                      {0x205F, 0x205F}, {0x3000, 0x3000}};

constexpr char32_t kLastCodePoint = 0x10FFFF;
// Beyond this plane and before this one nothing is assigned; the last two planes are for private use.
constexpr char32_t kEndOfPlane3 = 0x40000;
constexpr char32_t kPlane14 = 0xE0000;
constexpr char32_t kEndOfPlane14 = 0xF0000;

constexpr bool is_hangul_syllable(char32_t c) {
  return c >= 0xAC00 && c <= 0xD7A3;
}
// Vowels and final consonants: they compose with a syllable or a leading consonant before them.
constexpr bool is_joining_jamo(char32_t c) {
  return (c >= 0x1161 && c <= 0x1175) || (c >= 0x11A8 && c <= 0x11C2);
}

std::uint8_t class_flags(utf8proc_category_t category) {
  switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharTable::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharTable::kNumber;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return CharTable::kMark;
    default:
      return 0;
  }
}

// utf8proc's longest full decomposition is 18 code points (U+FDFA under NFKC).
constexpr int kMaxDecomposition = 32;

constexpr auto kDecompose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
constexpr auto kDecomposeCompatibly =
    static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
constexpr auto kCompose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);

std::span<const utf8proc_int32_t> decompose(char32_t c, utf8proc_option_t options,
                                            std::array<utf8proc_int32_t, kMaxDecomposition>& buffer) {
  int boundary = UTF8PROC_BOUNDCLASS_START;
  const utf8proc_ssize_t n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), buffer.data(),
                                                     kMaxDecomposition, options, &boundary);
  if (n < 1 || n > kMaxDecomposition)
    throw Error(ErrorKind::kInternal, "utf8proc cannot decompose a character");
  return std::span(buffer).first(static_cast<std::size_t>(n));
}

// Appends the normal form of text[begin, end), whose first character nothing before it can join.
class ChunkNormalizer {
 public:
  explicit ChunkNormalizer(Normalization normalization)
      : options_(normalization == Normalization::kNfkc ? kDecomposeCompatibly : kDecompose) {}

  void append(std::string_view chunk, std::string& out) {
    points_.clear();
    for (std::size_t i = 0; i < chunk.size();) {
      const CodePoint c = decode_utf8(chunk.data() + i);
      i += c.n_bytes;
      if (table_.flags(c.value) & CharTable::kFrozen) {
        points_.push_back(static_cast<utf8proc_int32_t>(c.value));
        continue;
      }
      const auto decomposed = decompose(c.value, options_, buffer_);
      points_.insert(points_.end(), decomposed.begin(), decomposed.end());
    }
    sort_marks();
    const utf8proc_ssize_t n =
        utf8proc_normalize_utf32(points_.data(), static_cast<utf8proc_ssize_t>(points_.size()), kCompose);
    if (n < 0) throw Error(ErrorKind::kInternal, "utf8proc cannot compose a character");
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
      append_utf8(out, static_cast<char32_t>(points_[i]));
  }

 private:
  utf8proc_propval_t combining_class(utf8proc_int32_t c) const {
    if (table_.flags(static_cast<char32_t>(c)) & CharTable::kFrozen) return 0;
    return utf8proc_get_property(c)->combining_class;
  }

  // utf8proc's own canonical ordering is an insertion sort: quadratic on a long run of marks.
  void sort_marks() {
    auto run = points_.begin();
    while (run != points_.end()) {
      if (combining_class(*run) == 0) {
        ++run;
        continue;
      }
      const auto end =
          std::find_if(run, points_.end(), [this](utf8proc_int32_t c) { return combining_class(c) == 0; });
      std::stable_sort(run, end, [this](utf8proc_int32_t a, utf8proc_int32_t b) {
        return combining_class(a) < combining_class(b);
      });
      run = end;
    }
  }

  const CharTable& table_ = CharTable::get();
  utf8proc_option_t options_;
  std::array<utf8proc_int32_t, kMaxDecomposition> buffer_{};
  std::vector<utf8proc_int32_t> points_;
};

// End of the longest prefix from `begin` on whose characters are all safe.
std::size_t skip_safe(std::string_view text, std::size_t begin, std::uint8_t unsafe, const CharTable& table) {
  std::size_t i = begin;
  while (i < text.size()) {
    if (i + 8 <= text.size()) {
      std::uint64_t word = 0;
      std::memcpy(&word, text.data() + i, sizeof(word));
      if ((word & 0x8080808080808080u) == 0) {
        i += 8;
        continue;
      }
    }
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    if (lead == 0xEB || lead == 0xEC) {  // U+B000 to U+CFFF: Hangul syllables only
      i += 3;
      continue;
    }
    const CodePoint c = decode_utf8(text.data() + i);
    if (table.flags(c.value) & unsafe) return i;
    i += c.n_bytes;
  }
  return i;
}

}  // namespace

std::string_view name(Normalization normalization) {
  switch (normalization) {
    case Normalization::kNfc:
      return "NFC";
    case Normalization::kNfkc:
      return "NFKC";
    case Normalization::kNone:
      break;
  }
  return "none";
}

const CharTable& CharTable::get() {
  static const CharTable table;
  return table;
}

CharTable::CharTable() {
  std::vector<std::uint8_t> flat(kLastCodePoint + 1, 0);
  std::array<utf8proc_int32_t, kMaxDecomposition> buffer{};
  const auto read = [&](char32_t c) {
    const utf8proc_property_t* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
    const auto category = static_cast<utf8proc_category_t>(property->category);
    flat[c] |= class_flags(category);
    if (is_joining_jamo(c) || property->combining_class != 0) flat[c] |= kNfcUnsafe | kNfkcUnsafe;
    if (property->decomp_seqindex == UINT16_MAX) return;
    const auto compatible = decompose(c, kDecomposeCompatibly, buffer);
    if (compatible.size() != 1 || compatible[0] != static_cast<utf8proc_int32_t>(c)) {
      // Canonical composites are recomposed unless excluded; the flag costs only time where that is so.
      flat[c] |= kNfkcUnsafe;
    }
    const auto canonical = decompose(c, kDecompose, buffer);
    if (canonical.size() == 1) {
      if (canonical[0] != static_cast<utf8proc_int32_t>(c)) flat[c] |= kNfcUnsafe;
      return;
    }
    std::vector<utf8proc_int32_t> composed(canonical.begin(), canonical.end());
    for (std::size_t i = 1; i < composed.size(); ++i) {
      flat[static_cast<std::size_t>(composed[i])] |= kNfcUnsafe | kNfkcUnsafe;
    }
    const utf8proc_ssize_t n =
        utf8proc_normalize_utf32(composed.data(), static_cast<utf8proc_ssize_t>(composed.size()), kCompose);
    const bool stays = n == 1 && composed[0] == static_cast<utf8proc_int32_t>(c);
    if (!stays) flat[c] |= kNfcUnsafe;
    // A composite under NFKC stays too unless one of its parts has a compatibility form.
    if (stays) {
      const auto parts = decompose(c, kDecompose, buffer);
      const std::vector<utf8proc_int32_t> canonical_parts(parts.begin(), parts.end());
      const auto full = decompose(c, kDecomposeCompatibly, buffer);
      if (std::equal(full.begin(), full.end(), canonical_parts.begin(), canonical_parts.end())) {
        flat[c] &= static_cast<std::uint8_t>(~kNfkcUnsafe);
      }
    }
  };
  for (char32_t c = 0; c < kEndOfPlane3; ++c) {
    if (is_hangul_syllable(c)) {
      flat[c] = kLetter;
    } else {
      read(c);
    }
  }
  for (char32_t c = kPlane14; c < kEndOfPlane14; ++c) read(c);

  const auto set = [&flat](std::span<const CodePointRange> ranges, std::uint8_t flag) {
    for (const CodePointRange& range : ranges) {
      for (char32_t c = range.first; c <= range.last; ++c) flat[c] |= flag;
    }
  };
  set(kNewerLetters, kLetter);
  set(kNewerNumbers, kNumber);
  set(kNewerMarks, kMark);
  set(kSpaces, kSpace);
  set(kFrozenRanges, kFrozen);
  for (const CodePointRange& range : kFrozenRanges) {
    for (char32_t c = range.first; c <= range.last; ++c) {
      flat[c] &= static_cast<std::uint8_t>(~(kNfcUnsafe | kNfkcUnsafe));
    }
  }

  std::map<std::string_view, std::uint16_t> pages;
  for (std::size_t page = 0; page < page_of_.size(); ++page) {
    const std::string_view bytes(reinterpret_cast<const char*>(flat.data() + page * 256), 256);
    const auto [where, is_new] = pages.emplace(bytes, static_cast<std::uint16_t>(pages.size()));
    if (is_new) flags_.insert(flags_.end(), bytes.begin(), bytes.end());
    page_of_[page] = where->second;
  }
}

bool normalize(std::string_view text, Normalization normalization, std::string& out,
               std::vector<NormalizedChunk>* chunks) {
  if (normalization == Normalization::kNone) return false;
  const CharTable& table = CharTable::get();
  const std::uint8_t unsafe =
      normalization == Normalization::kNfc ? CharTable::kNfcUnsafe : CharTable::kNfkcUnsafe;
  std::size_t unsafe_at = skip_safe(text, 0, unsafe, table);
  if (unsafe_at == text.size()) return false;

  ChunkNormalizer normalizer(normalization);
  out.clear();
  if (chunks) chunks->clear();
  std::size_t copied = 0;
  while (unsafe_at < text.size()) {
    // The chunk starts with the character before, which may compose with this one.
    std::size_t begin = unsafe_at;
    while (begin > copied) {
      --begin;
      if ((static_cast<unsigned char>(text[begin]) & 0xC0) != 0x80) break;
    }
    std::size_t end = unsafe_at;
    while (end < text.size()) {
      const CodePoint c = decode_utf8(text.data() + end);
      if (!(table.flags(c.value) & unsafe)) break;
      end += c.n_bytes;
    }
    out.append(text.substr(copied, begin - copied));
    const std::size_t out_begin = out.size();
    normalizer.append(text.substr(begin, end - begin), out);
    if (chunks) chunks->push_back({begin, end, out_begin, out.size()});
    copied = end;
    unsafe_at = skip_safe(text, end, unsafe, table);
  }
  out.append(text.substr(copied));
  return true;
}

}  // namespace exa
