// The key-value part of a GGUF file in the making: every value kept in the exact type it is written with.
//
// Ownership and threads: a value; one thread builds it.
// Source: ggml's gguf.md (value types and their encoding).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace exa {

class GgufMetadata {
 public:
  struct Entry {
    std::string key;
    std::string encoded;  // type id and value as the file holds them
  };

  // Appends a key, or replaces the value of one that is there, in its place.
  void set_u16(std::string_view key, std::uint16_t value);
  void set_u32(std::string_view key, std::uint32_t value);
  void set_i32(std::string_view key, std::int32_t value);
  void set_f32(std::string_view key, float value);
  void set_bool(std::string_view key, bool value);
  void set_string(std::string_view key, std::string_view value);
  void set_u32s(std::string_view key, std::span<const std::uint32_t> values);
  void set_i32s(std::string_view key, std::span<const std::int32_t> values);
  void set_f32s(std::string_view key, std::span<const float> values);
  void set_bools(std::string_view key, const std::vector<bool>& values);
  void set_strings(std::string_view key, std::span<const std::string> values);

  void erase(std::string_view key);
  bool has(std::string_view key) const { return find(key) != nullptr; }
  const Entry* find(std::string_view key) const;
  std::span<const Entry> entries() const { return entries_; }

  // Appends the other's keys that are not here.
  void append_missing(const GgufMetadata& other);

 private:
  friend GgufMetadata read_gguf_metadata(const std::filesystem::path& path);
  void set(std::string_view key, std::string encoded);

  std::vector<Entry> entries_;
};

// All keys of one GGUF file, types kept. Errors: kIo, kBadInput (file, byte, expected, found), kUnsupported
// for nested arrays.
GgufMetadata read_gguf_metadata(const std::filesystem::path& path);

}  // namespace exa
