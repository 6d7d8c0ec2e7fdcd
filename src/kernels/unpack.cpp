// Lanes back into rows: weights as integer codes with their scales, the view that scalar code has of layout
// P16.
#include "kernels/isa/unpack.h"

#include <cstring>

#include "kernels/isa/lanes.h"
#include "kernels/quant.h"

namespace exa {
namespace {

using u8 = std::uint8_t;
using u32 = std::uint32_t;

u32 dword(const u8* line, int row) {
  u32 value;
  std::memcpy(&value, line + 4 * row, 4);
  return value;
}
float f16_at(const u8* p) {
  std::uint16_t half;
  std::memcpy(&half, p, 2);
  return f16_to_f32(half);
}

// Code of weight k of a 32-block from its four nibble lines.
int nibble(const u8* lines, int row, int k) {
  return static_cast<int>(dword(lines + k / 8 * static_cast<int>(kLine), row) >> 4 * (k % 8) & 15);
}
// Where u8 lines keep weight k: line 2·(k/8) + k%2, byte k%8/2 of the lane.
int u8_line(int k) {
  return 2 * (k / 8) + k % 2;
}
int u8_byte(int row, int k) {
  return 4 * row + k % 8 / 2;
}

void k_scales(const u8* unit, int row, int j, LaneBlock& out) {
  const u32 high = dword(unit + Q4_KLanes::kHigh, row);
  const u32 scale = (dword(unit + Q4_KLanes::kScaleLow, row) >> 4 * j & 15) | (high >> 2 * j & 3) << 4;
  const u32 min = (dword(unit + Q4_KLanes::kMinLow, row) >> 4 * j & 15) | (high >> (16 + 2 * j) & 3) << 4;
  out.scale[0] = out.scale[1] = f16_at(unit + Q4_KLanes::kScales + 2 * row) * static_cast<float>(scale);
  out.min = f16_at(unit + Q4_KLanes::kScales + 32 + 2 * row) * static_cast<float>(min);
}

}  // namespace

LaneBlock lane_block(DType type, const std::byte* row_block, int row, std::int64_t block) {
  const u8* base = reinterpret_cast<const u8*>(row_block);
  const std::size_t i = static_cast<std::size_t>(block);
  LaneBlock out{};
  switch (type) {
    case DType::kQ4_0: {
      const u8* unit = base + i / 2 * Q4_0Lanes::kBytes;
      for (int k = 0; k < 32; ++k) out.q[k] = nibble(unit + i % 2 * 4 * kLine, row, k) - 8;
      out.scale[0] = out.scale[1] =
          f16_at(unit + Q4_0Lanes::kScales + 32 * (i % 2) + 2 * static_cast<unsigned>(row));
      break;
    }
    case DType::kQ8_0: {
      const u8* unit = base + i / 2 * Q8_0Lanes::kBytes;
      for (int k = 0; k < 32; ++k) {
        out.q[k] = unit[(8 * (i % 2) + static_cast<unsigned>(u8_line(k))) * kLine + u8_byte(row, k)] - 128;
      }
      out.scale[0] = out.scale[1] =
          f16_at(unit + Q8_0Lanes::kScales + 32 * (i % 2) + 2 * static_cast<unsigned>(row));
      break;
    }
    case DType::kQ4_K:
    case DType::kQ5_K: {
      const bool five = type == DType::kQ5_K;
      const u8* unit = base + i / 8 * (five ? Q5_KLanes::kBytes : Q4_KLanes::kBytes);
      const u8* lines =
          unit + Q4_KLanes::kLines + i % 8 * (five ? Q5_KLanes::kBlockBytes : Q4_KLanes::kBlockBytes);
      for (int k = 0; k < 32; ++k) {
        out.q[k] = nibble(lines, row, k);
        if (five) out.q[k] |= (lines[Q5_KLanes::kFifth + u8_byte(row, k)] >> u8_line(k) & 1) << 4;
      }
      k_scales(unit, row, static_cast<int>(i % 8), out);
      break;
    }
    case DType::kQ6_K: {
      const u8* pair = base + i / 16 * Q6_KLanes::kPairBytes;
      const u8* two_blocks =
          pair + kLine + i / 8 % 2 * Q6_KLanes::kBytes + i % 8 / 2 * Q6_KLanes::kTwoBlocksBytes;
      const u8* lines = two_blocks + kLine + i % 2 * Q6_KLanes::kBlockBytes;
      for (int k = 0; k < 32; ++k) {
        const u8* two_bits = lines + Q6_KLanes::kTwoBits + k / 16 * static_cast<int>(kLine);
        out.q[k] =
            (nibble(lines, row, k) | (two_bits[u8_byte(row, k)] >> 2 * (u8_line(k) % 4) & 3) << 4) - 32;
      }
      const float d = f16_at(pair + 32 * (i / 8 % 2) + 2 * static_cast<unsigned>(row));
      for (std::size_t half = 0; half < 2; ++half) {
        const auto scale =
            static_cast<std::int8_t>(two_blocks[16 * (2 * (i % 2) + half) + static_cast<unsigned>(row)]);
        out.scale[half] = d * static_cast<float>(scale);
      }
      break;
    }
    default:
      break;
  }
  return out;
}

float lane_value(DType type, const std::byte* row_block, int row, std::int64_t k) {
  const u8* base = reinterpret_cast<const u8*>(row_block);
  const std::size_t i = static_cast<std::size_t>(k);
  if (type == DType::kF32) {
    float value;
    std::memcpy(&value, base + i * kLine + 4 * static_cast<unsigned>(row), 4);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, base + i / 2 * kLine + 4 * static_cast<unsigned>(row) + 2 * (i % 2), 2);
  return type == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

void unpack_row(const Matrix& matrix, std::int64_t row, float* out) {
  const std::byte* block = matrix.row_block(row / kRowBlock);
  const int lane = static_cast<int>(row % kRowBlock);
  switch (matrix.type) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      for (std::int64_t k = 0; k < matrix.n_cols; ++k) out[k] = lane_value(matrix.type, block, lane, k);
      return;
    default:
      break;
  }
  if (!has_lanes(matrix.type)) {
    const std::size_t n_cols = static_cast<std::size_t>(matrix.n_cols);
    decode_row(matrix.type, block + static_cast<std::size_t>(lane) * row_bytes(matrix.type, n_cols), n_cols,
               out);
    return;
  }
  const bool has_mins = matrix.type == DType::kQ4_K || matrix.type == DType::kQ5_K;
  for (std::int64_t b = 0; b < matrix.n_cols / 32; ++b) {
    const LaneBlock w = lane_block(matrix.type, block, lane, b);
    for (int k = 0; k < 32; ++k) {
      const float value = static_cast<float>(w.q[k]) * w.scale[k / 16];
      *out++ = has_mins ? value - w.min : value;
    }
  }
}

}  // namespace exa
