// A GGUF v3 file in the making: metadata and tensor list first, then the tensors' bytes in any order.
//
// Layout is fixed at construction: one file, or shards of at most a given size that llama.cpp and Checkpoint
// read as one model. Every tensor's CRC32C is kept and written as the key exa.tensor_crc32c,
// with what binds the sums to these tensors (formats/tensor_list_sum.h).
// Ownership and threads: the writer owns its temporary files; several threads may append, each to tensors of
// its own. Nothing stands under a final name before commit(); destroyed without it, the writer leaves
// nothing. Source: ggml's gguf.md; llama.cpp's naming of shards; promises G8, G10 of the reliability
// specification.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/file.h"
#include "convert/gguf_metadata.h"

namespace exa {

struct GgufTensor {
  std::string name;                  // at most 63 bytes
  DType type;                        // one that GGUF knows
  std::vector<std::uint64_t> shape;  // row-major, slowest first; 1 to 4 dimensions
};

class GgufWriter {
 public:
  // split_bytes: a shard ends before the tensor that would take it past this many bytes of tensors; 0: one
  // file. With shards the files are named STEM-00001-of-0000N.gguf after `path` = STEM.gguf. first_tensors:
  // where another shard begins in any case, ascending. Errors: kIo (folder not writable, not enough free
  // space), kBadInput for a name or type GGUF cannot hold.
  GgufWriter(const std::filesystem::path& path, GgufMetadata metadata, std::vector<GgufTensor> tensors,
             std::uint64_t split_bytes, const std::vector<std::size_t>& first_tensors = {});
  ~GgufWriter();
  GgufWriter(const GgufWriter&) = delete;
  GgufWriter& operator=(const GgufWriter&) = delete;

  std::span<const GgufTensor> tensors() const { return tensors_; }
  std::uint64_t tensor_bytes(std::size_t tensor) const { return places_[tensor].n_bytes; }
  // Of the bytes appended so far.
  std::uint32_t tensor_crc32c(std::size_t tensor) const { return places_[tensor].crc; }
  std::uint64_t total_bytes() const;  // of all tensors
  std::vector<std::filesystem::path> paths() const;

  // The next bytes of a tensor. Errors: kIo; kInternal past the tensor's end.
  void append(std::size_t tensor, std::span<const std::byte> bytes);

  // Writes the headers and gives the files their names, the first shard last.
  // Errors: kIo; kInternal where a tensor's bytes are not all there.
  void commit();

 private:
  struct Place {
    std::size_t file = 0;
    std::uint64_t offset = 0;  // in the file's data section
    std::uint64_t n_bytes = 0;
    std::uint64_t written = 0;
    std::uint32_t crc = 0;
  };
  struct Shard {
    std::filesystem::path path;
    std::size_t first_tensor = 0;
    std::size_t n_tensors = 0;
    std::uint64_t header_bytes = 0;  // padded: where the data begins
    std::uint64_t data_bytes = 0;
    std::unique_ptr<AtomicFile> file;
  };

  void lay_out(std::uint64_t split_bytes, const std::vector<std::size_t>& first_tensors);
  std::string header(std::size_t shard) const;

  GgufMetadata metadata_;
  std::vector<GgufTensor> tensors_;
  std::vector<Place> places_;
  std::vector<Shard> shards_;
};

// STEM-00002-of-00003.gguf for number 1 (counted from 0) of 3.
std::filesystem::path shard_path(const std::filesystem::path& path, std::size_t number, std::size_t count);

}  // namespace exa
