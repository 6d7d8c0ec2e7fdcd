// Large zeroed buffers for weights, caches and activations, aligned for vector loads; and regions, ranges of
// whole pages that many buffers share and that a file may stand behind.
//
// Ownership and threads: a buffer owns its pages, or a share of its region, and gives them back; it has no
// locking. A region's contents may be read while replace_by_file and collapse run.
// Source: kernels specification 3.1 and 3.11 (64-byte lines, cost of first touch); Linux madvise(2), mmap(2)
// on SIGBUS; promise G12 of the reliability specification.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace exa {

inline constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

// Small pages are touched first in a third of the time, streaming from huge ones is a sixth faster.
enum class Pages { kSmall, kHuge };

class Region {
 public:
  // n_bytes zero bytes, aligned to a huge page, committed on first touch and not reckoned before: it may be
  // larger than what will be used. Errors: kMemory with the size.
  Region(std::size_t n_bytes, Pages pages);
  // Bytes [offset, offset + n_bytes) of an open file, read-only, shared with every process that maps them;
  // offset is a multiple of kHugePageBytes, the range lies inside the file. Errors: kIo.
  Region(int fd, std::uint64_t offset, std::size_t n_bytes);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size_bytes() const { return size_; }

  // Puts the file's bytes [offset, offset + n_bytes), which equal those at `begin`, in place of anonymous
  // memory; begin and offset are multiples of kHugePageBytes. False where the system refuses.
  bool replace_by_file(std::size_t begin, std::size_t n_bytes, int fd, std::uint64_t offset);
  // From now on a read where the file behind the region has been cut writes this line to standard error and
  // ends the process with kIo's exit code; without it the system ends it by SIGBUS. At most kMostLossLine
  // bytes. The handler belongs to the process and leaves every other SIGBUS to the one that was there before.
  void end_process_on_loss(std::string_view line);
  static constexpr std::size_t kMostLossLine = 1024;
  // Moves [begin, begin + n_bytes) into huge pages. False where the system cannot.
  bool collapse(std::size_t begin, std::size_t n_bytes);

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;
  int loss_slot_ = -1;  // of end_process_on_loss
};

class Buffer {
 public:
  Buffer() = default;
  // Bytes [offset, offset + n_bytes) of a region, which lives at least as long; offset is a multiple of 64.
  Buffer(std::shared_ptr<Region> region, std::size_t offset, std::size_t n_bytes)
      : data_(region->data() + offset), size_(n_bytes), region_(std::move(region)) {}
  // n_bytes zero bytes, aligned to 64. Pages are committed on first touch.
  // Errors: kMemory with the size.
  explicit Buffer(std::size_t n_bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        mapped_(std::exchange(other.mapped_, 0)),
        region_(std::move(other.region_)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_, other.mapped_);
    std::swap(region_, other.region_);
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
  std::size_t mapped_ = 0;          // bytes of the mapping, 0 where the heap or a region holds it
  std::shared_ptr<Region> region_;  // whose bytes these are, or none
};

// Bytes this process may still take: MemAvailable, or the cgroup's limit minus its use where that is less.
std::size_t available_memory_bytes();

}  // namespace exa
