// What the API calls a type of the cache, and what the kernels call it.
//
// Ownership and threads: pure functions. Source: kernels/kv_block.h.
#pragma once

#include "exaone/engine.h"
#include "kernels/kv_block.h"

namespace exa {

constexpr KvType to_kv_type(CacheType type) {
  switch (type) {
    case CacheType::kF16:
      return KvType::kF16;
    case CacheType::kQ8_0:
      return KvType::kQ8;
    case CacheType::kBF16:
      break;
  }
  return KvType::kBF16;
}

}  // namespace exa
