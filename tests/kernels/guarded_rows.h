// Output rows with room behind each that no kernel may touch.
//
// Ownership and threads: values; single-threaded. Source: MatmulKernels::matmul, whose rows are y_stride
// apart.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace exa::test {

// [n_tokens, n_rows], `stride` floats apart.
struct GuardedRows {
  static constexpr std::int64_t kGuard = 3;
  static constexpr float kUntouched = -7.0F;

  GuardedRows(std::int64_t n_tokens_, std::int64_t n_rows_)
      : n_tokens(n_tokens_),
        n_rows(n_rows_),
        stride(n_rows_ + kGuard),
        y(static_cast<std::size_t>(n_tokens_ * stride), kUntouched) {}

  // The rows without what stands behind them, which has to be as it was.
  std::vector<float> take() const {
    std::vector<float> packed;
    for (std::int64_t t = 0; t < n_tokens; ++t) {
      const auto row = y.begin() + t * stride;
      EXPECT_EQ(std::count(row + n_rows, row + stride, kUntouched), kGuard) << "written past the last row";
      packed.insert(packed.end(), row, row + n_rows);
    }
    return packed;
  }

  std::int64_t n_tokens, n_rows, stride;
  std::vector<float> y;
};

}  // namespace exa::test
