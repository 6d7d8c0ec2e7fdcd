// The stored form of keys and values: blocks of 32 positions of one layer, in the order in which attention
// reads them.
//
// A block holds, for each kv head, its keys then its values. A line is 16 lanes of what the type keeps
// together: bf16: two of head_dim (keys) or two positions (values), the even one in the low half, 64 bytes.
// q8: two in the same way, int8, 32 bytes. f32, f16: one, 64 and 32 bytes. Keys: two groups of 16 positions,
// each its lines with ascending d, lane = position. Values: ascending positions, each head_dim / 16 lines,
// lane = d. q8 then has the 32 scales of the keys and the 32 scales of the values, fp32, one a position: x =
// scale · int8, scale = max |x| / 127. Ownership and threads: the KV cache of the model room owns blocks; a
// view borrows them. Source: kernels specification 3.7.
#pragma once

#include <cstddef>
#include <cstdint>

namespace exa {

enum class KvType { kBF16, kF32, kF16, kQ8 };

inline constexpr std::int64_t kKvBlock = 32;  // positions a block

// One layer's cache of one sequence. Position p lives in blocks[(p / 32) % n_blocks] at slot p % 32: a ring
// where n_blocks is fixed, a growing list where it covers every position. Block memory is zero before its
// first use.
struct KvView {
  KvType type = KvType::kBF16;
  int n_kv_heads = 0;
  int head_dim = 0;  // a multiple of 16; q8: at most 512
  std::byte* const* blocks = nullptr;
  std::int64_t n_blocks = 0;
};

constexpr std::size_t kv_element_bytes(KvType type) {
  return type == KvType::kF32 ? 4 : type == KvType::kQ8 ? 1 : 2;
}

// Bytes of one kv head's keys and values inside a block.
constexpr std::size_t kv_head_bytes(KvType type, int head_dim) {
  return std::size_t{2} * 32 *
         (static_cast<std::size_t>(head_dim) * kv_element_bytes(type) +
          (type == KvType::kQ8 ? sizeof(float) : 0));
}

constexpr std::size_t kv_block_bytes(KvType type, int n_kv_heads, int head_dim) {
  return static_cast<std::size_t>(n_kv_heads) * kv_head_bytes(type, head_dim);
}

}  // namespace exa
