// What every reader of a format hands to Checkpoint: open files, tensors, metadata.
//
// Ownership and threads: a value that owns its files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "formats/checkpoint.h"

namespace exa {

using Metadata = std::vector<std::pair<std::string, MetadataValue>>;

struct ModelFiles {
  std::vector<FileReader> files;    // shard order
  std::vector<TensorInfo> tensors;  // file order; every span lies inside its file, names are unique
  Metadata metadata;                // GGUF only
};

// Product of the dimensions (1 for a scalar) and the bytes a tensor of this type and shape takes.
// Errors: kBadInput where a product does not fit 64 bits or the last dimension is no multiple of the type's
// block.
std::uint64_t tensor_bytes(DType type, std::span<const std::uint64_t> shape, const std::string& where);

}  // namespace exa
