// Keys and values of a conversation in a file, so that it goes on without being read again.
//
// A file holds its origin, the cache as TokenCache writes it, and a checksum of it all. It depends on the
// very model file, the type of the cache, the path that computed it and this machine's byte order; it is no
// format for exchange. Ownership and threads: free functions; the cache belongs to the caller. Source:
// promises G10 and G11 of the reliability specification (whole files, checked before they are believed).
#pragma once

#include <cstdint>
#include <filesystem>

#include "engine/token_cache.h"
#include "exaone/engine.h"
#include "kernels/kv_block.h"
#include "model/pack_cache.h"

namespace exa {

// What keys and values follow from, besides the tokens.
struct SnapshotOrigin {
  PackFingerprint model;
  KvType type;
  PromptPath path;  // ModelInfo::prompt_path
};

// Errors: kIo.
void save_snapshot(const std::filesystem::path& path, const SnapshotOrigin& origin, const TokenCache& cache);
// Errors: kIo; kBadInput where it is no snapshot, is broken, or is of another origin; the cache is empty
// then, or as it was where the file could not be opened or is of another origin.
void load_snapshot(const std::filesystem::path& path, const SnapshotOrigin& origin, std::int64_t most_tokens,
                   TokenCache& cache);

}  // namespace exa
