// Importance matrices as llama.cpp's tools exchange them: for each weight, the sums of squares of what went
// into each of its columns, and over how many tokens.
//
// Ownership and threads: values; an ImatrixFile owns its file, const members may be called from several
// threads. Source: llama.cpp's GGUF imatrix files (tensors NAME.in_sum2 and NAME.counts, keys imatrix.*).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"

namespace exa {

struct ImatrixEntry {
  std::string name;          // of the weight: "blk.0.attn_q.weight"
  std::uint64_t n_cols = 0;  // of the weight
  std::vector<float> sums;   // [n_matrices, n_cols] sums of squares; several matrices where there are experts
  std::vector<float> counts;  // [n_matrices] tokens
};

struct Imatrix {
  std::vector<std::string> datasets;
  std::uint32_t n_chunks = 0;
  std::uint32_t chunk_tokens = 0;
  std::vector<ImatrixEntry> entries;
};

// Atomically. Errors: kIo; kInternal where an entry's sums are not counts.size() * n_cols.
void write_imatrix(const std::filesystem::path& path, const Imatrix& imatrix);

class ImatrixFile {
 public:
  // Errors: as Checkpoint::open; kBadInput where it is no imatrix or a weight's tensors do not belong
  // together.
  static ImatrixFile open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return checkpoint_.path(); }
  std::size_t n_entries() const { return names_.size(); }
  std::vector<std::string> datasets() const;
  std::uint32_t n_chunks() const;
  std::uint32_t chunk_tokens() const;

  bool has(std::string_view weight) const;
  // One entry as the file holds it. Errors: kIo; kBadInput for numbers that are negative or none.
  ImatrixEntry read(std::string_view weight) const;
  // The mean squares [n_matrices, n_cols] of a weight of that shape, each matrix scaled to a mean of 1 and
  // nowhere below 1e-4; all ones for a matrix no token came to. Nothing where the file does not have the
  // weight. Errors: as read; kBadInput for another shape (weight, expected, found).
  std::optional<std::vector<float>> importance(std::string_view weight, std::uint64_t n_matrices,
                                               std::uint64_t n_cols) const;

 private:
  ImatrixFile(Checkpoint checkpoint, std::vector<std::string> names)
      : checkpoint_(std::move(checkpoint)), names_(std::move(names)) {}

  Checkpoint checkpoint_;
  std::vector<std::string> names_;  // sorted
};

}  // namespace exa
