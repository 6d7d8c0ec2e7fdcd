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

// Fewer tiles than this for each thread are cut into spans: the longest would be waited for.
constexpr std::size_t kTilesAThread = 8;

std::size_t span_count(const AttentionTile& tile) {
  return to_size(last_span(tile) - first_span(tile) + 1);
}
std::size_t state_floats(const AttentionTile& tile) {
  return attention_state_floats(tile.n_rows * tile.n_heads, tile.kv.head_dim);
}

}  // namespace

CpuAttention::CpuAttention(ThreadPool& pool, const AttentionKernels& kernels)
    : pool_(pool), kernels_(kernels), scratch_(to_size(pool.n_threads())) {}

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
        kernels_.append(rows, kv.blocks[block % kv.n_blocks] + to_size(head) * head_bytes);
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

void CpuAttention::list_tiles(std::span<const AttentionSlice> slices, const Call& call) {
  tiles_.clear();
  for (const AttentionSlice& slice : slices) {
    const int group = call.n_heads / slice.kv.n_kv_heads;
    const int heads_a_tile = std::min(group, kAttentionPairs);
    const std::int64_t rows_a_tile = kAttentionPairs / heads_a_tile;
    int n_heads = 0;
    for (int head = 0; head < call.n_heads; head += n_heads) {
      const int kv_head = head / group;
      n_heads = std::min(heads_a_tile, (kv_head + 1) * group - head);
      const std::int64_t offset = std::int64_t{head} * slice.kv.head_dim;
      // Late rows see most: they come first, so that the last tasks are short.
      for (std::int64_t tile = ceil_div(slice.n_tokens, rows_a_tile) - 1; tile >= 0; --tile) {
        const std::int64_t row = tile * rows_a_tile;
        tiles_.push_back({
            .kv = slice.kv,
            .kv_head = kv_head,
            .position = slice.first_position + row,
            .window = call.window,
            .n_visible = call.both_ways ? slice.n_tokens : 0,
            .n_rows = static_cast<int>(std::min(rows_a_tile, slice.n_tokens - row)),
            .n_heads = n_heads,
            .q = call.q + (slice.first_row + row) * call.q_stride + offset,
            .q_stride = call.q_stride,
            .out = call.out + (slice.first_row + row) * call.out_stride + offset,
            .out_stride = call.out_stride,
        });
      }
    }
  }
}

void CpuAttention::run(std::span<const AttentionSlice> slices, const Call& call) {
  list_tiles(slices, call);
  int head_dim = 0;
  std::size_t most_spans = 0;
  for (const AttentionSlice& slice : slices) head_dim = std::max(head_dim, slice.kv.head_dim);
  for (const AttentionTile& tile : tiles_) most_spans = std::max(most_spans, span_count(tile));
  const std::size_t n_bytes = attention_scratch_bytes(head_dim) +
                              2 * attention_state_floats(kAttentionPairs, head_dim) * sizeof(float);
  for (Buffer& buffer : scratch_) grow(buffer, n_bytes);
  const std::size_t n_threads = scratch_.size();
  if (n_threads > 1 && most_spans > 1 && tiles_.size() < kTilesAThread * n_threads) return run_spans();
  run_tiles();
}

void CpuAttention::run_tiles() {
  std::atomic<std::size_t> next{0};
  pool_.parallel([&](int worker, int) {
    std::byte* const scratch = scratch_[to_size(worker)].data();
    for (std::size_t i = next.fetch_add(1, std::memory_order_relaxed); i < tiles_.size();
         i = next.fetch_add(1, std::memory_order_relaxed)) {
      const AttentionTile& tile = tiles_[i];
      const int n_pairs = tile.n_rows * tile.n_heads;
      const auto attend = kernels_.attend[static_cast<std::size_t>(tile.kv.type)];
      auto* const state = reinterpret_cast<float*>(scratch + attention_scratch_bytes(tile.kv.head_dim));
      attend(tile, first_span(tile), scratch, state);
      for (std::int64_t span = first_span(tile) + 1; span <= last_span(tile); ++span) {
        attend(tile, span, scratch, state + state_floats(tile));
        kernels_.merge(n_pairs, tile.kv.head_dim, state, state + state_floats(tile));
      }
      kernels_.finish(tile, state);
    }
  });
}

void CpuAttention::run_spans() {
  span_tasks_.clear();
  first_tasks_.clear();
  spans_left_.clear();
  std::size_t n_floats = 0;
  for (std::size_t i = 0; i < tiles_.size(); ++i) {
    first_tasks_.push_back(span_tasks_.size());
    spans_left_.push_back(static_cast<int>(span_count(tiles_[i])));
    for (std::int64_t span = first_span(tiles_[i]); span <= last_span(tiles_[i]); ++span) {
      span_tasks_.push_back({i, span, n_floats});
      n_floats += state_floats(tiles_[i]);
    }
  }
  grow(states_, n_floats * sizeof(float));
  float* const states = states_.as<float>();
  std::atomic<std::size_t> next{0};
  pool_.parallel([&](int worker, int) {
    std::byte* const scratch = scratch_[to_size(worker)].data();
    for (std::size_t i = next.fetch_add(1, std::memory_order_relaxed); i < span_tasks_.size();
         i = next.fetch_add(1, std::memory_order_relaxed)) {
      const SpanTask& task = span_tasks_[i];
      const AttentionTile& tile = tiles_[task.tile];
      kernels_.attend[static_cast<std::size_t>(tile.kv.type)](tile, task.span, scratch, states + task.state);
      // Whoever finishes a tile's last span merges them all, always in the same order.
      if (std::atomic_ref(spans_left_[task.tile]).fetch_sub(1, std::memory_order_acq_rel) != 1) continue;
      float* const state = states + span_tasks_[first_tasks_[task.tile]].state;
      for (std::size_t later = 1; later < span_count(tile); ++later) {
        kernels_.merge(tile.n_rows * tile.n_heads, tile.kv.head_dim, state,
                       state + later * state_floats(tile));
      }
      kernels_.finish(tile, state);
    }
  });
}

}  // namespace exa
