// A set of Unicode scalar values, and the byte sequences that encode it.
//
// Ownership and threads: a value; one that is still being added to belongs to one thread. Source: RFC 3629
// (UTF-8; surrogates have no encoding).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace exa::grammar {

constexpr char32_t kLastCodePoint = 0x10ffff;

class CodePointSet {
 public:
  struct Range {
    char32_t low, high;  // inclusive
  };

  CodePointSet() = default;
  CodePointSet(std::initializer_list<Range> ranges);
  static CodePointSet all();

  // low <= high <= U+10FFFF; surrogates in between are left out.
  void add(char32_t low, char32_t high);
  void add(const CodePointSet& other);
  CodePointSet complement() const;
  bool contains(char32_t value) const;
  bool empty() const { return ranges_.empty(); }
  // Sorted, apart from one another, without surrogates.
  const std::vector<Range>& ranges() const;

 private:
  void normalize() const;
  // Added ranges are put in order when somebody looks, so that a long class costs n log n.
  mutable std::vector<Range> ranges_;
  mutable bool in_order_ = true;
};

// One to four ranges of bytes: every choice of one byte a range is the encoding of one value.
struct ByteRanges {
  struct Range {
    std::uint8_t low, high;
  };
  std::array<Range, 4> ranges;
  std::size_t n;
};

// The encodings of all values of the set, each once.
std::vector<ByteRanges> utf8_ranges(const CodePointSet& set);

}  // namespace exa::grammar
