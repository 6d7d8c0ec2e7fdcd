// Which rows of a matrix product take which way to its weights: a path for prompts, or the plain one with
// int8 rows, with fp32 rows in chunks, or with fp32 rows as they stand.
//
// Ownership and threads: a value; borrows the kernels.
// Source: kernels specification 3.3 (paths of prompts), 3.4 (int8 with a scale for 512 k).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/isa/matmul.h"

namespace exa {

class MatmulPlan {
 public:
  // n_prompt: the first rows, which may take a path for prompts. All weights have the same n_cols.
  MatmulPlan(const MatmulKernels& kernels, PromptSpeed prompts, std::span<const MatmulTarget> targets,
             std::int64_t n_tokens, std::int64_t n_prompt);

  enum class Form { kFloats, kChunks, kInt8 };
  struct Rows {
    std::int64_t n_prompt;  // rows [0, n_prompt) take the path for prompts …
    bool fast;              // … the fast one
    Form form;              // of the others
  };
  // One target's.
  Rows rows(const MatmulTarget& target) const;

  std::int64_t n_tokens() const { return n_tokens_; }
  // Rows [0, n_prepared) are prepared for the path for prompts, [first_quantized, n_tokens) become int8,
  // [first_chunked, n_tokens) are copied into chunks.
  std::int64_t n_prepared() const { return n_prepared_; }
  std::int64_t first_quantized() const { return first_quantized_; }
  std::int64_t first_chunked() const { return first_chunked_; }
  std::int64_t n_chunked() const { return n_tokens_ - first_chunked_; }
  std::size_t weight_bytes() const { return weight_bytes_; }    // of all targets
  std::size_t scratch_bytes() const { return scratch_bytes_; }  // of one thread

 private:
  const MatmulKernels& kernels_;
  PromptSpeed prompts_;
  std::int64_t n_tokens_;
  std::int64_t n_prompt_;
  std::int64_t n_prepared_ = 0;
  std::int64_t first_quantized_;
  std::int64_t first_chunked_;
  std::size_t weight_bytes_ = 0;
  std::size_t scratch_bytes_ = 0;
};

}  // namespace exa
