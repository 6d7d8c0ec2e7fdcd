// How many tokens an engine is set up for: what was asked, or what fits into memory.
//
// Ownership and threads: pure functions.
// Source: exaone-models specification 2.7 (cache sizes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/kv_block.h"
#include "model/config.h"
#include "model/memory_need.h"

namespace exa {

inline constexpr std::int64_t kLeastContext = 512;

// requested: 0 takes the most that fits, at most the model's own limit. free_bytes: before anything is
// loaded, of which need.fixed_bytes() go to what is no cache. Errors: kUsage where more is requested than the
// model holds; kMemory with both numbers where the weights, the request, or even kLeastContext do not fit.
std::int64_t choose_context(const ModelConfig& config, KvType type, std::int64_t requested,
                            const MemoryNeed& need, std::size_t free_bytes);

// "1.5 GiB", "24.0 MiB"
std::string readable_bytes(std::size_t n_bytes);

}  // namespace exa
