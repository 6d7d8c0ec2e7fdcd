// Keys and values into blocks, and softmax attention over them, one struct of functions an instruction set.
//
// Numbers, the same in every instruction set, bit for bit; round() is one rounding to fp32, fma() one for
// both steps. Positions are cut into spans of 1024, each computed for itself and then merged in ascending
// order; a span into chunks of 256. For each (row, head) alone:
//
// q' = round(q · round(log2(e) / sqrt(head_dim))), for bf16 then rounded to bf16. The score of a position,
// from 0 over ascending d: fma(q'[d], k[d], score); bf16: of each two d the odd one first. q8: q' as 16-bit
// integers of step max |q'| / 32767; score = round(round(integer sum · scale of the key) · step).
//
// For each chunk with visible positions, ascending: m' = max(m, chunk's scores); c = exp2(m - m'); the 16
// lanes of l and o[d] are multiplied by c; w = exp2(round(score - m')), 0 where invisible, for bf16 rounded
// to bf16. l: lane p % 16 adds w, ascending p; bf16: of each 32 positions lane i adds 2 i + 1, then 2 i. o[d]
// = fma(w, v[p][d], o[d]), ascending p; bf16: of each two positions the odd one first. q8: u = round(w ·
// scale of the value) as 16-bit integers of step max u / 32767; o[d] = fma(integer sum, step, o[d]).
//
// Of a span stay m, the lanes' sum l (as in ops.h) and o. Merging b into a: m' = max, o = fma(o_b, exp2(m_b -
// m'), round(o_a · exp2(m_a - m'))), so l; spans without visible positions are passed over. out = round(o /
// l)
// + 0. exp2 is that of ops.h.
//
// Inside a span subnormal numbers count as 0, which is what vdpbf16ps does. Invisible positions are never
// read into a result. A NaN in q, visible k or v, or an infinity in visible v, makes out no number; the
// payload of a NaN is not defined.
//
// Ownership and threads: pure functions over borrowed memory.
// Source: kernels specification 3.7; vdpbf16ps of Zen 4 measured to be two fused steps, the odd element
// first.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa/isa.h"
#include "kernels/kv_block.h"

namespace exa {

// (row, head) pairs that one attention tile may hold.
inline constexpr int kAttentionPairs = 32;
// Positions of a span: what one call of `attend` covers, and the least that is worth a task.
inline constexpr std::int64_t kAttentionSpan = 1024;

// Consecutive rows of one sequence times heads that read the same kv head; n_rows · n_heads <=
// kAttentionPairs.
struct AttentionTile {
  KvView kv;
  int kv_head;
  std::int64_t position;  // of the first row; row i stands at position + i
  std::int64_t window;    // positions seen, the own one included; 0: all
  std::int64_t
      n_visible;  // 0: rows see what lies before them; else all see positions [0, n_visible), no window
  int n_rows;
  int n_heads;
  const float* q;         // [n_rows, n_heads, head_dim]
  std::int64_t q_stride;  // floats from row to row
  float* out;             // [n_rows, n_heads, head_dim]
  std::int64_t out_stride;
};

// Spans [first, last] hold every position that some row of the tile sees.
constexpr std::int64_t first_span(const AttentionTile& tile) {
  const bool limited = tile.n_visible == 0 && tile.window > 0 && tile.position >= tile.window;
  return limited ? (tile.position - tile.window + 1) / kAttentionSpan : 0;
}
constexpr std::int64_t last_span(const AttentionTile& tile) {
  return ((tile.n_visible == 0 ? tile.position + tile.n_rows : tile.n_visible) - 1) / kAttentionSpan;
}

// The state of a tile: [pairs, head_dim + 16] floats, for each pair o, then m and l.
constexpr std::size_t attention_state_floats(int n_pairs, int head_dim) {
  return static_cast<std::size_t>(n_pairs) * static_cast<std::size_t>(head_dim + 16);
}

// Keys and values of consecutive positions of one kv head inside one block.
struct KvRows {
  KvType type;
  int head_dim;
  int first_slot;  // 0 … 31
  int n_rows;      // first_slot + n_rows <= 32
  const float* k;  // [n_rows, head_dim]
  std::int64_t k_stride;
  const float* v;  // [n_rows, head_dim]
  std::int64_t v_stride;
};

struct AttentionKernels {
  // The state of one span of the tile. scratch: attention_scratch_bytes(head_dim), 64-byte aligned, one a
  // thread.
  using Attend = void (*)(const AttentionTile& tile, std::int64_t span, std::byte* scratch, float* state);

  // Stores the rows into the kv head's part of a block (kv_head_bytes long), rounding half to even.
  void (*append)(const KvRows& rows, std::byte* block_head);
  Attend attend[4];  // by KvType
  // Merges a later span's state into `state`.
  void (*merge)(int n_pairs, int head_dim, float* state, const float* later);
  // Writes the tile's rows of `out`.
  void (*finish)(const AttentionTile& tile, const float* state);
};

std::size_t attention_scratch_bytes(int head_dim);

// The functions of an instruction set, the fastest for this processor; call only where is_supported(isa).
const AttentionKernels& attention_kernels(Isa isa);

// `attend` for bf16 with vdpbf16ps; null where this processor lacks it or, as Intel's, is faster without.
AttentionKernels::Attend attend_bf16_dot();

}  // namespace exa
