// The keys and values of one sequence: a ring for each window layer, a growing list of blocks for each global
// one.
//
// Ownership and threads: a KvCache holds blocks of its pool and gives them back; one thread at a time for all
// caches of a pool.
// Source: exaone-models specification 2.6 (a ring of window − 1 + chunk rows) and 2.7; kernels/kv_block.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "kernels/kv_block.h"
#include "model/config.h"
#include "model/kv_pool.h"

namespace exa {

// What of a model decides how its keys and values are stored.
struct KvShape {
  KvShape(std::int64_t kv_heads, std::int64_t dim, std::span<const LayerSpec> specs)
      : n_kv_heads(static_cast<int>(kv_heads)), head_dim(static_cast<int>(dim)), layers(specs) {}
  KvShape(const ModelConfig& config) : KvShape(config.n_kv_heads, config.head_dim, config.layers) {}

  std::size_t block_bytes(KvType type) const { return kv_block_bytes(type, n_kv_heads, head_dim); }

  int n_kv_heads;
  int head_dim;
  std::span<const LayerSpec> layers;  // only windows count
};

class KvCache {
 public:
  // max_chunk: the most rows that one step appends; the rings keep window − 1 + max_chunk positions. pool: of
  // blocks of shape.block_bytes(type).
  KvCache(std::shared_ptr<KvPool> pool, const KvShape& shape, KvType type, std::int64_t max_chunk);
  // With a pool of its own, without a budget.
  KvCache(const KvShape& shape, KvType type, std::int64_t max_chunk)
      : KvCache(std::make_shared<KvPool>(shape.block_bytes(type)), shape, type, max_chunk) {}
  ~KvCache() { release_all(); }
  KvCache(KvCache&&) noexcept = default;
  KvCache& operator=(KvCache&&) = delete;

  // Positions stored so far: the next row stands at position length().
  std::int64_t length() const { return length_; }
  // Makes room for n_tokens (at most max_chunk) more rows in every layer. Errors: kMemory, nothing changed.
  void reserve(std::int64_t n_tokens);
  // Rows that there is room for.
  std::int64_t room() const { return reserved_ - length_; }
  // The rows of a step are stored in every layer, in the room that was made for them.
  void advance(std::int64_t n_tokens);
  // Forgets everything from `length` on, if what the next row would look back at is still stored; else from
  // the held length on, if that is shorter and still stored; else all. Returns the new length. Blocks that
  // hold nothing any more go back to the pool; room() is 0 where something was forgotten.
  std::int64_t truncate(std::int64_t length);
  // From now on truncate() can go back as far as it can now, whatever is appended, until the next hold():
  // blocks of the rings that would be overwritten are set aside, at most each ring once more.
  void hold();

  KvView view(std::int64_t layer);

  // All that is stored and held, to be read back by a cache of the same shape.
  void save(const std::function<void(std::span<const std::byte>)>& write) const;
  // Takes what save() wrote in place of what is here. Errors: those of read; kBadInput for numbers that
  // cannot be, or more than most_tokens; kMemory; the cache is empty then.
  void load(const std::function<void(std::span<std::byte>)>& read, std::int64_t most_tokens);

  // Bytes that a cache of n_tokens takes at most.
  static std::size_t bytes_for(const KvShape& shape, KvType type, std::int64_t max_chunk,
                               std::int64_t n_tokens);

 private:
  struct Layer {
    std::int64_t window = 0;       // as LayerSpec's
    std::int64_t ring_blocks = 0;  // 0: grows
    std::vector<std::byte*> blocks;
    // Of a ring: the block that stood in the slot at hold(), null: it still does.
    std::vector<std::byte*> held;
  };
  // Blocks by their positions' numbers, half-open.
  struct BlockRange {
    std::int64_t begin;
    std::int64_t end;
  };

  // Blocks of the next n_tokens rows whose slots still have what is held.
  BlockRange overwriting(const Layer& layer, std::int64_t n_tokens) const;
  std::size_t n_blocks_wanted(const Layer& layer, std::int64_t n_tokens) const;
  void release_all();
  void load_layer(Layer& layer, const std::function<void(std::span<std::byte>)>& read, std::int64_t length,
                  std::int64_t highest, std::int64_t most_tokens);
  // Gives back what was set aside: into the rings, or for other use.
  void end_hold(bool restore);
  bool rings_reach(std::int64_t length, std::int64_t highest) const;

  std::shared_ptr<KvPool> pool_;
  int n_kv_heads_;
  int head_dim_;
  KvType type_;
  std::int64_t length_ = 0;
  std::int64_t reserved_ = 0;  // positions that there are blocks for
  // One past the highest position stored since the rings were empty or restored: what they have overwritten.
  std::int64_t highest_ = 0;
  std::int64_t held_length_ = 0;  // positions before it are as they were at hold(); 0: nothing is held
  std::int64_t held_highest_ = 0;
  std::vector<Layer> layers_;
};

}  // namespace exa
