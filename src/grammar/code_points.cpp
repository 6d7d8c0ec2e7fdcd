#include "grammar/code_points.h"

#include <algorithm>

namespace exa::grammar {
namespace {

constexpr char32_t kFirstSurrogate = 0xd800;
constexpr char32_t kLastSurrogate = 0xdfff;

std::size_t encode(char32_t value, std::uint8_t* bytes) {
  const auto tail = [](char32_t bits) { return static_cast<std::uint8_t>(0x80 | (bits & 0x3f)); };
  if (value < 0x80) {
    bytes[0] = static_cast<std::uint8_t>(value);
    return 1;
  }
  if (value < 0x800) {
    bytes[0] = static_cast<std::uint8_t>(0xc0 | value >> 6);
    bytes[1] = tail(value);
    return 2;
  }
  if (value < 0x10000) {
    bytes[0] = static_cast<std::uint8_t>(0xe0 | value >> 12);
    bytes[1] = tail(value >> 6);
    bytes[2] = tail(value);
    return 3;
  }
  bytes[0] = static_cast<std::uint8_t>(0xf0 | value >> 18);
  bytes[1] = tail(value >> 12);
  bytes[2] = tail(value >> 6);
  bytes[3] = tail(value);
  return 4;
}

// Cuts [low, high] where a byte other than the last ones would have to run through a part of its range only.
void add_ranges(std::vector<ByteRanges>& out, char32_t low, char32_t high) {
  std::vector<CodePointSet::Range> left{{low, high}};
  while (!left.empty()) {
    const char32_t a = left.back().low;
    const char32_t b = left.back().high;
    left.pop_back();
    const auto cut = [&](char32_t last_of_first) {
      left.push_back({last_of_first + 1, b});
      left.push_back({a, last_of_first});
    };
    bool was_cut = false;
    for (const char32_t last : {char32_t{0x7f}, char32_t{0x7ff}, char32_t{0xffff}}) {
      if (a <= last && b > last) {
        cut(last);
        was_cut = true;
        break;
      }
    }
    for (unsigned shift = 6; !was_cut && shift <= 18; shift += 6) {
      const char32_t mask = (char32_t{1} << shift) - 1;
      if ((a & ~mask) == (b & ~mask)) break;
      if (a < 0x80) break;
      if ((a & mask) != 0) {
        cut(a | mask);
        was_cut = true;
      } else if ((b & mask) != mask) {
        cut((b & ~mask) - 1);
        was_cut = true;
      }
    }
    if (was_cut) continue;
    std::uint8_t first[4] = {};
    std::uint8_t last[4] = {};
    ByteRanges entry{};
    entry.n = encode(a, first);
    encode(b, last);
    for (std::size_t i = 0; i < entry.n; ++i) entry.ranges[i] = {first[i], last[i]};
    out.push_back(entry);
  }
}

}  // namespace

CodePointSet::CodePointSet(std::initializer_list<Range> ranges) {
  for (const Range& range : ranges) add(range.low, range.high);
  normalize();
}

CodePointSet CodePointSet::all() {
  return {{0, kLastCodePoint}};
}

void CodePointSet::add(char32_t low, char32_t high) {
  if (low < kFirstSurrogate) ranges_.push_back({low, std::min<char32_t>(high, kFirstSurrogate - 1)});
  if (high > kLastSurrogate) ranges_.push_back({std::max<char32_t>(low, kLastSurrogate + 1), high});
  in_order_ = false;
}

void CodePointSet::add(const CodePointSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  in_order_ = false;
}

const std::vector<CodePointSet::Range>& CodePointSet::ranges() const {
  normalize();
  return ranges_;
}

void CodePointSet::normalize() const {
  if (in_order_) return;
  in_order_ = true;
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.low < b.low; });
  std::vector<Range> joined;
  for (const Range& range : ranges_) {
    if (!joined.empty() && range.low <= joined.back().high + 1) {
      joined.back().high = std::max(joined.back().high, range.high);
    } else {
      joined.push_back(range);
    }
  }
  ranges_ = std::move(joined);
}

CodePointSet CodePointSet::complement() const {
  CodePointSet out;
  char32_t next = 0;
  for (const Range& range : ranges()) {
    if (range.low > next) out.add(next, range.low - 1);
    next = range.high + 1;
  }
  if (next <= kLastCodePoint) out.add(next, kLastCodePoint);
  out.normalize();
  return out;
}

bool CodePointSet::contains(char32_t value) const {
  return std::any_of(ranges().begin(), ranges().end(),
                     [value](const Range& range) { return range.low <= value && value <= range.high; });
}

std::vector<ByteRanges> utf8_ranges(const CodePointSet& set) {
  std::vector<ByteRanges> out;
  for (const auto& [low, high] : set.ranges()) add_ranges(out, low, high);
  return out;
}

}  // namespace exa::grammar
