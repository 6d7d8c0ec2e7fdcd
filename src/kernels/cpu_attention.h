// Attention on the CPU: cuts the rows of a call into tiles, long histories into spans, and gives them to the
// threads.
//
// Ownership and threads: borrows the pool and the kernels, owns scratch memory; one thread calls it.
// Source: kernels specification 3.7.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/threads.h"
#include "kernels/backend.h"
#include "kernels/isa/attention.h"

namespace exa {

class CpuAttention {
 public:
  CpuAttention(ThreadPool& pool, const AttentionKernels& kernels);

  // Backend::append_kv of several slices in one job.
  void append(std::span<const AttentionSlice> slices, const float* k, std::int64_t k_stride, const float* v,
              std::int64_t v_stride);
  // Backend::attention.
  void attend(std::span<const AttentionSlice> slices, const float* q, std::int64_t q_stride, int n_heads,
              std::int64_t window, float* out, std::int64_t out_stride);
  // Backend::attention_both_ways.
  void attend_both_ways(std::span<const AttentionSegment> segments, const AttentionRows& kv, const float* q,
                        std::int64_t q_stride, int n_heads, float* out, std::int64_t out_stride);

 private:
  struct Call {
    const float* q;
    std::int64_t q_stride;
    int n_heads;
    std::int64_t window;
    bool both_ways;  // a slice's rows see all rows of the slice
    float* out;
    std::int64_t out_stride;
  };
  void run(std::span<const AttentionSlice> slices, const Call& call);
  void list_tiles(std::span<const AttentionSlice> slices, const Call& call);
  void run_tiles();
  void run_spans();

  ThreadPool& pool_;
  const AttentionKernels& kernels_;
  std::vector<Buffer> scratch_;  // one a worker
  std::vector<AttentionTile> tiles_;
  // Of a call whose tiles are too few for the threads: one task a span.
  struct SpanTask {
    std::size_t tile;
    std::int64_t span;
    std::size_t state;  // first float of the span's state
  };
  std::vector<SpanTask> span_tasks_;
  std::vector<int> spans_left_;           // of each tile, counted down by the threads
  std::vector<std::size_t> first_tasks_;  // of each tile
  Buffer states_;
  // Keys and values of attend_both_ways.
  Buffer rows_;
  std::vector<std::byte*> row_blocks_;
  std::vector<AttentionSlice> row_slices_;
};

}  // namespace exa
