#include "jinja/text.h"

#include <string.h>
#include <utf8proc.h>

#include <algorithm>

namespace exa::jinja {

CodePoint code_point_at(std::string_view bytes, std::size_t at) {
  const auto byte = [&](std::size_t i) -> char32_t { return static_cast<unsigned char>(bytes[at + i]); };
  const char32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t size = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  if (size == 0 || bytes.size() - at < size) return {0xFFFD, 1};
  char32_t value = first & (0x7Fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {0xFFFD, 1};
    value = value << 6 | (byte(i) & 0x3F);
  }
  static constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[size] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return {0xFFFD, 1};
  return {value, size};
}

std::size_t next_code_point(std::string_view bytes, std::size_t at) {
  return at + code_point_at(bytes, at).size;
}

std::size_t previous_code_point(std::string_view bytes, std::size_t at) {
  for (std::size_t size = 1; size <= 4 && size <= at; ++size) {
    if ((static_cast<unsigned char>(bytes[at - size]) & 0xC0) == 0x80) continue;
    return code_point_at(bytes.substr(0, at), at - size).size == size ? at - size : at - 1;
  }
  return at - 1;
}

std::size_t count_code_points(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && static_cast<unsigned char>(bytes[at]) < 0x80) ++at;
  std::size_t count = at;
  for (; at < bytes.size(); ++count) at = next_code_point(bytes, at);
  return count;
}

void append_utf8(std::string& out, char32_t value) {
  utf8proc_uint8_t buffer[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(value), buffer);
  if (size <= 0) {
    out += "\xEF\xBF\xBD";
  } else {
    out.append(reinterpret_cast<const char*>(buffer), static_cast<std::size_t>(size));
  }
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_line_break(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

}  // namespace

bool is_letter(char32_t c) {
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_digit(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_ND;
}

bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  const auto kind = category(c);
  return kind != UTF8PROC_CATEGORY_CN && kind < UTF8PROC_CATEGORY_ZS;
}

bool is_upper(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LU;
}
bool is_lower(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LL;
}

namespace {

// The full mappings that are not one to one; the rest of SpecialCasing.txt is ligatures and Greek with iota.
void append_upper(std::string& out, char32_t c) {
  if (c == 0xDF) {
    out += "SS";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_title(std::string& out, char32_t c) {
  if (c == 0xDF) {
    out += "Ss";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
  }
}

bool is_cased(char32_t c) {
  const auto kind = category(c);
  return kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL || kind == UTF8PROC_CATEGORY_LT;
}

// A capital sigma ends a word as U+03C2: after a cased letter and not before one.
void append_lower(std::string& out, std::string_view bytes, std::size_t at, CodePoint point) {
  if (point.value == 0x130) {
    out += "i\xCC\x87";
    return;
  }
  if (point.value == 0x3A3 && at > 0) {
    const bool after = is_cased(code_point_at(bytes, previous_code_point(bytes, at)).value);
    const std::size_t next = at + point.size;
    const bool before = next < bytes.size() && is_cased(code_point_at(bytes, next).value);
    append_utf8(out, after && !before ? 0x3C2 : 0x3C3);
    return;
  }
  append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point.value))));
}

}  // namespace

std::string recase(std::string_view bytes, Casing casing) {
  std::string out;
  out.reserve(bytes.size());
  bool in_word = false;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint point = code_point_at(bytes, at);
    const bool broken = point.value == 0xFFFD && point.size == 1;
    const bool start = casing == Casing::kTitle ? !in_word : at == 0;
    if (broken) {
      out += bytes[at];
    } else if (casing == Casing::kUpper || (casing == Casing::kSwap && is_lower(point.value))) {
      append_upper(out, point.value);
    } else if ((casing == Casing::kTitle || casing == Casing::kCapitalize) && start) {
      append_title(out, point.value);
    } else if (casing == Casing::kSwap && !is_upper(point.value)) {
      out.append(bytes.substr(at, point.size));
    } else {
      append_lower(out, bytes, at, point);
    }
    in_word = !broken && is_cased(point.value);
    at += point.size;
  }
  return out;
}

std::string title_words(std::string_view bytes) {
  const auto separates = [](char32_t c) {
    return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  };
  std::string out;
  out.reserve(bytes.size());
  bool start = true;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint point = code_point_at(bytes, at);
    if (point.value == 0xFFFD && point.size == 1) {
      out += bytes[at];
    } else if (start) {
      append_upper(out, point.value);
    } else {
      append_lower(out, bytes, at, point);
    }
    start = separates(point.value);
    at += point.size;
  }
  return out;
}

bool StripSet::has(char32_t c) const {
  return spaces ? is_space(c) : std::binary_search(points.begin(), points.end(), c);
}

StripSet strip_set(std::string_view chars) {
  StripSet set{false, {}};
  for (std::size_t at = 0; at < chars.size();) {
    const CodePoint point = code_point_at(chars, at);
    set.points.push_back(point.value);
    at += point.size;
  }
  std::sort(set.points.begin(), set.points.end());
  return set;
}

std::pair<std::size_t, std::size_t> strip_range(std::string_view bytes, const StripSet& set, bool left,
                                                bool right) {
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  while (left && begin < end) {
    const CodePoint point = code_point_at(bytes, begin);
    if (!set.has(point.value)) break;
    begin += point.size;
  }
  while (right && end > begin) {
    const std::size_t at = previous_code_point(bytes, end);
    if (!set.has(code_point_at(bytes, at).value)) break;
    end = at;
  }
  return {begin, end};
}

std::size_t find_first(std::string_view bytes, std::string_view wanted, std::size_t from) {
  if (from > bytes.size()) return std::string_view::npos;
  if (wanted.empty()) return from;
  // memmem is linear; std::string_view::find is not.
  const void* found = memmem(bytes.data() + from, bytes.size() - from, wanted.data(), wanted.size());
  if (!found) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
}

std::size_t find_last(std::string_view bytes, std::string_view wanted) {
  if (wanted.empty()) return bytes.size();
  const std::string reversed(bytes.rbegin(), bytes.rend());
  const std::string reversed_wanted(wanted.rbegin(), wanted.rend());
  const std::size_t found = find_first(reversed, reversed_wanted);
  return found == std::string_view::npos ? found : bytes.size() - found - wanted.size();
}

std::vector<ByteRange> split_spaces(std::string_view bytes, std::int64_t limit, std::size_t most) {
  std::vector<ByteRange> parts;
  std::size_t at = 0;
  const auto skip = [&](bool spaces) {
    while (at < bytes.size() && is_space(code_point_at(bytes, at).value) == spaces)
      at = next_code_point(bytes, at);
  };
  for (skip(true); at < bytes.size() && parts.size() <= most; skip(true)) {
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      parts.emplace_back(at, bytes.size());
      break;
    }
    const std::size_t begin = at;
    skip(false);
    parts.emplace_back(begin, at);
  }
  return parts;
}

std::vector<ByteRange> split_by(std::string_view bytes, std::string_view separator, std::int64_t limit,
                                std::size_t most) {
  std::vector<ByteRange> parts;
  std::size_t begin = 0;
  while ((limit < 0 || static_cast<std::int64_t>(parts.size()) < limit) && parts.size() <= most) {
    const std::size_t found = find_first(bytes, separator, begin);
    if (found == std::string_view::npos) break;
    parts.emplace_back(begin, found);
    begin = found + separator.size();
  }
  parts.emplace_back(begin, bytes.size());
  return parts;
}

std::vector<ByteRange> rsplit_spaces(std::string_view bytes, std::int64_t limit, std::size_t most) {
  std::vector<ByteRange> parts;
  std::size_t end = bytes.size();
  const auto skip = [&](bool spaces) {
    while (end > 0) {
      const std::size_t at = previous_code_point(bytes, end);
      if (is_space(code_point_at(bytes, at).value) != spaces) break;
      end = at;
    }
  };
  for (skip(true); end > 0 && parts.size() <= most; skip(true)) {
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      parts.emplace_back(0, end);
      break;
    }
    const std::size_t stop = end;
    skip(false);
    parts.emplace_back(end, stop);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<ByteRange> rsplit_by(std::string_view bytes, std::string_view separator, std::int64_t limit,
                                 std::size_t most) {
  const std::string reversed(bytes.rbegin(), bytes.rend());
  const std::string reversed_separator(separator.rbegin(), separator.rend());
  std::vector<ByteRange> parts = split_by(reversed, reversed_separator, limit, most);
  std::reverse(parts.begin(), parts.end());
  for (auto& [begin, end] : parts) {
    begin = bytes.size() - begin;
    end = bytes.size() - end;
    std::swap(begin, end);
  }
  return parts;
}

std::vector<ByteRange> split_lines(std::string_view bytes, bool keep_ends, std::size_t most) {
  std::vector<ByteRange> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < bytes.size() && lines.size() <= most;) {
    const CodePoint point = code_point_at(bytes, at);
    std::size_t next = at + point.size;
    if (is_line_break(point.value)) {
      if (point.value == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
      lines.emplace_back(begin, keep_ends ? next : at);
      begin = next;
    }
    at = next;
  }
  if (begin < bytes.size()) lines.emplace_back(begin, bytes.size());
  return lines;
}

}  // namespace exa::jinja
