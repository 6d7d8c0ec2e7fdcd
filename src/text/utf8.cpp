#include "text/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace exa {
namespace {

enum class Form { kValid, kInvalid, kTruncated };

struct Sequence {
  Form form;
  std::size_t n_bytes;  // of the sequence, or of the maximal subpart where it is not valid
};

Sequence next_sequence(const char* text, const char* end) {
  const auto lead = static_cast<unsigned char>(*text);
  if (lead < 0x80) return {Form::kValid, 1};
  // The second byte's range excludes overlong forms, surrogates and values past U+10FFFF.
  std::size_t length = 0;
  unsigned low = 0x80;
  unsigned high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {Form::kInvalid, 1};
  }
  const std::size_t available = std::min(length, static_cast<std::size_t>(end - text));
  for (std::size_t i = 1; i < available; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < low || byte > high) return {Form::kInvalid, i};
    low = 0x80;
    high = 0xBF;
  }
  if (available < length) return {Form::kTruncated, available};
  return {Form::kValid, length};
}

}  // namespace

void append_utf8(std::string& out, char32_t value) {
  const auto put = [&out](char32_t byte) {
    out.push_back(static_cast<char>(static_cast<unsigned char>(byte)));
  };
  if (value < 0x80) {
    put(value);
  } else if (value < 0x800) {
    put(0xC0 | value >> 6);
    put(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    put(0xE0 | value >> 12);
    put(0x80 | (value >> 6 & 0x3F));
    put(0x80 | (value & 0x3F));
  } else {
    put(0xF0 | value >> 18);
    put(0x80 | (value >> 12 & 0x3F));
    put(0x80 | (value >> 6 & 0x3F));
    put(0x80 | (value & 0x3F));
  }
}

std::size_t find_invalid_utf8(std::string_view text) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* p = begin;
  while (p < end) {
    if (end - p >= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, p, sizeof(word));
      if ((word & 0x8080808080808080u) == 0) {
        p += 8;
        continue;
      }
    }
    const auto lead = static_cast<unsigned char>(*p);
    if (lead < 0x80) {
      ++p;
      continue;
    }
    // Hangul and most other three-byte text, without the special second-byte ranges.
    if (lead > 0xE0 && lead < 0xF0 && lead != 0xED && end - p >= 3) {
      if ((p[1] & 0xC0) == 0x80 && (p[2] & 0xC0) == 0x80) {
        p += 3;
        continue;
      }
    }
    const Sequence sequence = next_sequence(p, end);
    if (sequence.form != Form::kValid) return static_cast<std::size_t>(p - begin);
    p += sequence.n_bytes;
  }
  return std::string_view::npos;
}

void append_replacing_invalid(std::string& out, std::string_view bytes) {
  while (true) {
    const std::size_t bad = find_invalid_utf8(bytes);
    if (bad == std::string_view::npos) break;
    out.append(bytes.substr(0, bad));
    out.append("\xEF\xBF\xBD");
    const char* const end = bytes.data() + bytes.size();
    bytes.remove_prefix(bad + next_sequence(bytes.data() + bad, end).n_bytes);
  }
  out.append(bytes);
}

std::size_t incomplete_tail(std::string_view bytes) {
  const char* const end = bytes.data() + bytes.size();
  for (std::size_t n = 1; n <= std::min<std::size_t>(3, bytes.size()); ++n) {
    const char* const start = end - n;
    if ((static_cast<unsigned char>(*start) & 0xC0) == 0x80) continue;
    return next_sequence(start, end).form == Form::kTruncated ? n : 0;
  }
  return 0;
}

}  // namespace exa
