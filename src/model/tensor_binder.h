// Takes tensors out of a checkpoint one by one, each with the shape that the config demands, and remembers
// which: what load_weights and load_vision_weights bind with.
//
// Ownership and threads: borrows the checkpoint; one thread.
// Source: reliability specification 4.3 (what is checked).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "formats/checkpoint.h"
#include "kernels/backend.h"

namespace exa {

class TensorBinder {
 public:
  using Progress = std::function<void(std::uint64_t done_bytes)>;
  // progress is called with the bytes read so far, on the calling thread; may be empty.
  TensorBinder(const Checkpoint& checkpoint, Progress progress)
      : checkpoint_(checkpoint), progress_(std::move(progress)) {}

  // Errors: kBadInput for a missing tensor or another shape (tensor, expected, found).
  const TensorInfo& take(const std::string& name, std::span<const std::uint64_t> shape);
  // Its values in fp32. Errors: as take and require_float.
  std::vector<float> vector(const std::string& name, std::uint64_t length);
  // A taken tensor as rows that a backend packs. The tensor outlives the source. Errors: kUnsupported for a
  // type the kernels cannot decode.
  MatrixSource rows(const TensorInfo& tensor, std::int64_t n_rows, std::int64_t n_cols) const;

  // Errors: kUnsupported where it is not stored as F32, F16 or BF16.
  void require_float(const TensorInfo& tensor) const;
  // A tensor that nobody took. Errors: kBadInput, always.
  [[noreturn]] void refuse(const TensorInfo& tensor, const std::string& place) const;
  bool was_taken(const std::string& name) const { return taken_.contains(name); }
  // So many more bytes have been read.
  void advance(std::uint64_t n_bytes);

 private:
  const Checkpoint& checkpoint_;
  Progress progress_;
  std::uint64_t done_bytes_ = 0;
  std::unordered_set<std::string> taken_;
};

}  // namespace exa
