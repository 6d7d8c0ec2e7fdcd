// Unicode as Python's str methods know it: code points, white space, lines, case, searching in linear time.
//
// Ownership and threads: free functions on bytes. Broken UTF-8 counts one code point a byte, never out of
// bounds. Source: Python 3.11 str documentation, observed; classes and simple case mappings from utf8proc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace exa::jinja {

struct CodePoint {
  char32_t value;    // U+FFFD for a broken byte
  std::size_t size;  // bytes, at least 1
};

CodePoint code_point_at(std::string_view bytes, std::size_t at);
std::size_t next_code_point(std::string_view bytes, std::size_t at);
// Start of the code point that ends at `at` (at > 0).
std::size_t previous_code_point(std::string_view bytes, std::size_t at);
std::size_t count_code_points(std::string_view bytes);
void append_utf8(std::string& out, char32_t value);

bool is_space(char32_t c);       // str.isspace, str.strip
bool is_line_break(char32_t c);  // str.splitlines
bool is_letter(char32_t c);
bool is_digit(char32_t c);
bool is_printable(char32_t c);  // repr leaves it alone
bool is_upper(char32_t c);
bool is_lower(char32_t c);

enum class Casing { kUpper, kLower, kTitle, kCapitalize, kSwap };
std::string recase(std::string_view bytes, Casing casing);
// Jinja2's |title: a word begins after white space or one of -({[<
std::string title_words(std::string_view bytes);

// [begin, end) that is left without leading and trailing code points of the set (white space where none is
// given).
struct StripSet {
  bool spaces = true;
  std::u32string points;  // sorted
  bool has(char32_t c) const;
};
StripSet strip_set(std::string_view chars);
std::pair<std::size_t, std::size_t> strip_range(std::string_view bytes, const StripSet& set, bool left,
                                                bool right);

// Byte offset of the first or last occurrence within the bytes, npos where there is none.
std::size_t find_first(std::string_view bytes, std::string_view wanted, std::size_t from = 0);
std::size_t find_last(std::string_view bytes, std::string_view wanted);

using ByteRange = std::pair<std::size_t, std::size_t>;
// str.split and str.rsplit; limit < 0: no limit. All stop at most + 1 parts, for the caller to refuse.
std::vector<ByteRange> split_spaces(std::string_view bytes, std::int64_t limit, std::size_t most);
std::vector<ByteRange> split_by(std::string_view bytes, std::string_view separator, std::int64_t limit,
                                std::size_t most);
std::vector<ByteRange> rsplit_spaces(std::string_view bytes, std::int64_t limit, std::size_t most);
std::vector<ByteRange> rsplit_by(std::string_view bytes, std::string_view separator, std::int64_t limit,
                                 std::size_t most);
std::vector<ByteRange> split_lines(std::string_view bytes, bool keep_ends, std::size_t most);

}  // namespace exa::jinja
