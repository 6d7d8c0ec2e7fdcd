// Writes GGUF bytes, right or deliberately wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace exa::test {

// Value types and tensor types as GGUF numbers them.
enum : std::uint32_t { kU8 = 0, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };
enum : std::uint32_t { kTypeF32 = 0, kTypeF16 = 1, kTypeQ8_0 = 8, kTypeQ4_K = 12, kTypeBF16 = 30 };

template <typename T>
std::string le(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

inline std::string gguf_string(std::string_view text) {
  return le(static_cast<std::uint64_t>(text.size())) + std::string(text);
}

class GgufBuilder {
 public:
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;       // of the layout; the key is written by the test
  std::uint64_t n_extra_keys = 0;     // claimed beyond those present
  std::uint64_t n_extra_tensors = 0;  // likewise
  std::uint64_t n_trailing_bytes = 0;

  // A key with the bytes of its value.
  GgufBuilder& raw_key(std::string_view key, std::uint32_t type, std::string_view value) {
    keys_ += gguf_string(key) + le(type) + std::string(value);
    ++n_keys_;
    return *this;
  }
  template <typename T>
  GgufBuilder& key(std::string_view key, std::uint32_t type, T value) {
    return raw_key(key, type, le(value));
  }
  GgufBuilder& key(std::string_view key, std::string_view value) {
    return raw_key(key, kString, gguf_string(value));
  }
  GgufBuilder& array(std::string_view key, std::uint32_t type, std::uint64_t count,
                     std::string_view elements) {
    return raw_key(key, kArray, le(type) + le(count) + std::string(elements));
  }
  GgufBuilder& strings(std::string_view key, const std::vector<std::string>& values) {
    std::string elements;
    for (const std::string& value : values) elements += gguf_string(value);
    return array(key, kString, values.size(), elements);
  }

  // A tensor with n_bytes bytes of data at the next aligned place; dims as the file lists them, contiguous
  // first.
  GgufBuilder& tensor(std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t type,
                      std::uint64_t n_bytes) {
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    tensor_at(name, dims, type, data_.size());
    for (std::uint64_t i = 0; i < n_bytes; ++i) data_ += static_cast<char>(1 + (i + n_tensors_) % 250);
    return *this;
  }
  // Only the entry, with this offset.
  GgufBuilder& tensor_at(std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t type,
                         std::uint64_t offset) {
    tensors_ += gguf_string(name) + le(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t dim : dims) tensors_ += le(dim);
    tensors_ += le(type) + le(offset);
    ++n_tensors_;
    return *this;
  }
  GgufBuilder& raw_tensor(std::string_view bytes) {
    tensors_ += bytes;
    ++n_tensors_;
    return *this;
  }

  std::size_t header_bytes() const { return 24 + keys_.size() + tensors_.size(); }

  std::string bytes() const {
    std::string file = "GGUF" + le(version) + le(n_tensors_ + n_extra_tensors) + le(n_keys_ + n_extra_keys) +
                       keys_ + tensors_;
    if (n_tensors_ > 0) {
      file.resize((file.size() + alignment - 1) / alignment * alignment);
      file += data_;
    }
    return file + std::string(n_trailing_bytes, '\0');
  }

 private:
  std::string keys_;
  std::string tensors_;
  std::string data_;
  std::uint64_t n_keys_ = 0;
  std::uint64_t n_tensors_ = 0;
};

// A small file that uses every value type.
inline GgufBuilder tiny_gguf() {
  GgufBuilder file;
  file.key("general.architecture", "exaone4");
  file.key("a.u8", kU8, std::uint8_t{200});
  file.key("a.i8", kI8, std::int8_t{-5});
  file.key("a.u16", kU16, std::uint16_t{60000});
  file.key("a.i16", kI16, std::int16_t{-300});
  file.key("a.u32", kU32, std::uint32_t{4'000'000'000});
  file.key("a.i32", kI32, std::int32_t{-70000});
  file.key("a.f32", kF32, 0.5F);
  file.key("a.bool", kBool, std::uint8_t{1});
  file.key("a.u64", kU64, std::uint64_t{1} << 63);
  file.key("a.i64", kI64, std::int64_t{-1} * (std::int64_t{1} << 40));
  file.key("a.f64", kF64, 1e300);
  file.array("a.pattern", kBool, 4, std::string("\1\1\1\0", 4));
  file.array("a.sums", kU32, 2, le(std::uint32_t{1}) + le(std::uint32_t{2}));
  file.array("a.types", kI32, 3, le(std::int32_t{1}) + le(std::int32_t{-2}) + le(std::int32_t{3}));
  file.array("a.scales", kF32, 1, le(0.25F));
  file.array("a.empty", kString, 0, "");
  file.strings("tokenizer.ggml.tokens", {"a", "b", "\xc4\xa0", "\xff\xfe"});
  file.array("tokenizer.ggml.token_type", kI32, 4, std::string(16, '\1'));
  file.key("tokenizer.ggml.bos_token_id", kU32, std::uint32_t{1});
  file.key("tokenizer.chat_template", "{{ messages }}");
  file.tensor("token_embd.weight", {4, 3}, kTypeF32, 48);
  file.tensor("blk.0.attn_q.weight", {32, 2}, kTypeQ8_0, 68);
  file.tensor("output_norm.weight", {4}, kTypeF32, 16);
  return file;
}

}  // namespace exa::test
