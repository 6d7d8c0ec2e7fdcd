#include "base/crc32c.h"

#include <nmmintrin.h>

#include <cstring>

namespace exa {

std::uint32_t crc32c(std::uint32_t before, std::span<const std::byte> bytes) {
  std::uint64_t crc = ~before;
  const std::byte* data = bytes.data();
  std::size_t n = bytes.size();
  for (; n >= 8; n -= 8, data += 8) {
    std::uint64_t word;
    std::memcpy(&word, data, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  auto narrow = static_cast<std::uint32_t>(crc);
  for (; n > 0; --n, ++data) narrow = _mm_crc32_u8(narrow, static_cast<unsigned char>(*data));
  return ~narrow;
}

}  // namespace exa
