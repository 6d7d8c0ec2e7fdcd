// UTF-8 at the byte level: decoding text that is known to be valid, and judging text that is not.
//
// Ownership and threads: pure functions.
// Source: RFC 3629; the replacement rule is "maximal subpart" of the Unicode standard 3.9, which Python's
// errors="replace" and Rust's from_utf8_lossy follow too.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace exa {

struct CodePoint {
  char32_t value;
  std::size_t n_bytes;  // 1 to 4
};

// The code point at `text`, which must be the first byte of a valid sequence.
inline CodePoint decode_utf8(const char* text) {
  const auto byte = [text](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[i]));
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (lead < 0xF0) return {(lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

// Appends the encoding of a scalar value (not a surrogate, at most U+10FFFF).
void append_utf8(std::string& out, char32_t value);

// Byte offset of the first ill-formed sequence, std::string_view::npos where the text is valid.
std::size_t find_invalid_utf8(std::string_view text);

// Appends `bytes` with every maximal ill-formed subpart replaced by U+FFFD.
void append_replacing_invalid(std::string& out, std::string_view bytes);

// How many bytes at the end are the beginning of a sequence that more bytes could complete: 0 to 3.
std::size_t incomplete_tail(std::string_view bytes);

}  // namespace exa
