#include "formats/peak_memory.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> held{0};
std::atomic<std::size_t> peak{0};

}  // namespace

namespace exa::test {

std::size_t held_bytes() {
  return held.load();
}
std::size_t peak_bytes() {
  return peak.load();
}
void reset_peak() {
  peak.store(held.load());
}

}  // namespace exa::test

void* operator new(std::size_t n) {
  void* block = std::malloc(n == 0 ? 1 : n);
  if (block == nullptr) throw std::bad_alloc();
  const std::size_t now = held.fetch_add(::malloc_usable_size(block)) + ::malloc_usable_size(block);
  std::size_t before = peak.load();
  while (now > before && !peak.compare_exchange_weak(before, now)) {
  }
  return block;
}

// std::stable_sort takes its buffer from this one; a sanitizer's own would not match the delete below.
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  try {
    return operator new(n);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void operator delete(void* block) noexcept {
  if (block == nullptr) return;
  held.fetch_sub(::malloc_usable_size(block));
  std::free(block);
}

void operator delete(void* block, std::size_t) noexcept {
  operator delete(block);
}
