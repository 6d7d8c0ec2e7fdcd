// Character properties the splitters ask for, and Unicode normalisation as Hugging Face's library performs
// it.
//
// Ownership and threads: one table for the process, built on first use and immutable; functions are pure.
// Source: utf8proc (Unicode 15), corrected to what the Hugging Face tokenizers library 0.23 knows: its regex
// engine (Oniguruma) classifies by Unicode 16, its normaliser by Unicode 9.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace exa {

enum class Normalization : std::uint8_t { kNone, kNfc, kNfkc };

std::string_view name(Normalization normalization);

class CharTable {
 public:
  static constexpr std::uint8_t kLetter = 1;  // \p{L}
  static constexpr std::uint8_t kNumber = 2;  // \p{N}
  static constexpr std::uint8_t kMark = 4;    // \p{M}
  static constexpr std::uint8_t kSpace = 8;   // \s
  // May change or compose under NFC or NFKC. A character without the flag is a starter that stays as it is
  // and never joins the text before it, so normalised text may be cut in front of it.
  static constexpr std::uint8_t kNfcUnsafe = 16;
  static constexpr std::uint8_t kNfkcUnsafe = 32;
  // Unknown to the normaliser of Hugging Face's library: never decomposed, combining class 0.
  static constexpr std::uint8_t kFrozen = 64;

  static const CharTable& get();

  // The flags of a code point up to U+10FFFF.
  std::uint8_t flags(char32_t c) const { return flags_[std::size_t{page_of_[c >> 8]} << 8 | (c & 0xFF)]; }
  // The same for c < 0x80, one load.
  std::uint8_t ascii_flags(unsigned char c) const { return flags_[c]; }

 private:
  CharTable();

  std::array<std::uint16_t, 0x1100> page_of_{};
  std::vector<std::uint8_t> flags_;  // pages of 256, page 0 is U+0000 to U+00FF
};

// A stretch of normalised text that differs, or may differ, from its source. Between two of them both texts
// are the same, byte for byte.
struct NormalizedChunk {
  std::size_t source_begin, source_end;
  std::size_t begin, end;  // in the normalised text
};

// Normalises valid UTF-8. Returns false and leaves `out` and `chunks` alone where the text is already normal
// (found by a quick check that never calls utf8proc); else sets `out` and, if wanted, the changed stretches
// in order. Linear but for sorting within a run of combining marks (n log n).
bool normalize(std::string_view text, Normalization normalization, std::string& out,
               std::vector<NormalizedChunk>* chunks = nullptr);

}  // namespace exa
