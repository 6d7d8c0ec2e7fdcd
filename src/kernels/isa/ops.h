// Everything of a layer that is no matrix product, one struct of functions an instruction set.
//
// Numbers, the same in every instruction set, bit for bit; round() is one rounding to fp32, fma() one for
// both steps:
//   sum over 16 lanes: lane i + lane i+8, then +4, +2, +1. exp2(t), t <= 0: 0 where t < -126, else p(t - n) ·
//   2^n with n = t rounded half-even and p a polynomial of degree 6 (relative error < 1.2e-7, exp2(0) = 1).
//   rmsnorm: lane i % 16 gets fma(x[i], x[i], lane), ascending i; r = round(1 / round(sqrt(round(round(sum /
//   width) + eps)))); y = round(round(x · r) · weight). rope: y[j] = round(round(x[j] · cos[j]) -
//   round(x[j+h] · sin[j])), y[j+h] = round(round(x[j+h] · cos[j]) + round(x[j] · sin[j])), h = head_dim / 2.
//   silu_mul: e = exp(-|gate|) (0 below -87) by exp2 with a two-part log2(e); s = round(n / round(1 + e)), n
//   = gate where gate >= 0, else round(gate · e); round(s · up). Relative error <= 3e-7 for gate >= -87; 0
//   below. attention, for each (row, head) alone: q' = round(q · round(log2(e) / sqrt(head_dim))); score =
//   fma(q'[d], k[d], score), ascending d, from 0. Visible positions in chunks [256 c, 256 c + 256), ascending
//   c, those without any are passed over: m' = max(m, chunk's scores); c = exp2(m - m'); lane p % 16 of l =
//   round(l · c), o[d] = round(o[d] · c); then for visible p ascending, w = exp2(round(score - m')): l += w
//   in its lane, o[d] = fma(w, v[p][d], o[d]). out = round(o / sum of l over lanes). Invisible positions are
//   never read into a result.
// The payload of a NaN is not defined.
// Ownership and threads: pure functions over borrowed memory.
// Source: kernels specification 3.4, 3.5, 3.7; exaone-models specification 2.1, 2.6.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa/isa.h"
#include "kernels/kv_block.h"

namespace exa {

// (row, head) pairs that one attention tile may hold.
inline constexpr int kAttentionPairs = 32;

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

struct OpsKernels {
  // y = rmsnorm(x), all [width], width >= 1; y may be x.
  void (*rmsnorm)(const float* x, std::int64_t width, const float* weight, float eps, float* y);
  // residual = round(residual + rmsnorm(x)).
  void (*rmsnorm_add)(const float* x, std::int64_t width, const float* weight, float eps, float* residual);
  // residual = round(residual + x).
  void (*add)(const float* x, std::int64_t width, float* residual);
  // One head x [head_dim] in place, head_dim even; cos, sin [head_dim / 2].
  void (*rope)(float* x, int head_dim, const float* cos, const float* sin);
  // gate = silu(gate) · up, all [width].
  void (*silu_mul)(float* gate, const float* up, std::int64_t width);
  // Stores the rows into the kv head's part of a block (kv_head_bytes long); bf16 by round-to-nearest-even.
  void (*append_kv)(const KvRows& rows, std::byte* block_head);
  // scratch: attention_scratch_bytes(head_dim), 64-byte aligned, one a thread.
  void (*attention)(const AttentionTile& tile, std::byte* scratch);
};

std::size_t attention_scratch_bytes(int head_dim);

// Bytes of one kv head's keys and values inside a block.
constexpr std::size_t kv_head_bytes(KvType type, int head_dim) {
  return kv_block_bytes(type, 1, head_dim);
}

// The functions of an instruction set; call only where is_supported(isa).
const OpsKernels& ops_kernels(Isa isa);

}  // namespace exa
