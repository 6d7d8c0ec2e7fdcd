// A fast hash of short byte strings for the tables of this room; not for keys an attacker may choose unseen.
//
// Ownership and threads: pure.
// Source: multiply and fold, as in wyhash.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace exa {

inline std::uint64_t hash_bytes(std::string_view bytes) {
  const auto fold = [](std::uint64_t a, std::uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  };
  constexpr std::uint64_t kMix = 0x9E3779B97F4A7C15u;
  std::uint64_t state = bytes.size() * 0xD6E8FEB86659FD93u;
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  for (; left > 8; left -= 8, p += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, p, 8);
    state = fold(state ^ word, kMix);
  }
  std::uint64_t word = 0;
  std::memcpy(&word, p, left);
  return fold(state ^ word, kMix);
}

}  // namespace exa
