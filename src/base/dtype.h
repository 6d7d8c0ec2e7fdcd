// Element types of stored tensors: their names, and how many bytes a block of how many elements takes.
//
// Ownership and threads: constants.
// Source: ggml's type table (ids and block sizes of GGUF v3), the safetensors header's dtype names.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace exa {

enum class DType : std::uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
};

struct DTypeTraits {
  std::string_view name;      // "Q4_K", "BF16", …
  std::uint32_t block_size;   // elements a block; 1 for plain types
  std::uint32_t block_bytes;  // bytes a block
};

const DTypeTraits& traits(DType type);
inline std::string_view name(DType type) {
  return traits(type).name;
}

// True for the types stored in blocks with shared scales (Q4_0 … IQ4_XS).
bool is_quantized(DType type);

// Bytes of a row of n_elements; n_elements must be a multiple of the block size.
inline std::uint64_t row_bytes(DType type, std::uint64_t n_elements) {
  const DTypeTraits& t = traits(type);
  return n_elements / t.block_size * t.block_bytes;
}

// The type of a GGUF tensor-type id; nothing where this program does not know the id.
std::optional<DType> dtype_from_ggml(std::uint32_t ggml_type);
// The GGUF tensor-type id; nothing where GGUF has none (unsigned, FP8).
std::optional<std::uint32_t> ggml_from_dtype(DType type);
// ggml's own name for an id that dtype_from_ggml does not know, "" where even the id is unknown.
std::string_view ggml_type_name(std::uint32_t ggml_type);
// The type of a safetensors dtype string ("BF16", "F8_E4M3", …).
std::optional<DType> dtype_from_safetensors(std::string_view name);
std::string_view safetensors_name(DType type);

}  // namespace exa
