// The keys and values of one sequence: a ring for each window layer, a growing list of blocks for each global
// one.
//
// Ownership and threads: a KvCache owns its blocks; one thread at a time.
// Source: exaone-models specification 2.6 (a ring of window − 1 + chunk rows) and 2.7; kernels/kv_block.h.
#pragma once

#include <cstdint>
#include <vector>

#include "base/memory.h"
#include "kernels/kv_block.h"
#include "model/config.h"

namespace exa {

class KvCache {
 public:
  // max_chunk: the most rows that one step appends; the rings keep window − 1 + max_chunk positions.
  KvCache(const ModelConfig& config, KvType type, std::int64_t max_chunk);

  // Positions stored so far: the next row stands at position length().
  std::int64_t length() const { return length_; }
  // Makes room for n_tokens (at most max_chunk) more rows in every layer. Errors: kMemory.
  void reserve(std::int64_t n_tokens);
  // The rows of a step are stored in every layer.
  void advance(std::int64_t n_tokens);
  // Forgets everything from `length` on, if the rings still hold what the next row would look back at; else
  // forgets all. Returns the new length.
  std::int64_t truncate(std::int64_t length);

  KvView view(std::int64_t layer);
  std::size_t size_bytes() const;

  // Bytes that a cache of n_tokens takes.
  static std::size_t bytes_for(const ModelConfig& config, KvType type, std::int64_t max_chunk,
                               std::int64_t n_tokens);

 private:
  struct Layer {
    std::int64_t ring_blocks = 0;  // 0: grows
    std::vector<std::byte*> blocks;
  };

  std::byte* new_block();

  int n_kv_heads_;
  int head_dim_;
  KvType type_;
  std::int64_t length_ = 0;
  std::int64_t highest_ =
      0;  // one past the highest position ever stored: what the rings may have overwritten
  std::vector<LayerSpec> specs_;
  std::vector<Layer> layers_;
  std::vector<Buffer> memory_;   // each holds a fixed number of blocks
  std::size_t blocks_left_ = 0;  // unused blocks at the end of the last buffer
};

}  // namespace exa
