#include "model/kv_cache.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"

namespace exa {
namespace {

std::int64_t blocks_for(std::int64_t n_positions) {
  return (n_positions + kKvBlock - 1) / kKvBlock;
}

// Rows of a chunk look back window − 1 positions; both ends may share a block with positions outside.
std::int64_t ring_blocks_for(std::int64_t window, std::int64_t max_chunk) {
  return (window - 1 + max_chunk) / kKvBlock + 2;
}

}  // namespace

KvCache::KvCache(std::shared_ptr<KvPool> pool, const KvShape& shape, KvType type, std::int64_t max_chunk)
    : pool_(std::move(pool)),
      n_kv_heads_(shape.n_kv_heads),
      head_dim_(shape.head_dim),
      type_(type),
      layers_(shape.layers.size()) {
  if (pool_->block_bytes() != shape.block_bytes(type)) {
    throw Error(ErrorKind::kInternal, "a pool of blocks of " + std::to_string(pool_->block_bytes()) +
                                          " bytes, expected " + std::to_string(shape.block_bytes(type)));
  }
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].window = shape.layers[i].window;
    if (layers_[i].window == 0) continue;
    layers_[i].ring_blocks = ring_blocks_for(layers_[i].window, max_chunk);
    layers_[i].blocks.resize(static_cast<std::size_t>(layers_[i].ring_blocks), nullptr);
    layers_[i].held.resize(layers_[i].blocks.size(), nullptr);
  }
}

KvCache::BlockRange KvCache::overwriting(const Layer& layer, std::int64_t n_tokens) const {
  if (held_length_ == 0) return {0, 0};
  const std::int64_t last_held = (held_highest_ - 1) / kKvBlock;
  return {std::max(length_ / kKvBlock, std::max(last_held + 1, layer.ring_blocks)),
          std::min(blocks_for(length_ + n_tokens), last_held + layer.ring_blocks + 1)};
}

std::size_t KvCache::n_blocks_wanted(const Layer& layer, std::int64_t n_tokens) const {
  const std::int64_t needed = blocks_for(length_ + n_tokens);
  const auto n_here = static_cast<std::int64_t>(layer.blocks.size());
  if (layer.ring_blocks == 0) return static_cast<std::size_t>(std::max<std::int64_t>(0, needed - n_here));
  const auto used = static_cast<std::ptrdiff_t>(std::min(needed, layer.ring_blocks));
  auto wanted = std::count(layer.blocks.begin(), layer.blocks.begin() + used, nullptr);
  const BlockRange range = overwriting(layer, n_tokens);
  for (std::int64_t block = range.begin; block < range.end; ++block) {
    wanted += layer.held[static_cast<std::size_t>(block % layer.ring_blocks)] == nullptr;
  }
  return static_cast<std::size_t>(wanted);
}

void KvCache::reserve(std::int64_t n_tokens) {
  if (n_tokens <= room()) return;
  std::size_t wanted = 0;
  for (const Layer& layer : layers_) wanted += n_blocks_wanted(layer, n_tokens);
  pool_->require(wanted);
  const std::int64_t needed = blocks_for(length_ + n_tokens);
  for (Layer& layer : layers_) {
    if (layer.ring_blocks == 0) {
      while (static_cast<std::int64_t>(layer.blocks.size()) < needed) layer.blocks.push_back(pool_->take());
      continue;
    }
    // The blocks that held positions stand in, before the next rows take their slots.
    const BlockRange range = overwriting(layer, n_tokens);
    for (std::int64_t block = range.begin; block < range.end; ++block) {
      const auto slot = static_cast<std::size_t>(block % layer.ring_blocks);
      if (layer.held[slot]) continue;
      std::byte* const fresh = pool_->take();
      layer.held[slot] = std::exchange(layer.blocks[slot], fresh);
    }
    const auto used = static_cast<std::size_t>(std::min(needed, layer.ring_blocks));
    for (std::size_t i = 0; i < used; ++i) {
      if (!layer.blocks[i]) layer.blocks[i] = pool_->take();
    }
  }
  reserved_ = length_ + n_tokens;
}

void KvCache::advance(std::int64_t n_tokens) {
  length_ += n_tokens;
  highest_ = std::max(highest_, length_);
}

void KvCache::end_hold(bool restore) {
  for (Layer& layer : layers_) {
    for (std::size_t slot = 0; slot < layer.held.size(); ++slot) {
      if (!layer.held[slot]) continue;
      if (restore) std::swap(layer.held[slot], layer.blocks[slot]);
      pool_->release(std::exchange(layer.held[slot], nullptr));
    }
  }
}

void KvCache::hold() {
  end_hold(false);
  held_length_ = length_;
  held_highest_ = highest_;
  reserved_ = length_;
}

void KvCache::release_all() {
  end_hold(false);
  for (Layer& layer : layers_) {
    for (std::byte*& block : layer.blocks) {
      if (block) pool_->release(std::exchange(block, nullptr));
    }
    if (layer.ring_blocks == 0) layer.blocks.clear();
  }
  length_ = reserved_ = highest_ = held_length_ = held_highest_ = 0;
}

// Whether rings written up to `highest` still store what row `length` would look back at.
bool KvCache::rings_reach(std::int64_t length, std::int64_t highest) const {
  for (const Layer& layer : layers_) {
    if (layer.ring_blocks == 0) continue;
    const std::int64_t oldest_kept = (highest - 1) / kKvBlock - layer.ring_blocks + 1;
    const std::int64_t oldest_needed = std::max<std::int64_t>(0, length - layer.window + 1) / kKvBlock;
    if (oldest_needed < oldest_kept) return false;
  }
  return true;
}

std::int64_t KvCache::truncate(std::int64_t length) {
  if (length > 0 && length >= length_) return length_;
  if (!rings_reach(length, highest_)) {
    length = std::min(length, held_length_);
    if (length > 0 && rings_reach(length, held_highest_)) {
      end_hold(true);
      highest_ = held_highest_;
    } else {
      length = 0;
    }
  }
  if (length == 0) {
    release_all();
    return 0;
  }
  length_ = reserved_ = length;
  held_length_ = std::min(held_length_, length);
  for (Layer& layer : layers_) {
    if (layer.ring_blocks > 0) continue;
    for (; static_cast<std::int64_t>(layer.blocks.size()) > blocks_for(length); layer.blocks.pop_back()) {
      pool_->release(layer.blocks.back());
    }
  }
  return length_;
}

KvView KvCache::view(std::int64_t layer) {
  Layer& l = layers_[static_cast<std::size_t>(layer)];
  return {.type = type_,
          .n_kv_heads = n_kv_heads_,
          .head_dim = head_dim_,
          .blocks = l.blocks.data(),
          .n_blocks = static_cast<std::int64_t>(l.blocks.size())};
}

void KvCache::save(const std::function<void(std::span<const std::byte>)>& write) const {
  const std::int64_t numbers[] = {length_, highest_, held_length_, held_highest_};
  write(std::as_bytes(std::span(numbers)));
  for (const Layer& layer : layers_) {
    const auto n = static_cast<std::size_t>(layer.ring_blocks == 0 ? blocks_for(length_) : layer.ring_blocks);
    for (std::size_t i = 0; i < n; ++i) {
      if (layer.ring_blocks > 0) {
        const bool stored = static_cast<std::int64_t>(i) < blocks_for(highest_);
        const std::byte has[] = {std::byte{stored}, std::byte{layer.held[i] != nullptr}};
        write(has);
        if (layer.held[i]) write({layer.held[i], pool_->block_bytes()});
        if (!stored) continue;
      }
      write({layer.blocks[i], pool_->block_bytes()});
    }
  }
}

void KvCache::load_layer(Layer& layer, const std::function<void(std::span<std::byte>)>& read,
                         std::int64_t length, std::int64_t highest, std::int64_t most_tokens) {
  const bool ring = layer.ring_blocks > 0;
  const std::int64_t n = ring ? layer.ring_blocks : blocks_for(length);
  const std::int64_t most = blocks_for(most_tokens);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto slot = static_cast<std::size_t>(i);
    std::byte has[] = {std::byte{1}, std::byte{0}};
    if (ring) {
      read(has);
      if (has[0] == std::byte{0} && i < blocks_for(highest)) {
        throw Error(ErrorKind::kBadInput, "a block of positions is missing");
      }
      if ((has[0] != std::byte{0} && i >= most) || (has[1] != std::byte{0} && i + n >= most)) {
        throw Error(ErrorKind::kBadInput, "there are blocks beyond the last position");
      }
      if (has[1] != std::byte{0}) {
        layer.held[slot] = pool_->take();
        read({layer.held[slot], pool_->block_bytes()});
      }
    }
    if (has[0] == std::byte{0}) continue;
    std::byte* const block = pool_->take();
    if (ring) {
      layer.blocks[slot] = block;
    } else {
      layer.blocks.push_back(block);
    }
    read({block, pool_->block_bytes()});
  }
}

void KvCache::load(const std::function<void(std::span<std::byte>)>& read, std::int64_t most_tokens) {
  release_all();
  std::int64_t numbers[4] = {};
  read(std::as_writable_bytes(std::span(numbers)));
  const auto [length, highest, held_length, held_highest] = numbers;
  const bool rising = 0 <= held_length && held_length <= length && length <= highest &&
                      highest <= most_tokens && held_length <= held_highest && held_highest <= highest;
  if (!rising) throw Error(ErrorKind::kBadInput, "the numbers of positions cannot be");
  try {
    for (Layer& layer : layers_) load_layer(layer, read, length, highest, most_tokens);
  } catch (...) {
    release_all();
    throw;
  }
  length_ = reserved_ = length;
  highest_ = highest;
  held_length_ = held_length;
  held_highest_ = held_highest;
}

std::size_t KvCache::bytes_for(const KvShape& shape, KvType type, std::int64_t max_chunk,
                               std::int64_t n_tokens) {
  std::int64_t n_blocks = 0;
  for (const LayerSpec& spec : shape.layers) {
    const std::int64_t all = blocks_for(n_tokens);
    n_blocks += spec.window == 0 ? all : std::min(all, 2 * ring_blocks_for(spec.window, max_chunk));
  }
  return static_cast<std::size_t>(n_blocks) * shape.block_bytes(type);
}

}  // namespace exa
