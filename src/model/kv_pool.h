// The memory of keys and values: blocks of one size, counted, taken and given back by the caches of all
// sequences.
//
// Ownership and threads: a pool owns its memory and outlives what was taken; one thread at a time.
// Source: kernels/kv_block.h (blocks are zero before their first use); PagedAttention's blocks with reference
// counts (Kwon et al. 2023, section 4.3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/memory.h"

namespace exa {

class KvPool {
 public:
  static constexpr std::size_t kNoBudget = std::numeric_limits<std::size_t>::max();

  using Allocate = std::function<Buffer(std::size_t n_bytes)>;
  // block_bytes: of each block, at least 1. budget_bytes: the most that all blocks together may take.
  // allocate: zero bytes where the blocks are used (Backend::allocate); memory of the host where empty.
  explicit KvPool(std::size_t block_bytes, std::size_t budget_bytes = kNoBudget, Allocate allocate = {})
      : block_bytes_(block_bytes), most_blocks_(budget_bytes / block_bytes), allocate_(std::move(allocate)) {}
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  std::size_t block_bytes() const { return block_bytes_; }
  // Blocks that somebody holds, and that can still be taken.
  std::size_t n_used() const { return holders_.size(); }
  std::size_t n_free() const { return most_blocks_ - n_used(); }
  // Memory fetched from the system so far. It is kept for other use.
  std::size_t size_bytes() const;

  // Errors: kMemory with the bytes needed and free, where fewer than n_blocks can be taken.
  void require(std::size_t n_blocks) const;
  // A block of zeros with one holder. Errors: as require; kMemory where the system has none.
  std::byte* take();
  // A block that was taken has one holder more, who does not write into it while there are others.
  void share(std::byte* block);
  // One holder less; the last one's block may be taken again.
  void release(std::byte* block);

 private:
  std::size_t block_bytes_;
  std::size_t most_blocks_;
  Allocate allocate_;
  std::vector<Buffer> memory_;
  std::byte* unused_ = nullptr;  // blocks at the end of the last buffer that were never taken …
  std::size_t n_unused_ = 0;     // … and how many
  std::vector<std::byte*> released_;
  std::unordered_map<std::byte*, std::int64_t> holders_;  // of each block in use, at least 1
};

}  // namespace exa
