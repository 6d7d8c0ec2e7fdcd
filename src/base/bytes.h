// Reading numbers out of bytes that somebody else wrote: every length is proved against what is left before
// use.
//
// Ownership and threads: a reader borrows its bytes; one thread a reader.
// Source: rules R1, R2 and R4 of the reliability specification.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.h"

namespace exa {

static_assert(std::endian::native == std::endian::little, "file formats are read as little-endian words");

// a + b, a * b, a rounded up to a multiple of step (a power of two): nothing where the result does not fit.
template <typename T>
std::optional<T> checked_add(T a, T b) {
  static_assert(std::is_unsigned_v<T>);
  T sum{};
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}
template <typename T>
std::optional<T> checked_mul(T a, T b) {
  static_assert(std::is_unsigned_v<T>);
  T product{};
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}
template <typename T>
std::optional<T> checked_align(T a, T step) {
  static_assert(std::is_unsigned_v<T>);
  const std::optional<T> raised = checked_add<T>(a, static_cast<T>(step - 1));
  if (!raised) return std::nullopt;
  return static_cast<T>(*raised & ~static_cast<T>(step - 1));
}

// A number taken from foreign bytes. It has no arithmetic: compare it by asking for it within a bound.
template <typename T>
class Foreign {
 public:
  explicit Foreign(T value) : value_(value) {}

  // The value if low <= value <= high, else an error that names `what`, the bounds and the value.
  T within(T low, T high, std::string_view what, const std::string& where) const {
    if (value_ < low || value_ > high) {
      throw Error(ErrorKind::kBadInput,
                  std::string(what) + " is " + std::to_string(value_) + ", expected " + std::to_string(low) +
                      " to " + std::to_string(high),
                  where);
    }
    return value_;
  }
  // For printing and for values of which every bit pattern is legal.
  T raw() const { return value_; }

 private:
  T value_;
};

// A cursor over bytes in memory. Every failure is Error{kBadInput} with `name` and the offset.
class ByteReader {
 public:
  // name: the file (or file and section) to blame; base_offset: where bytes[0] lies in that file.
  ByteReader(std::span<const std::byte> bytes, std::string name, std::uint64_t base_offset = 0)
      : bytes_(bytes), name_(std::move(name)), base_offset_(base_offset) {}

  std::uint64_t offset() const { return base_offset_ + position_; }
  std::size_t remaining() const { return bytes_.size() - position_; }
  // "name, byte N"
  std::string where() const { return name_ + ", byte " + std::to_string(offset()); }

  // The next n bytes; error "truncated: WHAT needs n bytes, m left".
  std::span<const std::byte> take(std::uint64_t n, std::string_view what) {
    if (n > remaining()) {
      throw Error(ErrorKind::kBadInput,
                  "truncated: " + std::string(what) + " needs " + std::to_string(n) + " bytes, " +
                      std::to_string(remaining()) + " left",
                  where());
    }
    const auto taken = bytes_.subspan(position_, static_cast<std::size_t>(n));
    position_ += static_cast<std::size_t>(n);
    return taken;
  }

  template <typename T>
  Foreign<T> number(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return Foreign<T>(value);
  }

 private:
  std::span<const std::byte> bytes_;
  std::string name_;
  std::uint64_t base_offset_ = 0;
  std::size_t position_ = 0;
};

}  // namespace exa
