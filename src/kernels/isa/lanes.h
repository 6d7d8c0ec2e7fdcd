// The bytes of layout P16 and of quantized activations, as offsets: what pack writes and every kernel reads.
//
// k order in a 32-block: a u8 line holds for each row (dword lane) four weights; lines 2z and 2z + 1 hold
// k = 8z + {0, 2, 4, 6} and 8z + {1, 3, 5, 7}, z in 0..3. A nibble line z packs both: low nibbles are line
// 2z. A high-bit line (Q5_K) has the fifth bit of u8 line b at bit b of each byte; a two-bit line h (Q6_K)
// has the two high bits of u8 line 4h + f at bits 2f of each byte. Ownership and threads: constants; no
// inline function, so that no kernel's code can end up in another one's file. Source: kernels
// specification 3.1, 6.1.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/matrix.h"

namespace exa {

inline constexpr std::size_t kLine = 64;  // bytes; 16 rows of one dword

// One unit is 16 rows × kBlocks 32-blocks.
struct Q4_0Lanes {
  static constexpr int kBlocks = 2;
  static constexpr std::size_t kBytes = 576;
  static constexpr std::size_t kScales = 512;  // f16 [2 blocks][16 rows]
};
struct Q8_0Lanes {
  static constexpr int kBlocks = 2;
  static constexpr std::size_t kBytes = 1088;   // u8 lines of weight + 128
  static constexpr std::size_t kScales = 1024;  // f16 [2 blocks][16 rows]
};
// Units of 256 k keep every line where the kernels come to it, so that a unit is read straight through:
// hardware prefetchers follow one stream, not three.
//
// Q4_K and Q5_K; dword lane n of the three 6-bit scale lines belongs to row n, field j to 32-block j.
struct Q4_KLanes {
  static constexpr std::size_t kBytes = 2304;
  static constexpr std::size_t kScaleLow = 0;  // bits 4j: low four bits of scale j
  static constexpr std::size_t kMinLow = 64;   // bits 4j: low four bits of minimum j
  static constexpr std::size_t kHigh = 128;    // bits 2j: high bits of scale j; bits 16 + 2j: of minimum j
  static constexpr std::size_t kScales = 192;  // f16 d [16 rows], dmin [16 rows]
  static constexpr std::size_t kLines = 256;   // 8 32-blocks: 4 nibble lines each
  static constexpr std::size_t kBlockBytes = 256;
};
struct Q5_KLanes {  // begins as Q4_K does
  static constexpr std::size_t kBytes = 2816;
  static constexpr std::size_t kBlockBytes = 320;  // 4 nibble lines, then the high-bit line
  static constexpr std::size_t kFifth = 256;       // in a 32-block
};
// Two units follow one line of f16 d [2 units][16 rows]; a last odd unit has a line to itself.
struct Q6_KLanes {
  static constexpr std::size_t kBytes = 3328;
  static constexpr std::size_t kPairBytes = 2 * kBytes + kLine;
  // Two 32-blocks: i8 scales [4 groups of 16 k][16 rows], then twice 4 nibble and 2 two-bit lines.
  static constexpr std::size_t kTwoBlocksBytes = 832;
  static constexpr std::size_t kBlockBytes = 384;
  static constexpr std::size_t kTwoBits = 256;  // in a 32-block
};

// 32 activations of one token: what every kernel reads for one 32-block. Zero-point starts are bits of
// 1.5·2^23 minus (zero point · sum of q): an int32 that, after the products are added, reads as the float
// 12582912 + dot.
struct alignas(64) ActivationBlock {
  std::int8_t q[32];  // byte j of dword b is k = 8·(b/2) + 2j + b%2
  float scale;        // amax / 127; NaN where the block holds NaN or infinity
  float scaled_sum;   // round(scale · sum of q)
  std::int32_t start_0;
  std::int32_t start_8;
  std::int32_t start_128;
  std::int32_t start_32[2];  // of the first and second 16 k alone
  std::int32_t unused;
};
static_assert(sizeof(ActivationBlock) == 64);

inline constexpr float kMagic = 12582912.0F;                // 1.5·2^23
inline constexpr std::int32_t kMagicBits = 0x4B400000;      // its bits
inline constexpr std::int32_t kNonFiniteBits = 0x7f800000;  // |x| as bits at or above: infinity or NaN
inline constexpr std::int32_t kTinyBits = 0x04800000;       // 2^-118: blocks below it count as zeros, so that
                                                            // 127 / amax and amax / 127 are normal numbers

// The packed row blocks (a function of its own: Matrix's inline members must not be compiled with kernel
// flags).
const std::byte* packed_bytes(const Matrix& matrix);

}  // namespace exa
