#include "convert/gguf_metadata.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "convert/gguf_encoding.h"

namespace exa {
namespace {

enum ValueType : std::uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};
// Bytes of a value of the type; 0 where it varies.
constexpr std::array<std::uint64_t, 13> kValueBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

template <typename T>
std::string scalar(ValueType type, T value) {
  std::string encoded;
  append_number<std::uint32_t>(encoded, type);
  append_number(encoded, value);
  return encoded;
}

std::string array_front(ValueType type, std::size_t count) {
  std::string encoded;
  append_number<std::uint32_t>(encoded, kArray);
  append_number<std::uint32_t>(encoded, type);
  append_number<std::uint64_t>(encoded, count);
  return encoded;
}

template <typename T>
std::string array_of(ValueType type, std::span<const T> values) {
  std::string encoded = array_front(type, values.size());
  encoded.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  return encoded;
}

// Walks the keys of a file whose header may be long, a bounded window at a time.
class KeyReader {
 public:
  explicit KeyReader(const FileReader& file) : file_(file) {}

  std::string where() const { return file_.path().string() + ", byte " + std::to_string(offset_); }

  void take(std::uint64_t n, std::string& out, std::string_view what) {
    const std::uint64_t left = file_.size_bytes() - offset_;
    if (n > left) {
      throw Error(ErrorKind::kBadInput,
                  "truncated: " + std::string(what) + " needs " + std::to_string(n) + " bytes, " +
                      std::to_string(left) + " left",
                  where());
    }
    const std::size_t begin = out.size();
    const auto wanted = static_cast<std::size_t>(n);
    out.resize(begin + wanted);
    for (std::size_t done = 0; done < wanted;) {
      if (position_ == window_.size()) refill();
      const std::size_t part = std::min(wanted - done, window_.size() - position_);
      std::memcpy(out.data() + begin + done, window_.data() + position_, part);
      position_ += part;
      done += part;
      offset_ += part;
    }
  }

  template <typename T>
  T number(std::string& out, std::string_view what) {
    take(sizeof(T), out, what);
    T value;
    std::memcpy(&value, out.data() + out.size() - sizeof(T), sizeof(T));
    return value;
  }

 private:
  void refill() {
    constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 20;
    window_.resize(static_cast<std::size_t>(std::min(kWindowBytes, file_.size_bytes() - offset_)));
    file_.read_at(offset_, std::as_writable_bytes(std::span(window_.data(), window_.size())));
    position_ = 0;
  }

  const FileReader& file_;
  std::vector<char> window_;
  std::size_t position_ = 0;
  std::uint64_t offset_ = 0;
};

std::uint64_t fixed_bytes(std::uint32_t type, const KeyReader& reader) {
  if (type >= kValueBytes.size()) {
    throw Error(ErrorKind::kBadInput, "value type is " + std::to_string(type) + ", expected 0 to 12",
                reader.where());
  }
  return kValueBytes[type];
}

void read_text(KeyReader& reader, std::string& out) {
  const auto n = reader.number<std::uint64_t>(out, "string length");
  reader.take(n, out, "string");
}

std::string read_value(KeyReader& reader) {
  std::string encoded;
  const auto type = reader.number<std::uint32_t>(encoded, "value type");
  const std::uint64_t n_bytes = fixed_bytes(type, reader);
  if (n_bytes > 0) {
    reader.take(n_bytes, encoded, "value");
  } else if (type == kString) {
    read_text(reader, encoded);
  } else {
    const auto element = reader.number<std::uint32_t>(encoded, "element type");
    const std::uint64_t element_bytes = fixed_bytes(element, reader);
    const auto count = reader.number<std::uint64_t>(encoded, "element count");
    if (element == kArray) {
      throw Error(ErrorKind::kUnsupported, "found an array of arrays, expected an array of plain values",
                  reader.where());
    }
    if (element == kString) {
      for (std::uint64_t i = 0; i < count; ++i) read_text(reader, encoded);
    } else {
      const auto total = checked_mul<std::uint64_t>(count, element_bytes);
      reader.take(total.value_or(~std::uint64_t{0}), encoded, "array");
    }
  }
  return encoded;
}

}  // namespace

const GgufMetadata::Entry* GgufMetadata::find(std::string_view key) const {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
  return found == entries_.end() ? nullptr : &*found;
}

void GgufMetadata::set(std::string_view key, std::string encoded) {
  for (Entry& entry : entries_) {
    if (entry.key == key) {
      entry.encoded = std::move(encoded);
      return;
    }
  }
  entries_.push_back({std::string(key), std::move(encoded)});
}

void GgufMetadata::erase(std::string_view key) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.key == key; });
}

void GgufMetadata::append_missing(const GgufMetadata& other) {
  for (const Entry& entry : other.entries_) {
    if (!has(entry.key)) entries_.push_back(entry);
  }
}

void GgufMetadata::set_u16(std::string_view key, std::uint16_t value) {
  set(key, scalar(kU16, value));
}
void GgufMetadata::set_u32(std::string_view key, std::uint32_t value) {
  set(key, scalar(kU32, value));
}
void GgufMetadata::set_i32(std::string_view key, std::int32_t value) {
  set(key, scalar(kI32, value));
}
void GgufMetadata::set_f32(std::string_view key, float value) {
  set(key, scalar(kF32, value));
}
void GgufMetadata::set_bool(std::string_view key, bool value) {
  set(key, scalar(kBool, static_cast<std::uint8_t>(value)));
}
void GgufMetadata::set_string(std::string_view key, std::string_view value) {
  std::string encoded;
  append_number<std::uint32_t>(encoded, kString);
  append_string(encoded, value);
  set(key, std::move(encoded));
}
void GgufMetadata::set_u32s(std::string_view key, std::span<const std::uint32_t> values) {
  set(key, array_of(kU32, values));
}
void GgufMetadata::set_i32s(std::string_view key, std::span<const std::int32_t> values) {
  set(key, array_of(kI32, values));
}
void GgufMetadata::set_f32s(std::string_view key, std::span<const float> values) {
  set(key, array_of(kF32, values));
}
void GgufMetadata::set_bools(std::string_view key, const std::vector<bool>& values) {
  std::string encoded = array_front(kBool, values.size());
  for (const bool value : values) encoded += static_cast<char>(value);
  set(key, std::move(encoded));
}
void GgufMetadata::set_strings(std::string_view key, std::span<const std::string> values) {
  std::string encoded = array_front(kString, values.size());
  for (const std::string& value : values) append_string(encoded, value);
  set(key, std::move(encoded));
}

GgufMetadata read_gguf_metadata(const std::filesystem::path& path) {
  const FileReader file(path);
  KeyReader reader(file);
  std::string front;
  reader.take(4, front, "magic");
  if (front != "GGUF") {
    throw Error(ErrorKind::kBadInput, "found another magic, expected \"GGUF\"", path.string());
  }
  const auto version = reader.number<std::uint32_t>(front, "version");
  if (version != 2 && version != 3) {
    throw Error(ErrorKind::kUnsupported, "GGUF version is " + std::to_string(version) + ", expected 2 or 3",
                path.string());
  }
  reader.number<std::uint64_t>(front, "tensor count");
  const auto n_keys = reader.number<std::uint64_t>(front, "key count");
  GgufMetadata metadata;
  for (std::uint64_t i = 0; i < n_keys; ++i) {
    std::string key;
    const auto n = reader.number<std::uint64_t>(key, "key length");
    key.clear();
    reader.take(n, key, "key");
    std::string value = read_value(reader);
    metadata.entries_.push_back({std::move(key), std::move(value)});
  }
  return metadata;
}

}  // namespace exa
