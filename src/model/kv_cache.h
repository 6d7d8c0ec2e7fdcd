// The keys and values of one sequence: a ring for each window layer, a growing list of blocks for each global
// one.
//
// Ownership and threads: a KvCache owns its blocks; one thread at a time.
// Source: exaone-models specification 2.6 (a ring of window − 1 + chunk rows) and 2.7; kernels/kv_block.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
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
  // Forgets everything from `length` on, if what the next row would look back at is still stored; else from
  // the held length on, if that is shorter and still stored; else all. Returns the new length.
  std::int64_t truncate(std::int64_t length);
  // From now on truncate() can go back as far as it can now, whatever is appended, until the next hold():
  // blocks of the rings that would be overwritten are set aside, at most each ring once more.
  void hold();

  KvView view(std::int64_t layer);
  std::size_t size_bytes() const;

  // All that is stored and held, to be read back by a cache of the same shape.
  void save(const std::function<void(std::span<const std::byte>)>& write) const;
  // Takes what save() wrote in place of what is here. Errors: those of read; kBadInput for numbers that
  // cannot be, or more than most_tokens; the cache is empty then.
  void load(const std::function<void(std::span<std::byte>)>& read, std::int64_t most_tokens);

  // Bytes that a cache of n_tokens takes at most.
  static std::size_t bytes_for(const ModelConfig& config, KvType type, std::int64_t max_chunk,
                               std::int64_t n_tokens);

 private:
  struct Layer {
    std::int64_t ring_blocks = 0;  // 0: grows
    std::vector<std::byte*> blocks;
    std::vector<std::byte*>
        held;  // of a ring: the block that stood in the slot at hold(), null: it still does
  };

  std::byte* new_block();
  std::size_t block_bytes() const { return kv_block_bytes(type_, n_kv_heads_, head_dim_); }
  void load_layer(Layer& layer, const std::function<void(std::span<std::byte>)>& read, std::int64_t length,
                  std::int64_t highest);
  void set_aside(Layer& layer, std::int64_t n_tokens);
  // Gives back what was set aside: into the rings, or for other use.
  void end_hold(bool restore);
  bool rings_reach(std::int64_t length, std::int64_t highest) const;

  int n_kv_heads_;
  int head_dim_;
  KvType type_;
  std::int64_t length_ = 0;
  // One past the highest position stored since the rings were empty or restored: what they have overwritten.
  std::int64_t highest_ = 0;
  std::int64_t held_length_ = 0;  // positions before it are as they were at hold(); 0: nothing is held
  std::int64_t held_highest_ = 0;
  std::vector<LayerSpec> specs_;
  std::vector<Layer> layers_;
  std::vector<Buffer> memory_;     // each holds a fixed number of blocks
  std::size_t blocks_left_ = 0;    // unused blocks at the end of the last buffer
  std::vector<std::byte*> spare_;  // used before
};

}  // namespace exa
