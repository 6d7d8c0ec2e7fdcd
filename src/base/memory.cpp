#include "base/memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
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
constexpr std::size_t kSmallestMapping = std::size_t{128} << 10;

Error no_memory(std::size_t n_bytes) {
  return Error(ErrorKind::kMemory, "cannot allocate " + std::to_string(n_bytes >> 20) + " MiB");
}

std::size_t round_up(std::size_t n, std::size_t step) {
  return (n + step - 1) / step * step;
}

std::byte* map_anywhere(std::size_t n_bytes, int flags = 0) {
  void* const raw =
      ::mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (raw == MAP_FAILED) throw no_memory(n_bytes);
  return static_cast<std::byte*>(raw);
}

// A multiple of huge pages, at a multiple of them: mapped with room to cut both ends.
std::byte* map_aligned(std::size_t n_bytes, int flags = 0) {
  std::byte* const raw = map_anywhere(n_bytes + kHugePageBytes, flags);
  const auto start = reinterpret_cast<std::uintptr_t>(raw);
  const std::uintptr_t aligned = round_up(start, kHugePageBytes);
  if (aligned > start) ::munmap(raw, aligned - start);
  const std::size_t tail = start + kHugePageBytes - aligned;
  if (tail > 0) ::munmap(reinterpret_cast<void*>(aligned + n_bytes), tail);
  return reinterpret_cast<std::byte*>(aligned);
}

std::size_t read_number(const char* path) {
  std::ifstream file(path);
  std::size_t value = 0;
  return file >> value ? value : std::numeric_limits<std::size_t>::max();
}

// Ranges whose loss ends the process, where a signal handler finds them.
namespace loss {

constexpr int kMost = 64;

struct Slot {
  std::atomic<bool> taken{false};
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};  // 0: not to be looked at
  char line[Region::kMostLossLine];
  std::size_t line_bytes = 0;
};

Slot g_slots[kMost];
std::atomic<bool> g_ending{false};
struct sigaction g_before {};

void on_bus_error(int, siginfo_t* info, void*) {
  const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (const Slot& slot : g_slots) {
    if (at < slot.begin.load() || at >= slot.end.load()) continue;
    // The first of several threads speaks.
    while (g_ending.exchange(true)) ::pause();
    const ssize_t ignored = ::write(STDERR_FILENO, slot.line, slot.line_bytes);
    static_cast<void>(ignored);
    ::_exit(exit_code(ErrorKind::kIo));
  }
  // Not ours: the read is tried again, and whoever was here before hears of it.
  ::sigaction(SIGBUS, &g_before, nullptr);
}

int watch(const std::byte* data, std::size_t n_bytes, std::string_view line) {
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return ::sigaction(SIGBUS, &action, &g_before) == 0;
  }();
  if (!installed) return -1;
  for (int i = 0; i < kMost; ++i) {
    Slot& slot = g_slots[i];
    if (slot.taken.exchange(true)) continue;
    slot.line_bytes = std::min(line.size(), sizeof slot.line);
    std::memcpy(slot.line, line.data(), slot.line_bytes);
    slot.begin.store(reinterpret_cast<std::uintptr_t>(data));
    slot.end.store(reinterpret_cast<std::uintptr_t>(data) + n_bytes);
    return i;
  }
  return -1;
}

void forget(int slot) {
  g_slots[slot].end.store(0);
  g_slots[slot].taken.store(false);
}

}  // namespace loss

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
  // A fresh mapping is zero.
  const bool huge = n_bytes >= 2 * kHugePageBytes;
  mapped_ = huge ? round_up(n_bytes, kHugePageBytes) : n_bytes;
  data_ = huge ? map_aligned(mapped_) : map_anywhere(mapped_);
  // The last huge page would cost up to 2 MB that nobody uses.
  if (huge) ::madvise(data_, n_bytes / kHugePageBytes * kHugePageBytes, MADV_HUGEPAGE);
}

Buffer::~Buffer() {
  if (region_) return;
  if (mapped_ > 0) {
    ::munmap(data_, mapped_);
  } else {
    std::free(data_);
  }
}

Region::Region(std::size_t n_bytes, Pages pages)
    : size_(n_bytes), mapped_(round_up(std::max(n_bytes, std::size_t{1}), kHugePageBytes)) {
  if (n_bytes > std::numeric_limits<std::size_t>::max() / 2) throw no_memory(n_bytes);
  data_ = map_aligned(mapped_, MAP_NORESERVE);
  if (pages == Pages::kHuge) ::madvise(data_, mapped_, MADV_HUGEPAGE);
}

Region::Region(int fd, std::uint64_t offset, std::size_t n_bytes)
    : size_(n_bytes), mapped_(round_up(std::max(n_bytes, std::size_t{1}), kHugePageBytes)) {
  data_ = map_aligned(mapped_, MAP_NORESERVE);
  if (!replace_by_file(0, n_bytes, fd, offset)) {
    const Error error(ErrorKind::kIo, std::string("cannot map a file: ") + std::strerror(errno));
    ::munmap(data_, mapped_);
    throw error;
  }
}

Region::~Region() {
  if (loss_slot_ >= 0) loss::forget(loss_slot_);
  ::munmap(data_, mapped_);
}

void Region::end_process_on_loss(std::string_view line) {
  if (loss_slot_ < 0) loss_slot_ = loss::watch(data_, mapped_, line);
}

bool Region::replace_by_file(std::size_t begin, std::size_t n_bytes, int fd, std::uint64_t offset) {
  std::byte* const place = data_ + begin;
  if (::mmap(place, n_bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, static_cast<off_t>(offset)) ==
      MAP_FAILED) {
    return false;
  }
  // Where the page cache holds large folios they are mapped as they are; else this asks it to read such.
  ::madvise(place, n_bytes, MADV_HUGEPAGE);
  return true;
}

bool Region::collapse(std::size_t begin, std::size_t n_bytes) {
#ifdef MADV_COLLAPSE
  constexpr int kCollapse = MADV_COLLAPSE;
#else
  constexpr int kCollapse = 25;  // Linux 6.1; older systems answer EINVAL
#endif
  return ::madvise(data_ + begin, n_bytes, kCollapse) == 0;
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
