#include "engine/context_size.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "model/kv_cache.h"

namespace exa {
namespace {

// Left to the system, to the kernels' scratch, to pictures that are kept: all that has no place in
// MemoryNeed.
std::size_t margin(std::size_t free_bytes) {
  return (std::size_t{192} << 20) + free_bytes / 16;
}

}  // namespace

std::string readable_bytes(std::size_t n_bytes) {
  const bool large = n_bytes >= std::size_t{1} << 30;
  const std::size_t tenths = n_bytes / (large ? (std::size_t{1} << 30) / 10 : (std::size_t{1} << 20) / 10);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + (large ? " GiB" : " MiB");
}

std::int64_t choose_context(const ModelConfig& config, KvType type, std::int64_t requested,
                            const MemoryNeed& need, std::size_t free_bytes) {
  if (requested < 0) {
    throw Error(ErrorKind::kUsage,
                "the context is " + std::to_string(requested) + " tokens, expected 0 or more");
  }
  if (requested > config.max_context) {
    throw Error(ErrorKind::kUsage, "the context is " + std::to_string(requested) +
                                       " tokens, the model holds at most " +
                                       std::to_string(config.max_context));
  }
  // Weights alone that exceed the memory end in a sentence, not in the system's killer.
  if (need.weight_bytes > free_bytes) {
    throw Error(ErrorKind::kMemory, "the weights need " + readable_bytes(need.weight_bytes) + ", " +
                                        readable_bytes(free_bytes) + " of memory are free");
  }
  const std::size_t left = free_bytes - std::min(free_bytes, need.fixed_bytes());
  const std::size_t kept_back = margin(left);
  const std::size_t budget = left > kept_back ? left - kept_back : 0;
  const auto fits = [&](std::int64_t n_tokens) {
    return KvCache::bytes_for(config, type, kStepRows, n_tokens) <= budget;
  };
  const std::int64_t least = requested > 0 ? requested : std::min(kLeastContext, config.max_context);
  if (!fits(least)) {
    throw Error(ErrorKind::kMemory, "a context of " + std::to_string(least) + " tokens needs " +
                                        readable_bytes(KvCache::bytes_for(config, type, kStepRows, least)) +
                                        ", " + readable_bytes(budget) + " of memory are free after loading");
  }
  if (requested > 0) return requested;
  std::int64_t low = least;
  std::int64_t high = config.max_context;
  while (low < high) {
    const std::int64_t middle = low + (high - low + 1) / 2;
    if (fits(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace exa
