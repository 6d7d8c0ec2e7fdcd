// Stored rows into lanes. Eight weights of one row are handled as one 64-bit word.
#include <algorithm>
#include <cstring>
#include <string>

#include "base/error.h"
#include "kernels/isa/lanes.h"
#include "kernels/matrix.h"

namespace exa {
namespace {

using u8 = std::uint8_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr u64 kLowNibbles = 0x0f0f0f0f0f0f0f0f;

u64 load8(const u8* p) {
  u64 x;
  std::memcpy(&x, p, 8);
  return x;
}
void store_dword(u8* line, int row, u32 value) {
  std::memcpy(line + 4 * row, &value, 4);
}
void copy2(u8* to, const u8* from) {
  std::memcpy(to, from, 2);
}

// The even bytes of x side by side.
u32 even_bytes(u64 x) {
  x &= 0x00ff00ff00ff00ff;
  x = (x | x >> 8) & 0x0000ffff0000ffff;
  return static_cast<u32>(x | x >> 16);
}
// The low nibbles of x's bytes side by side.
u32 nibbles(u64 x) {
  x &= kLowNibbles;
  return even_bytes(x | x >> 4);
}

// nibble t of line z is weight 8z + t; low and high weigh 16 k each.
void pack_nibbles(const u8* q, bool high, int row, u8* line) {
  store_dword(line, row, nibbles(load8(q) >> (high ? 4 : 0)));
}

void pack_q4_0(const u8* block, int row, int j, u8* unit) {
  for (int z = 0; z < 4; ++z) {
    pack_nibbles(block + 2 + 8 * (z % 2), z >= 2, row, unit + (4 * j + z) * static_cast<int>(kLine));
  }
  copy2(unit + Q4_0Lanes::kScales + 32 * j + 2 * row, block);
}

void pack_q8_0(const u8* block, int row, int j, u8* unit) {
  for (int z = 0; z < 4; ++z) {
    const u64 x = load8(block + 2 + 8 * z) ^ 0x8080808080808080;
    u8* line = unit + (8 * j + 2 * z) * static_cast<int>(kLine);
    store_dword(line, row, even_bytes(x));
    store_dword(line + kLine, row, even_bytes(x >> 8));
  }
  copy2(unit + Q8_0Lanes::kScales + 32 * j + 2 * row, block);
}

// d, dmin and the 6-bit scales of Q4_K and Q5_K.
void pack_k_scales(const u8* block, int row, u8* unit) {
  const u8* s = block + 4;
  u32 scale_low = 0;
  u32 min_low = 0;
  u32 high = 0;
  for (int j = 0; j < 8; ++j) {
    const int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    const int min = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 6) << 4;
    scale_low |= static_cast<u32>(scale & 15) << 4 * j;
    min_low |= static_cast<u32>(min & 15) << 4 * j;
    high |= static_cast<u32>(scale >> 4) << 2 * j | static_cast<u32>(min >> 4) << (16 + 2 * j);
  }
  store_dword(unit + Q4_KLanes::kScaleLow, row, scale_low);
  store_dword(unit + Q4_KLanes::kMinLow, row, min_low);
  store_dword(unit + Q4_KLanes::kHigh, row, high);
  copy2(unit + Q4_KLanes::kScales + 2 * row, block);
  copy2(unit + Q4_KLanes::kScales + 32 + 2 * row, block + 2);
}

void pack_k_nibbles(const u8* q, int row, u8* unit, std::size_t block_bytes) {
  for (int line = 0; line < 32; ++line) {
    const int j = line / 4;
    u8* block = unit + Q4_KLanes::kLines + static_cast<std::size_t>(j) * block_bytes;
    pack_nibbles(q + 32 * (j / 2) + 8 * (line % 4), j % 2 != 0, row,
                 block + line % 4 * static_cast<int>(kLine));
  }
}

void pack_q4_k(const u8* block, int row, u8* unit) {
  pack_k_scales(block, row, unit);
  pack_k_nibbles(block + 16, row, unit, Q4_KLanes::kBlockBytes);
}

void pack_q5_k(const u8* block, int row, u8* unit) {
  pack_k_scales(block, row, unit);
  pack_k_nibbles(block + 48, row, unit, Q5_KLanes::kBlockBytes);
  for (int j = 0; j < 8; ++j) {
    u32 plane = 0;
    for (int z = 0; z < 4; ++z) {
      const u64 bits = load8(block + 16 + 8 * z) >> j & 0x0101010101010101;
      plane |= even_bytes((bits | bits >> 7) & 0x0003000300030003) << 2 * z;
    }
    store_dword(
        unit + Q4_KLanes::kLines + static_cast<std::size_t>(j) * Q5_KLanes::kBlockBytes + Q5_KLanes::kFifth,
        row, plane);
  }
}

void pack_q6_k(const u8* block, int row, u8* unit, u8* d) {
  for (int j = 0; j < 8; ++j) {
    const u8* low = block + 64 * (j / 4) + 32 * (j % 2);
    const u8* high = block + 128 + 32 * (j / 4);
    u8* two_blocks = unit + static_cast<std::size_t>(j / 2) * Q6_KLanes::kTwoBlocksBytes;
    u8* lines = two_blocks + kLine + static_cast<std::size_t>(j % 2) * Q6_KLanes::kBlockBytes;
    for (int i = 0; i < 2; ++i) two_blocks[16 * (2 * (j % 2) + i) + row] = block[192 + 2 * j + i];
    u32 planes[2] = {0, 0};
    for (int z = 0; z < 4; ++z) {
      pack_nibbles(low + 8 * z, j % 4 >= 2, row, lines + z * static_cast<int>(kLine));
      const u64 bits = load8(high + 8 * z) >> 2 * (j % 4) & 0x0303030303030303;
      planes[z / 2] |= even_bytes((bits | bits >> 6) & 0x000f000f000f000f) << 4 * (z % 2);
    }
    store_dword(lines + Q6_KLanes::kTwoBits, row, planes[0]);
    store_dword(lines + Q6_KLanes::kTwoBits + kLine, row, planes[1]);
  }
  copy2(d + 2 * row, block + 208);
}

std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

}  // namespace

bool has_lanes(DType type) {
  switch (type) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kQ4_0:
    case DType::kQ8_0:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K:
      return true;
    default:
      return false;
  }
}

bool uses_int8_activations(DType type) {
  return is_quantized(type) && has_lanes(type);
}

const std::byte* packed_bytes(const Matrix& matrix) {
  return matrix.bytes.data();
}

std::size_t row_block_bytes(DType type, std::int64_t n_cols) {
  const std::size_t block = traits(type).block_size;
  if (n_cols <= 0 || static_cast<std::size_t>(n_cols) % block != 0) {
    throw Error(ErrorKind::kUnsupported, "expected columns in blocks of " + std::to_string(block) + " for " +
                                             std::string(name(type)) + ", found " + std::to_string(n_cols));
  }
  const std::size_t k = static_cast<std::size_t>(n_cols);
  switch (type) {
    case DType::kF32:
      return k * kLine;
    case DType::kF16:
    case DType::kBF16:
      return ceil_div(k, 2) * kLine;
    case DType::kQ4_0:
      return ceil_div(k, 64) * Q4_0Lanes::kBytes;
    case DType::kQ8_0:
      return ceil_div(k, 64) * Q8_0Lanes::kBytes;
    case DType::kQ4_K:
      return k / 256 * Q4_KLanes::kBytes;
    case DType::kQ5_K:
      return k / 256 * Q5_KLanes::kBytes;
    case DType::kQ6_K:
      return k / 256 * Q6_KLanes::kBytes + ceil_div(k / 256, 2) * kLine;
    default:
      return kRowBlock * row_bytes(type, k);
  }
}

void pack_row_block(DType type, std::int64_t n_cols, const std::byte* rows, std::size_t stored_row_bytes,
                    int n_valid_rows, std::byte* row_block) {
  u8* out = reinterpret_cast<u8*>(row_block);
  std::memset(out, 0, row_block_bytes(type, n_cols));
  const auto stored = [&](int row) {
    return reinterpret_cast<const u8*>(rows) + static_cast<std::size_t>(row) * stored_row_bytes;
  };
  const int n = std::min(n_valid_rows, static_cast<int>(kRowBlock));
  const std::size_t k = static_cast<std::size_t>(n_cols);
  const std::size_t block_size = traits(type).block_size;
  const std::size_t block_bytes = traits(type).block_bytes;
  switch (type) {
    case DType::kF32:
      for (std::size_t i = 0; i < k; ++i) {
        for (int row = 0; row < n; ++row) std::memcpy(out + i * kLine + 4 * row, stored(row) + 4 * i, 4);
      }
      return;
    case DType::kF16:
    case DType::kBF16:
      for (std::size_t i = 0; i < k; i += 2) {
        const std::size_t pair = std::min<std::size_t>(2, k - i);
        for (int row = 0; row < n; ++row)
          std::memcpy(out + i / 2 * kLine + 4 * row, stored(row) + 2 * i, 2 * pair);
      }
      return;
    default:
      break;
  }
  if (!has_lanes(type)) {
    for (int row = 0; row < n; ++row) {
      std::memcpy(out + static_cast<std::size_t>(row) * row_bytes(type, k), stored(row), row_bytes(type, k));
    }
    return;
  }
  // Blocks outside, rows inside: the lines of a unit stay in the nearest cache while 16 rows fill them.
  for (std::size_t i = 0; i < k / block_size; ++i) {
    for (int row = 0; row < n; ++row) {
      const u8* block = stored(row) + i * block_bytes;
      switch (type) {
        case DType::kQ4_0:
          pack_q4_0(block, row, static_cast<int>(i % 2), out + i / 2 * Q4_0Lanes::kBytes);
          break;
        case DType::kQ8_0:
          pack_q8_0(block, row, static_cast<int>(i % 2), out + i / 2 * Q8_0Lanes::kBytes);
          break;
        case DType::kQ4_K:
          pack_q4_k(block, row, out + i * Q4_KLanes::kBytes);
          break;
        case DType::kQ5_K:
          pack_q5_k(block, row, out + i * Q5_KLanes::kBytes);
          break;
        default: {
          u8* pair = out + i / 2 * Q6_KLanes::kPairBytes;
          pack_q6_k(block, row, pair + kLine + i % 2 * Q6_KLanes::kBytes, pair + 32 * (i % 2));
        }
      }
    }
  }
}

}  // namespace exa
