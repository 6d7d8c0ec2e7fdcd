// Numbers and strings as they stand in a GGUF file: little-endian, a string behind its length.
//
// Ownership and threads: plain functions on the caller's buffer.
// Source: the GGUF specification, version 3.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace exa {

// Appends sizeof(T) bytes; T is a number or an enumeration with a fixed type.
template <typename T>
void append_number(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

// Appends 8 bytes with the length, then the text.
inline void append_string(std::string& out, std::string_view text) {
  append_number<std::uint64_t>(out, text.size());
  out += text;
}

}  // namespace exa
