// GGUF v2 and v3: one file's header, and the set of files a split model consists of.
//
// Ownership and threads: free functions; the result owns its files.
// Source: ggml's gguf.md; format rules 4.2 of the reliability specification.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "formats/model_files.h"

namespace exa {

struct GgufHeader {
  Metadata metadata;                // keys unique
  std::vector<TensorInfo> tensors;  // names unique, spans inside the file, in data order; file = 0
};

// Reads and proves one header. Errors: kBadInput (file, byte or key or tensor), kUnsupported (version 1 or
// big-endian, nested arrays, tensor types this program does not know).
GgufHeader read_gguf_header(const FileReader& file);

// Opens a GGUF file; where it is one shard of a split model, all of its shards.
// Errors: as read_gguf_header; kIo for a missing shard.
ModelFiles open_gguf(const std::filesystem::path& path);

}  // namespace exa
