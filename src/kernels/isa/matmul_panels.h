// The loops around a register-blocked kernel: weights unpacked once a panel, all tokens over it.
//
// Order: a group of tokens, a panel of up to kRows row blocks, a chunk of k, column blocks of up to kCols
// tokens. The panel chunk stays in the nearest cache, the group's activations in the next one; partial sums
// wait in `tiles`. Included by one file an instruction set and compiled with its flags, hence the anonymous
// namespace. Ownership and threads: borrowed memory; the scratch belongs to one thread. Source: kernels
// specification 6.1.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa/lanes.h"
#include "kernels/isa/matmul_tables.h"

namespace exa {
namespace {  // NOLINT: one copy a file on purpose

constexpr std::int64_t kChunkBlocks = 8;  // 32-blocks a chunk of k: 256 k
// Tokens cut into equal column blocks of at most `most`.
struct ColumnBlocks {
  std::int64_t count, smaller, n_larger;
  ColumnBlocks(std::int64_t n_tokens, std::int64_t most)
      : count((n_tokens + most - 1) / most), smaller(n_tokens / count), n_larger(n_tokens % count) {}
  int width(std::int64_t i) const { return static_cast<int>(i < n_larger ? smaller + 1 : smaller); }
};

// One finished tile [R][C][16] to rows of y; rows at or beyond n_rows of the matrix are left out.
inline void store_tile(const float* tile, std::int64_t first_row, std::int64_t n_rows, int n_row_blocks,
                       int n_columns, float* y, std::int64_t y_stride) {
  for (int c = 0; c < n_columns; ++c) {
    for (int r = 0; r < n_row_blocks; ++r) {
      const std::int64_t row = first_row + r * kRowBlock;
      const float* from = tile + (static_cast<std::ptrdiff_t>(r) * n_columns + c) * kRowBlock;
      float* to = y + c * y_stride + row;
      if (row + kRowBlock <= n_rows) {
        __builtin_memcpy(to, from, kRowBlock * sizeof(float));
      } else {
        for (int i = 0; row + i < n_rows; ++i) to[i] = from[i];
      }
    }
  }
}

// Fetches the first n_bytes of each of `rows` row blocks in `count` shares: the next chunk's packed weights,
// spread over the column blocks of this one.
class SharedPrefetch {
 public:
  SharedPrefetch(const std::byte* next, std::size_t row_block_bytes, int rows, std::size_t n_bytes,
                 std::int64_t count)
      : next_(next),
        end_(next + n_bytes),
        row_block_bytes_(row_block_bytes),
        rows_(rows),
        lines_((static_cast<std::int64_t>((n_bytes + kLine - 1) / kLine) + count - 1) / count) {}

  void fetch_share() {
    for (std::int64_t i = 0; i < lines_ && next_ < end_; ++i, next_ += kLine) {
      for (int r = 0; r < rows_; ++r) {
        __builtin_prefetch(next_ + static_cast<std::size_t>(r) * row_block_bytes_, 0, 2);
      }
    }
  }

 private:
  const std::byte* next_;
  const std::byte* end_;
  std::size_t row_block_bytes_;
  int rows_;
  std::int64_t lines_;  // a share
};

// What a kernel multiplies: kernel(panel, activations of its first token, bytes from token to token,
// 32-blocks (k for floats), tile, whether the tile starts at zero).
using PanelKernel = void (*)(const std::byte* panel, const std::byte* activations, std::size_t stride,
                             std::int64_t n, float* tile, bool first);

// K: kRows, kCols, unpack(weight, row block, first 32-block, n, panel, r, n_row_blocks), prefetch(...),
// kernel(R, C).
template <class K>
void multiply_int8_panels(const Matrix& w, std::int64_t first_block, std::int64_t last_block,
                          const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                          std::int64_t y_stride, std::byte* scratch) {
  std::byte* panel = scratch;
  float* tiles = reinterpret_cast<float*>(scratch + kPanelBytes);
  const std::byte* packed = packed_bytes(w);
  const std::int64_t n_blocks = w.n_cols / 32;
  for (std::int64_t t0 = 0; t0 < n_tokens; t0 += kTokenGroup) {
    const std::int64_t n_group = n_tokens - t0 < kTokenGroup ? n_tokens - t0 : kTokenGroup;
    const ColumnBlocks columns(n_group, K::kCols);
    for (std::int64_t b = first_block; b < last_block; b += K::kRows) {
      const int rows = static_cast<int>(last_block - b < K::kRows ? last_block - b : K::kRows);
      for (std::int64_t k0 = 0; k0 < n_blocks; k0 += kChunkBlocks) {
        const std::int64_t n = n_blocks - k0 < kChunkBlocks ? n_blocks - k0 : kChunkBlocks;
        for (int r = 0; r < rows; ++r) {
          K::unpack(packed + static_cast<std::size_t>(b + r) * w.row_block_bytes, k0, n, panel, r, rows);
        }
        const bool last = k0 + n == n_blocks;
        const std::byte* next = last ? packed + static_cast<std::size_t>(b + rows) * w.row_block_bytes
                                     : packed + static_cast<std::size_t>(b) * w.row_block_bytes +
                                           static_cast<std::size_t>(k0 + n) * K::kBytesA32Block;
        std::int64_t t = t0;
        float* tile = tiles;
        SharedPrefetch prefetch(next, w.row_block_bytes, rows,
                                columns.count > 1 ? static_cast<std::size_t>(n) * K::kBytesA32Block : 0,
                                columns.count);
        for (std::int64_t i = 0; i < columns.count; ++i) {
          const int width = columns.width(i);
          prefetch.fetch_share();
          if (last) {
            for (int c = 0; c < width; ++c) {
              for (int r = 0; r < rows; ++r) {
                __builtin_prefetch(y + (t + c) * y_stride + (b + r) * kRowBlock, 1, 3);
              }
            }
          }
          K::kernel(rows, width)(panel,
                                 activations + static_cast<std::size_t>(t) * stride +
                                     static_cast<std::size_t>(k0) * sizeof(ActivationBlock),
                                 stride, n, tile, k0 == 0);
          if (last) store_tile(tile, b * kRowBlock, w.n_rows, rows, width, y + t * y_stride, y_stride);
          tile += static_cast<std::ptrdiff_t>(rows) * width * kRowBlock;
          t += width;
        }
      }
    }
  }
}

// K: kRows, kCols, unpack(weight, row block, first k, n, panel, r, n_row_blocks, spare scratch), kernel(R,
// C).
template <class K>
void multiply_float_panels(const Matrix& w, std::int64_t first_block, std::int64_t last_block,
                           const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                           std::int64_t y_stride, std::byte* scratch) {
  constexpr std::int64_t kUnpack = 256;  // k unpacked at once: every block size divides it
  std::byte* panel = scratch;
  const std::int64_t group = float_token_group(w.n_cols);
  std::byte* spare = scratch + kPanelBytes;
  float* tiles = reinterpret_cast<float*>(scratch + kPanelBytes + kSpareBytes);
  float* copies = reinterpret_cast<float*>(scratch + kPanelBytes + kSpareBytes + kTileBytes);
  for (std::int64_t t0 = 0; t0 < n_tokens; t0 += group) {
    const std::int64_t n_group = n_tokens - t0 < group ? n_tokens - t0 : group;
    const ColumnBlocks columns(n_group, K::kCols);
    for (std::int64_t t = 0; t < n_group; ++t) {
      const float* x =
          reinterpret_cast<const float*>(activations + static_cast<std::size_t>(t0 + t) * stride);
      for (std::int64_t k0 = 0; k0 < w.n_cols; k0 += kFloatChunk) {
        float* to = copies + (k0 / kFloatChunk * group + t) * kFloatStride;
        const std::int64_t n = w.n_cols - k0 < kFloatChunk ? w.n_cols - k0 : kFloatChunk;
        __builtin_memcpy(to, x + k0, static_cast<std::size_t>(n) * sizeof(float));
      }
    }
    for (std::int64_t b = first_block; b < last_block; b += K::kRows) {
      const int rows = static_cast<int>(last_block - b < K::kRows ? last_block - b : K::kRows);
      for (std::int64_t k0 = 0; k0 < w.n_cols; k0 += kFloatChunk) {
        if (k0 % kUnpack == 0) {
          const std::int64_t n = w.n_cols - k0 < kUnpack ? w.n_cols - k0 : kUnpack;
          for (int r = 0; r < rows; ++r) K::unpack(w, b + r, k0, n, panel, r, rows, spare);
        }
        const std::int64_t n = w.n_cols - k0 < kFloatChunk ? w.n_cols - k0 : kFloatChunk;
        const std::byte* chunk = panel + static_cast<std::size_t>(k0 % kUnpack * rows) * kLine;
        const float* x = copies + k0 / kFloatChunk * group * kFloatStride;
        // What the next unpacking reads: this chunk's place kUnpack further on, in the next panel at the end.
        const std::size_t bytes_a_column = w.row_block_bytes / static_cast<std::size_t>(w.n_cols);
        const std::int64_t column = k0 + kUnpack < w.n_cols ? k0 + kUnpack : k0 % kUnpack;
        const std::byte* next =
            packed_bytes(w) +
            static_cast<std::size_t>(k0 + kUnpack < w.n_cols ? b : b + rows) * w.row_block_bytes +
            static_cast<std::size_t>(column) * bytes_a_column;
        float* tile = tiles;
        std::int64_t t = 0;
        SharedPrefetch prefetch(next, w.row_block_bytes, rows, static_cast<std::size_t>(n) * bytes_a_column,
                                columns.count);
        for (std::int64_t i = 0; i < columns.count; ++i) {
          const int width = columns.width(i);
          prefetch.fetch_share();
          K::kernel(rows, width)(chunk, reinterpret_cast<const std::byte*>(x + t * kFloatStride),
                                 kFloatStride * sizeof(float), n, tile, k0 == 0);
          if (k0 + n == w.n_cols) {
            store_tile(tile, b * kRowBlock, w.n_rows, rows, width, y + (t0 + t) * y_stride, y_stride);
          }
          tile += static_cast<std::ptrdiff_t>(rows) * width * kRowBlock;
          t += width;
        }
      }
    }
  }
}

}  // namespace
}  // namespace exa
