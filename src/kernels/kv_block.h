// The stored form of keys and values: blocks of 32 positions of one layer, in the order in which attention reads them.
//
// A block holds, for each kv head, its keys then its values. bf16: keys as two groups of 16 tokens, each head_dim/2
// lines of 64 bytes (dword lane = token, low half = even d); values as 16 token pairs, each head_dim/16 lines (dword
// lane = d, low half = even token). f32: keys as two groups of head_dim lines (lane = token), values as 32 tokens of
// head_dim floats.
// Ownership and threads: the KV cache of the model room owns blocks; a view borrows them.
// Source: kernels specification 3.7.
#pragma once

#include <cstddef>
#include <cstdint>

namespace exa {

enum class KvType { kBF16, kF32 };

inline constexpr std::int64_t kKvBlock = 32;  // positions a block

// One layer's cache of one sequence. Position p lives in blocks[(p / 32) % n_blocks] at slot p % 32: a ring where
// n_blocks is fixed, a growing list where it covers every position. Block memory is zero before its first use.
struct KvView {
  KvType type = KvType::kBF16;
  int n_kv_heads = 0;
  int head_dim = 0;  // a multiple of 16
  std::byte* const* blocks = nullptr;
  std::int64_t n_blocks = 0;
};

// Bytes of one block: 2 · 32 · n_kv_heads · head_dim elements.
constexpr std::size_t kv_block_bytes(KvType type, int n_kv_heads, int head_dim) {
  return std::size_t{2} * 32 * static_cast<std::size_t>(n_kv_heads) * static_cast<std::size_t>(head_dim) *
         (type == KvType::kF32 ? 4 : 2);
}

}  // namespace exa
