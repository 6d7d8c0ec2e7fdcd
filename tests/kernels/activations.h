// fp32 rows as MatmulKernels::matmul reads them.
//
// Ownership and threads: values. Source: kernels/isa/matmul.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/isa/matmul.h"

namespace exa::test {

struct Activations {
  Buffer bytes;
  std::size_t stride = 0;
};

// x: [n_tokens, n_cols].
inline Activations activations_of(const MatmulKernels& kernels, DType weight_type, std::int64_t n_cols,
                                  const float* x, std::int64_t n_tokens) {
  const auto rows = static_cast<std::size_t>(n_tokens);
  Activations out;
  if (uses_int8_activations(weight_type)) {
    out.stride = quantized_row_bytes(n_cols);
    out.bytes = Buffer(rows * out.stride);
    for (std::size_t t = 0; t < rows; ++t) {
      kernels.quantize_row(x + static_cast<std::int64_t>(t) * n_cols, n_cols,
                           out.bytes.data() + t * out.stride);
    }
  } else if (kernels.reads_chunks != nullptr && kernels.reads_chunks(weight_type, n_tokens)) {
    out.stride = chunk_bytes(n_tokens);
    out.bytes = Buffer(chunked_bytes(n_tokens, n_cols));
    for (std::int64_t t = 0; t < n_tokens; ++t) {
      copy_to_chunks(x + t * n_cols, n_cols, t, n_tokens, out.bytes.as<float>());
    }
  } else {
    out.stride = static_cast<std::size_t>(n_cols) * sizeof(float);
    out.bytes = Buffer(rows * out.stride);
    std::memcpy(out.bytes.data(), x, rows * out.stride);
  }
  return out;
}

}  // namespace exa::test
