// Keys and values of a conversation in a file, so that it goes on without being read again.
//
// A file holds the model's fingerprint, the cache as TokenCache writes it, and a checksum of it all. It
// depends on the very model file, the type of the cache and this machine's byte order; it is no format for
// exchange. Ownership and threads: free functions; the cache belongs to the caller. Source: promises G10 and
// G11 of the reliability specification (whole files, checked before they are believed).
#pragma once

#include <cstdint>
#include <filesystem>

#include "engine/token_cache.h"
#include "kernels/kv_block.h"
#include "model/pack_cache.h"

namespace exa {

// Errors: kIo.
void save_snapshot(const std::filesystem::path& path, const PackFingerprint& model, KvType type,
                   const TokenCache& cache);
// Errors: kIo; kBadInput where it is no snapshot, is broken, or is of another model or type; the cache is
// empty then, or as it was where the file could not be opened or is of another model.
void load_snapshot(const std::filesystem::path& path, const PackFingerprint& model, KvType type,
                   std::int64_t most_tokens, TokenCache& cache);

}  // namespace exa
