// Large zeroed buffers for weights, caches and activations, aligned for vector loads.
//
// Ownership and threads: a buffer owns its pages and gives them back; it has no locking.
// Source: kernels specification 3.1 and 3.11 (64-byte lines, cost of first touch).
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace exa {

class Buffer {
 public:
  Buffer() = default;
  // n_bytes zero bytes, aligned to 64. Pages are committed on first touch.
  // Errors: kMemory with the size.
  explicit Buffer(std::size_t n_bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        mapped_(std::exchange(other.mapped_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size_bytes() const { return size_; }
  bool empty() const { return size_ == 0; }

  // The buffer as elements of T.
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;  // bytes of the mapping, 0 where the heap holds it
};

// Bytes this process may still take: MemAvailable, or the cgroup's limit minus its use where that is less.
std::size_t available_memory_bytes();

}  // namespace exa
