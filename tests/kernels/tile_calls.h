// Prompt products as the backend asks for them: some tokens and some row blocks a call.
//
// Ownership and threads: values; single-threaded. Source: kernels/isa/matmul.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/guarded_rows.h"
#include "kernels/isa/matmul_amx.h"

namespace exa::test {

using PromptProduct = void (*)(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                               const std::byte* activations, std::size_t stride, std::int64_t n_tokens,
                               float* y, std::int64_t y_stride, std::byte* scratch);

// y [n_tokens, n_rows] of x [n_tokens, n_cols]; nothing is written behind a row.
inline std::vector<float> multiply(PromptProduct function, const Matrix& w, const std::vector<float>& x,
                                   std::int64_t n_tokens, std::int64_t tokens_a_call,
                                   std::int64_t blocks_a_call) {
  GuardedRows rows(n_tokens, w.n_rows);
  Buffer scratch(kAmxScratchBytes);
  // What an earlier call left must not matter.
  std::memset(scratch.data(), 0x7f, scratch.size_bytes());
  for (std::int64_t t = 0; t < n_tokens; t += tokens_a_call) {
    for (std::int64_t b = 0; b < w.n_row_blocks(); b += blocks_a_call) {
      function(w, b, std::min(b + blocks_a_call, w.n_row_blocks()),
               reinterpret_cast<const std::byte*>(x.data() + t * w.n_cols),
               static_cast<std::size_t>(w.n_cols) * sizeof(float), std::min(tokens_a_call, n_tokens - t),
               rows.y.data() + t * rows.stride, rows.stride, scratch.data());
    }
  }
  return rows.take();
}

}  // namespace exa::test
