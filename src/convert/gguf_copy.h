// `exaone split` and `exaone merge`: the same tensors and keys in other files.
//
// Ownership and threads: a free function that starts its own threads.
// Source: ggml's gguf.md; llama.cpp's naming of shards.
#pragma once

#include <cstdint>
#include <filesystem>

namespace exa {

struct CopyOptions {
  std::filesystem::path input;  // a GGUF file, or any shard of a split one
  std::filesystem::path output;
  std::uint64_t split_bytes = 0;  // 0: into one file
  int n_threads = 1;
};

// Errors: as Checkpoint::open and GgufWriter; kUnsupported for an input that is no GGUF; kBadInput where an
// output is an input, or a tensor's bytes no longer have the CRC32C that the file states.
void copy_gguf(const CopyOptions& options);

}  // namespace exa
