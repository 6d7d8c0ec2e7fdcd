#include "model/kv_pool.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/error.h"

namespace exa {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{4} << 20;

}  // namespace

std::size_t KvPool::size_bytes() const {
  std::size_t total = 0;
  for (const Buffer& buffer : memory_) total += buffer.size_bytes();
  return total;
}

void KvPool::require(std::size_t n_blocks) const {
  if (n_blocks <= n_free()) return;
  throw Error(ErrorKind::kMemory, "keys and values need " + std::to_string(n_blocks * block_bytes_) +
                                      " bytes more, " + std::to_string(n_free() * block_bytes_) +
                                      " are free");
}

std::byte* KvPool::take() {
  require(1);
  std::byte* block = nullptr;
  if (!released_.empty()) {
    block = released_.back();
    holders_.emplace(block, 1);
    released_.pop_back();
    std::memset(block, 0, block_bytes_);
    return block;
  }
  if (n_unused_ == 0) {
    // Without released blocks all that was fetched is in use.
    const std::size_t n_blocks = std::min(std::max<std::size_t>(1, kBufferBytes / block_bytes_), n_free());
    const std::size_t n_bytes = n_blocks * block_bytes_;
    memory_.push_back(allocate_ ? allocate_(n_bytes) : Buffer(n_bytes));
    unused_ = memory_.back().data();
    n_unused_ = n_blocks;
  }
  block = unused_;
  holders_.emplace(block, 1);
  unused_ += block_bytes_;
  --n_unused_;
  return block;
}

void KvPool::share(std::byte* block) {
  ++holders_.at(block);
}

void KvPool::release(std::byte* block) {
  const auto found = holders_.find(block);
  if (--found->second > 0) return;
  holders_.erase(found);
  released_.push_back(block);
}

}  // namespace exa
