// The words for what the keys and values of the context are kept as, the same in every subcommand.
//
// Ownership and threads: constants. Source: llama.cpp's --cache-type-k.
#pragma once

#include <string_view>

#include "exaone/engine.h"

namespace exa {

struct CacheTypeName {
  std::string_view name;
  CacheType type;
};
inline constexpr CacheTypeName kCacheTypes[] = {
    {"bf16", CacheType::kBF16}, {"f16", CacheType::kF16}, {"q8_0", CacheType::kQ8_0}};

}  // namespace exa
