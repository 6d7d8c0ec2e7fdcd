#include "base/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>

#include "base/error.h"

namespace exa {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kSmallestMapping = std::size_t{128} << 10;

Error no_memory(std::size_t n_bytes) {
  return Error(ErrorKind::kMemory, "cannot allocate " + std::to_string(n_bytes >> 20) + " MiB");
}

std::size_t read_number(const char* path) {
  std::ifstream file(path);
  std::size_t value = 0;
  return file >> value ? value : std::numeric_limits<std::size_t>::max();
}

}  // namespace

Buffer::Buffer(std::size_t n_bytes) : size_(n_bytes) {
  if (n_bytes == 0) return;
  if (n_bytes > std::numeric_limits<std::size_t>::max() / 2) throw no_memory(n_bytes);
  if (n_bytes < kSmallestMapping) {
    const std::size_t rounded = (n_bytes + kLine - 1) / kLine * kLine;
    data_ = static_cast<std::byte*>(std::aligned_alloc(kLine, rounded));
    if (!data_) throw no_memory(n_bytes);
    std::memset(data_, 0, rounded);
    return;
  }
  // A fresh mapping is zero. A large one is mapped with room to cut both ends, so that huge pages can back
  // it: streaming weights from them is a sixth faster than from small ones.
  const bool huge = n_bytes >= 2 * kHugePage;
  const std::size_t wanted = huge ? (n_bytes + kHugePage - 1) / kHugePage * kHugePage : n_bytes;
  const std::size_t slack = huge ? kHugePage : 0;
  void* const raw =
      ::mmap(nullptr, wanted + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) throw no_memory(n_bytes);
  data_ = static_cast<std::byte*>(raw);
  mapped_ = wanted;
  if (!huge) return;
  const auto start = reinterpret_cast<std::uintptr_t>(raw);
  const std::uintptr_t aligned = (start + kHugePage - 1) / kHugePage * kHugePage;
  if (aligned > start) ::munmap(raw, aligned - start);
  const std::size_t tail = start + kHugePage - aligned;
  if (tail > 0) ::munmap(reinterpret_cast<void*>(aligned + wanted), tail);
  data_ = reinterpret_cast<std::byte*>(aligned);
  // The last huge page would cost up to 2 MB that nobody uses.
  ::madvise(data_, n_bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
}

Buffer::~Buffer() {
  if (mapped_ > 0) {
    ::munmap(data_, mapped_);
  } else {
    std::free(data_);
  }
}

std::size_t available_memory_bytes() {
  std::size_t available = std::numeric_limits<std::size_t>::max();
  std::ifstream meminfo("/proc/meminfo");
  std::string line;
  while (std::getline(meminfo, line)) {
    constexpr std::string_view kKey = "MemAvailable:";
    if (!line.starts_with(kKey)) continue;
    std::size_t kib = 0;
    for (const char c : line) {
      if (c >= '0' && c <= '9') kib = kib * 10 + static_cast<std::size_t>(c - '0');
    }
    available = kib * 1024;
  }
  const std::size_t limit = read_number("/sys/fs/cgroup/memory.max");
  const std::size_t used = read_number("/sys/fs/cgroup/memory.current");
  if (limit != std::numeric_limits<std::size_t>::max() && used != std::numeric_limits<std::size_t>::max()) {
    available = std::min(available, limit > used ? limit - used : 0);
  }
  return available;
}

}  // namespace exa
