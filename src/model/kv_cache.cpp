#include "model/kv_cache.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace exa {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{4} << 20;

std::int64_t blocks_for(std::int64_t n_positions) {
  return (n_positions + kKvBlock - 1) / kKvBlock;
}

// Rows of a chunk look back window − 1 positions; both ends may share a block with positions outside.
std::int64_t ring_blocks_for(std::int64_t window, std::int64_t max_chunk) {
  return (window - 1 + max_chunk) / kKvBlock + 2;
}

}  // namespace

KvCache::KvCache(const ModelConfig& config, KvType type, std::int64_t max_chunk)
    : n_kv_heads_(static_cast<int>(config.n_kv_heads)),
      head_dim_(static_cast<int>(config.head_dim)),
      type_(type),
      specs_(config.layers),
      layers_(config.layers.size()) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (specs_[i].window == 0) continue;
    layers_[i].ring_blocks = ring_blocks_for(specs_[i].window, max_chunk);
    layers_[i].blocks.resize(static_cast<std::size_t>(layers_[i].ring_blocks), nullptr);
    layers_[i].held.resize(layers_[i].blocks.size(), nullptr);
  }
}

std::byte* KvCache::new_block() {
  if (!spare_.empty()) {
    std::byte* const block = spare_.back();
    spare_.pop_back();
    return block;
  }
  const std::size_t per_buffer = std::max<std::size_t>(1, kBufferBytes / block_bytes());
  if (blocks_left_ == 0) {
    memory_.emplace_back(per_buffer * block_bytes());
    blocks_left_ = per_buffer;
  }
  std::byte* block = memory_.back().data() + (per_buffer - blocks_left_) * block_bytes();
  --blocks_left_;
  return block;
}

void KvCache::reserve(std::int64_t n_tokens) {
  const std::int64_t needed = blocks_for(length_ + n_tokens);
  for (Layer& layer : layers_) {
    if (layer.ring_blocks == 0) {
      while (static_cast<std::int64_t>(layer.blocks.size()) < needed) layer.blocks.push_back(new_block());
      continue;
    }
    if (held_length_ > 0) set_aside(layer, n_tokens);
    const auto used = static_cast<std::size_t>(std::min(needed, layer.ring_blocks));
    for (std::size_t i = 0; i < used; ++i) {
      if (!layer.blocks[i]) layer.blocks[i] = new_block();
    }
  }
}

void KvCache::advance(std::int64_t n_tokens) {
  length_ += n_tokens;
  highest_ = std::max(highest_, length_);
}

// The blocks that held positions stand in, before the next rows take their slots.
void KvCache::set_aside(Layer& layer, std::int64_t n_tokens) {
  const std::int64_t last_held = (held_highest_ - 1) / kKvBlock;
  const std::int64_t first = std::max(length_ / kKvBlock, std::max(last_held + 1, layer.ring_blocks));
  const std::int64_t last = std::min((length_ + n_tokens - 1) / kKvBlock, last_held + layer.ring_blocks);
  for (std::int64_t block = first; block <= last; ++block) {
    const auto slot = static_cast<std::size_t>(block % layer.ring_blocks);
    if (layer.held[slot]) continue;
    std::byte* const fresh = new_block();
    layer.held[slot] = std::exchange(layer.blocks[slot], fresh);
  }
}

void KvCache::end_hold(bool restore) {
  for (Layer& layer : layers_) {
    for (std::size_t slot = 0; slot < layer.held.size(); ++slot) {
      if (!layer.held[slot]) continue;
      if (restore) std::swap(layer.held[slot], layer.blocks[slot]);
      spare_.push_back(std::exchange(layer.held[slot], nullptr));
    }
  }
}

void KvCache::hold() {
  end_hold(false);
  held_length_ = length_;
  held_highest_ = highest_;
}

// Whether rings written up to `highest` still store what row `length` would look back at.
bool KvCache::rings_reach(std::int64_t length, std::int64_t highest) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i].ring_blocks == 0) continue;
    const std::int64_t oldest_kept = (highest - 1) / kKvBlock - layers_[i].ring_blocks + 1;
    const std::int64_t oldest_needed = std::max<std::int64_t>(0, length - specs_[i].window + 1) / kKvBlock;
    if (oldest_needed < oldest_kept) return false;
  }
  return true;
}

std::int64_t KvCache::truncate(std::int64_t length) {
  if (length >= length_) return length_;
  if (!rings_reach(length, highest_)) {
    length = std::min(length, held_length_);
    if (length > 0 && rings_reach(length, held_highest_)) {
      end_hold(true);
      highest_ = held_highest_;
    } else {
      length = 0;
    }
  }
  length_ = length;
  held_length_ = std::min(held_length_, length);
  if (length == 0) {
    end_hold(false);
    highest_ = 0;
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

std::size_t KvCache::size_bytes() const {
  std::size_t total = 0;
  for (const Buffer& buffer : memory_) total += buffer.size_bytes();
  return total;
}

void KvCache::save(const std::function<void(std::span<const std::byte>)>& write) const {
  const std::int64_t numbers[] = {length_, highest_, held_length_, held_highest_};
  write(std::as_bytes(std::span(numbers)));
  for (const Layer& layer : layers_) {
    const auto n = static_cast<std::size_t>(layer.ring_blocks == 0 ? blocks_for(length_) : layer.ring_blocks);
    for (std::size_t i = 0; i < n; ++i) {
      if (layer.ring_blocks > 0) {
        const std::byte has[] = {std::byte{layer.blocks[i] != nullptr}, std::byte{layer.held[i] != nullptr}};
        write(has);
        if (layer.held[i]) write({layer.held[i], block_bytes()});
      }
      if (layer.blocks[i]) write({layer.blocks[i], block_bytes()});
    }
  }
}

void KvCache::load_layer(Layer& layer, const std::function<void(std::span<std::byte>)>& read,
                         std::int64_t length, std::int64_t highest) {
  const bool ring = layer.ring_blocks > 0;
  const auto n = static_cast<std::size_t>(ring ? layer.ring_blocks : blocks_for(length));
  for (std::size_t i = 0; i < n; ++i) {
    std::byte has[] = {std::byte{1}, std::byte{0}};
    if (ring) {
      read(has);
      if (has[0] == std::byte{0} && static_cast<std::int64_t>(i) < blocks_for(highest)) {
        throw Error(ErrorKind::kBadInput, "a block of positions is missing");
      }
      if (has[1] != std::byte{0}) {
        layer.held[i] = new_block();
        read({layer.held[i], block_bytes()});
      }
    }
    if (has[0] == std::byte{0}) continue;
    if (i == layer.blocks.size()) layer.blocks.push_back(new_block());
    if (!layer.blocks[i]) layer.blocks[i] = new_block();
    read({layer.blocks[i], block_bytes()});
  }
}

void KvCache::load(const std::function<void(std::span<std::byte>)>& read, std::int64_t most_tokens) {
  truncate(0);
  std::int64_t numbers[4] = {};
  read(std::as_writable_bytes(std::span(numbers)));
  const auto [length, highest, held_length, held_highest] = numbers;
  const bool rising = 0 <= held_length && held_length <= length && length <= highest &&
                      highest <= most_tokens && held_length <= held_highest && held_highest <= highest;
  if (!rising) throw Error(ErrorKind::kBadInput, "the numbers of positions cannot be");
  try {
    for (Layer& layer : layers_) load_layer(layer, read, length, highest);
  } catch (...) {
    end_hold(false);
    throw;
  }
  length_ = length;
  highest_ = highest;
  held_length_ = held_length;
  held_highest_ = held_highest;
}

std::size_t KvCache::bytes_for(const ModelConfig& config, KvType type, std::int64_t max_chunk,
                               std::int64_t n_tokens) {
  std::int64_t n_blocks = 0;
  for (const LayerSpec& spec : config.layers) {
    const std::int64_t all = blocks_for(n_tokens);
    n_blocks += spec.window == 0 ? all : std::min(all, 2 * ring_blocks_for(spec.window, max_chunk));
  }
  return static_cast<std::size_t>(n_blocks) *
         kv_block_bytes(type, static_cast<int>(config.n_kv_heads), static_cast<int>(config.head_dim));
}

}  // namespace exa
