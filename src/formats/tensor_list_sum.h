// What the CRC32C of a GGUF file's tensors (key exa.tensor_crc32c) are bound to: the list of its tensors. A
// program that copies the key but writes other tensors, or the same in another order, leaves sums that are
// about another file.
//
// Ownership and threads: a value. Source: this project's own keys.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/dtype.h"

namespace exa {

inline constexpr std::string_view kChecksumKey = "exa.tensor_crc32c";       // u32 a tensor, in file order
inline constexpr std::string_view kChecksumOfKey = "exa.tensor_crc32c_of";  // u32, TensorListSum::value()

class TensorListSum {
 public:
  // The next tensor; shape row-major.
  void add(std::string_view tensor_name, DType type, std::span<const std::uint64_t> shape);
  std::uint32_t value() const { return crc_; }

 private:
  std::uint32_t crc_ = 0;
};

}  // namespace exa
