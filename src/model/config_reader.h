// Typed, ranged reading of hyperparameters from config.json and from GGUF metadata: every failure names the
// key, what was expected and what was found.
//
// Ownership and threads: readers borrow the checkpoint; const and cheap.
// Source: reliability specification 4.3 (fields carry ranges).
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "formats/checkpoint.h"

namespace exa {

inline constexpr std::int64_t kMaxWidth = 1 << 20;
inline constexpr std::int64_t kMaxVocab = 1 << 22;
inline constexpr std::int64_t kMaxContext = 1 << 26;
inline constexpr std::int64_t kMaxLayers = 512;

class JsonReader {
 public:
  // where: the file, and the path inside it of a nested object.
  JsonReader(const nlohmann::ordered_json& object, std::string where)
      : object_(&object), where_(std::move(where)) {}

  // The value; null pointer where the key is absent or null.
  const nlohmann::ordered_json* find(std::string_view key) const;
  bool has_key(std::string_view key) const;
  // Errors: kBadInput where the key is absent, of another type or out of range.
  std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high) const;
  double number(std::string_view key, double low, double high) const;
  bool boolean(std::string_view key) const;
  std::string string(std::string_view key) const;
  JsonReader object(std::string_view key) const;
  // The same; the fallback where the key is absent or null.
  std::int64_t integer_or(std::string_view key, std::int64_t low, std::int64_t high,
                          std::int64_t fallback) const;
  double number_or(std::string_view key, double low, double high, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;

  std::string where(std::string_view key) const;
  Error error(std::string_view key, const std::string& expected, const std::string& found) const;

 private:
  const nlohmann::ordered_json& required(std::string_view key, const std::string& expected) const;

  const nlohmann::ordered_json* object_;
  std::string where_;
};

class GgufReader {
 public:
  // prefix: the architecture's, e.g. "exaone4.".
  GgufReader(const Checkpoint& checkpoint, std::string prefix)
      : checkpoint_(&checkpoint), prefix_(std::move(prefix)) {}

  std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high) const;
  std::int64_t integer_or(std::string_view key, std::int64_t low, std::int64_t high,
                          std::int64_t fallback) const;
  double number(std::string_view key, double low, double high) const;
  double number_or(std::string_view key, double low, double high, double fallback) const;
  // Nothing where the key is absent or no array of truth values.
  std::optional<std::vector<bool>> bools(std::string_view key) const;

  Error error(std::string_view key, const std::string& expected, const std::string& found) const;

 private:
  std::string full(std::string_view key) const { return prefix_ + std::string(key); }

  const Checkpoint* checkpoint_;
  std::string prefix_;
};

}  // namespace exa
