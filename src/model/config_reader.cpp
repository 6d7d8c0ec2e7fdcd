#include "model/config_reader.h"

#include <cmath>
#include <variant>

namespace exa {

using nlohmann::ordered_json;

const ordered_json* JsonReader::find(std::string_view key) const {
  if (!object_->is_object()) return nullptr;
  const auto found = object_->find(std::string(key));
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

bool JsonReader::has_key(std::string_view key) const {
  return object_->is_object() && object_->find(std::string(key)) != object_->end();
}

std::string JsonReader::where(std::string_view key) const {
  return where_ + ", key " + std::string(key);
}

Error JsonReader::error(std::string_view key, const std::string& expected, const std::string& found) const {
  return Error(ErrorKind::kBadInput, "expected " + expected + ", found " + found, where(key));
}

const ordered_json& JsonReader::required(std::string_view key, const std::string& expected) const {
  const ordered_json* value = find(key);
  if (!value) throw error(key, expected, has_key(key) ? "null" : "no such key");
  return *value;
}

std::int64_t JsonReader::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
  const std::string expected = "an integer from " + std::to_string(low) + " to " + std::to_string(high);
  const ordered_json& value = required(key, expected);
  if (!value.is_number_integer()) throw error(key, expected, value.type_name());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(high)) {
    throw error(key, expected, value.dump());
  }
  const auto number = value.get<std::int64_t>();
  if (number < low || number > high) throw error(key, expected, value.dump());
  return number;
}

double JsonReader::number(std::string_view key, double low, double high) const {
  const std::string expected = "a number from " + std::to_string(low) + " to " + std::to_string(high);
  const ordered_json& value = required(key, expected);
  if (!value.is_number()) throw error(key, expected, value.type_name());
  const auto number = value.get<double>();
  if (!(number >= low && number <= high)) throw error(key, expected, value.dump());
  return number;
}

bool JsonReader::boolean(std::string_view key) const {
  const ordered_json& value = required(key, "true or false");
  if (!value.is_boolean()) throw error(key, "true or false", value.type_name());
  return value.get<bool>();
}

std::string JsonReader::string(std::string_view key) const {
  const ordered_json& value = required(key, "a string");
  if (!value.is_string()) throw error(key, "a string", value.type_name());
  return value.get<std::string>();
}

JsonReader JsonReader::object(std::string_view key) const {
  const ordered_json& value = required(key, "an object");
  if (!value.is_object()) throw error(key, "an object", value.type_name());
  return JsonReader(value, where_ + ", " + std::string(key));
}

std::int64_t JsonReader::integer_or(std::string_view key, std::int64_t low, std::int64_t high,
                                    std::int64_t fallback) const {
  return find(key) ? integer(key, low, high) : fallback;
}

double JsonReader::number_or(std::string_view key, double low, double high, double fallback) const {
  return find(key) ? number(key, low, high) : fallback;
}

bool JsonReader::boolean_or(std::string_view key, bool fallback) const {
  return find(key) ? boolean(key) : fallback;
}

Error GgufReader::error(std::string_view key, const std::string& expected, const std::string& found) const {
  return Error(ErrorKind::kBadInput, "expected " + expected + ", found " + found,
               checkpoint_->path().string() + ", key " + full(key));
}

std::int64_t GgufReader::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
  const std::optional<std::uint64_t> value = checkpoint_->get_u64(full(key));
  const std::string expected = "an integer from " + std::to_string(low) + " to " + std::to_string(high);
  if (!value) throw error(key, expected, "no such key");
  if (*value > static_cast<std::uint64_t>(high) || static_cast<std::int64_t>(*value) < low) {
    throw error(key, expected, std::to_string(*value));
  }
  return static_cast<std::int64_t>(*value);
}

std::int64_t GgufReader::integer_or(std::string_view key, std::int64_t low, std::int64_t high,
                                    std::int64_t fallback) const {
  return checkpoint_->has(full(key)) ? integer(key, low, high) : fallback;
}

double GgufReader::number(std::string_view key, double low, double high) const {
  const std::optional<double> value = checkpoint_->get_f64(full(key));
  const std::string expected = "a number from " + std::to_string(low) + " to " + std::to_string(high);
  if (!value) throw error(key, expected, "no such key");
  if (!(*value >= low && *value <= high)) throw error(key, expected, std::to_string(*value));
  return *value;
}

double GgufReader::number_or(std::string_view key, double low, double high, double fallback) const {
  return checkpoint_->has(full(key)) ? number(key, low, high) : fallback;
}

std::optional<std::vector<bool>> GgufReader::bools(std::string_view key) const {
  for (const auto& [name, value] : checkpoint_->metadata()) {
    if (name != full(key)) continue;
    if (const auto* const held = std::get_if<std::vector<bool>>(&value)) return *held;
  }
  return std::nullopt;
}

}  // namespace exa
