// CRC32C (Castagnoli) of a stream of bytes.
//
// Ownership and threads: a pure function. Source: RFC 3720, appendix B.4; the instruction of SSE 4.2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace exa {

// CRC32C of the bytes, continued from the value of what came before (0 at the start).
std::uint32_t crc32c(std::uint32_t before, std::span<const std::byte> bytes);

}  // namespace exa
