#include "kernels/cpu_attention.h"

#include <algorithm>
#include <atomic>

namespace exa {
namespace {

// Fewer floats than this are stored on the caller: waking the pool would cost more.
constexpr std::int64_t kInlineElements = 8192;

std::size_t to_size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}
std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}
void grow(Buffer& buffer, std::size_t n_bytes) {
  if (buffer.size_bytes() < n_bytes) buffer = Buffer(n_bytes);
}

// Blocks that a slice's rows lie in.
std::int64_t first_block(const AttentionSlice& slice) {
  return slice.first_position / kKvBlock;
}
std::int64_t block_count(const AttentionSlice& slice) {
  if (slice.n_tokens == 0) return 0;
  return ceil_div(slice.first_position + slice.n_tokens, kKvBlock) - first_block(slice);
}

// How one slice is cut into tasks: kv head, part of its group, tile of rows.
struct Cut {
  Cut(const AttentionSlice& slice, int n_heads) {
    group = n_heads / slice.kv.n_kv_heads;
    heads_a_tile = std::min(group, kAttentionPairs);
    parts = static_cast<int>(ceil_div(group, heads_a_tile));
    rows_a_tile = kAttentionPairs / heads_a_tile;
    tiles = ceil_div(slice.n_tokens, rows_a_tile);
    tasks = slice.kv.n_kv_heads * parts * tiles;
  }
  int group, heads_a_tile, parts;
  std::int64_t rows_a_tile, tiles, tasks;
};

}  // namespace

CpuAttention::CpuAttention(ThreadPool& pool, const OpsKernels& ops)
    : pool_(pool), ops_(ops), scratch_(to_size(pool.n_threads())) {}

void CpuAttention::append(std::span<const AttentionSlice> slices, const float* k, std::int64_t k_stride,
                          const float* v, std::int64_t v_stride) {
  std::int64_t n_items = 0;
  std::int64_t n_elements = 0;
  for (const AttentionSlice& slice : slices) {
    n_items += block_count(slice) * slice.kv.n_kv_heads;
    n_elements += slice.n_tokens * slice.kv.n_kv_heads * slice.kv.head_dim * 2;
  }
  // A block of a kv head is one item: two threads never write into one line.
  const auto store_items = [&](std::int64_t begin, std::int64_t end) {
    std::int64_t base = 0;  // first item of the slice
    for (const AttentionSlice& slice : slices) {
      const KvView& kv = slice.kv;
      const std::int64_t items = block_count(slice) * kv.n_kv_heads;
      const std::int64_t last_position = slice.first_position + slice.n_tokens;
      const std::size_t head_bytes = kv_head_bytes(kv.type, kv.head_dim);
      for (std::int64_t i = std::max(begin - base, std::int64_t{0}); i < std::min(items, end - base); ++i) {
        const std::int64_t block = first_block(slice) + i / kv.n_kv_heads;
        const std::int64_t head = i % kv.n_kv_heads;
        const std::int64_t from = std::max(slice.first_position, block * kKvBlock);
        const std::int64_t to = std::min(last_position, (block + 1) * kKvBlock);
        const std::int64_t row = slice.first_row + from - slice.first_position;
        const KvRows rows = {.type = kv.type,
                             .head_dim = kv.head_dim,
                             .first_slot = static_cast<int>(from % kKvBlock),
                             .n_rows = static_cast<int>(to - from),
                             .k = k + row * k_stride + head * kv.head_dim,
                             .k_stride = k_stride,
                             .v = v + row * v_stride + head * kv.head_dim,
                             .v_stride = v_stride};
        ops_.append_kv(rows, kv.blocks[block % kv.n_blocks] + to_size(head) * head_bytes);
      }
      base += items;
    }
  };
  if (n_items <= 1 || n_elements < kInlineElements) return store_items(0, n_items);
  pool_.parallel([&](int worker, int n_workers) {
    const WorkRange range = work_range(to_size(n_items), worker, n_workers);
    store_items(static_cast<std::int64_t>(range.begin), static_cast<std::int64_t>(range.end));
  });
}

void CpuAttention::attend(std::span<const AttentionSlice> slices, const float* q, std::int64_t q_stride,
                          int n_heads, std::int64_t window, float* out, std::int64_t out_stride) {
  run(slices, {q, q_stride, n_heads, window, false, out, out_stride});
}

void CpuAttention::attend_both_ways(std::span<const AttentionSegment> segments, const AttentionRows& kv,
                                    const float* q, std::int64_t q_stride, int n_heads, float* out,
                                    std::int64_t out_stride) {
  const std::size_t block_bytes = kv_block_bytes(kv.type, kv.n_kv_heads, kv.head_dim);
  std::int64_t n_blocks = 0;
  for (const AttentionSegment& segment : segments) n_blocks += ceil_div(segment.n_rows, kKvBlock);
  grow(rows_, to_size(n_blocks) * block_bytes);
  row_blocks_.resize(to_size(n_blocks));
  for (std::size_t i = 0; i < row_blocks_.size(); ++i) row_blocks_[i] = rows_.data() + i * block_bytes;
  row_slices_.clear();
  std::byte* const* blocks = row_blocks_.data();
  for (const AttentionSegment& segment : segments) {
    const std::int64_t of_segment = ceil_div(segment.n_rows, kKvBlock);
    row_slices_.push_back({.kv = {kv.type, kv.n_kv_heads, kv.head_dim, blocks, of_segment},
                           .first_row = segment.first_row,
                           .n_tokens = segment.n_rows,
                           .first_position = 0});
    blocks += of_segment;
  }
  append(row_slices_, kv.k, kv.k_stride, kv.v, kv.v_stride);
  run(row_slices_, {q, q_stride, n_heads, 0, true, out, out_stride});
}

void CpuAttention::run(std::span<const AttentionSlice> slices, const Call& call) {
  std::size_t scratch_bytes = 0;
  for (const AttentionSlice& slice : slices) {
    scratch_bytes = std::max(scratch_bytes, attention_scratch_bytes(slice.kv.head_dim));
  }
  for (Buffer& buffer : scratch_) grow(buffer, scratch_bytes);
  std::atomic<std::int64_t> next_task{0};
  pool_.parallel([&](int worker, int) {
    std::int64_t begin = 0;  // first task of the slice
    std::int64_t task = next_task.fetch_add(1, std::memory_order_relaxed);
    for (const AttentionSlice& slice : slices) {
      const Cut c(slice, call.n_heads);
      for (; task < begin + c.tasks; task = next_task.fetch_add(1, std::memory_order_relaxed)) {
        const std::int64_t index = task - begin;
        // Late rows see most: they come first, so that the last tasks are short.
        const std::int64_t row = (c.tiles - 1 - index % c.tiles) * c.rows_a_tile;
        const auto part = static_cast<int>(index / c.tiles % c.parts);
        const auto kv_head = static_cast<int>(index / c.tiles / c.parts);
        const std::int64_t head = std::int64_t{kv_head} * c.group + std::int64_t{part} * c.heads_a_tile;
        const std::int64_t offset = head * slice.kv.head_dim;
        const AttentionTile tile = {
            .kv = slice.kv,
            .kv_head = kv_head,
            .position = slice.first_position + row,
            .window = call.window,
            .n_visible = call.both_ways ? slice.n_tokens : 0,
            .n_rows = static_cast<int>(std::min(c.rows_a_tile, slice.n_tokens - row)),
            .n_heads = std::min(c.heads_a_tile, c.group - part * c.heads_a_tile),
            .q = call.q + (slice.first_row + row) * call.q_stride + offset,
            .q_stride = call.q_stride,
            .out = call.out + (slice.first_row + row) * call.out_stride + offset,
            .out_stride = call.out_stride,
        };
        ops_.attention(tile, scratch_[to_size(worker)].data());
      }
      begin += c.tasks;
    }
  });
}

}  // namespace exa
