// What a model file to be written consists of: its tensors in file order, and for each where its numbers come
// from. `convert` streams a plan as it is, `quantize` of a folder streams the same plan through its encoders.
//
//   TensorPlan plan = plan_huggingface(checkpoint, options);        // hf_to_gguf.h
//   for (const PlannedTensor& tensor : plan.tensors) {
//     TensorReader reader(tensor);                                  // one a thread and tensor
//     reader.read_f32(first_row, n_rows, values);                   // ascending rows are fastest
//   }
//
// Ownership and threads: a plan is immutable and borrows the checkpoint it was made from; each thread brings
// its own TensorReader, and memory stays within what a reader was asked for plus its scratch (about 16 MiB).
// Source: exaone-models specification 7.6.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "convert/gguf_metadata.h"
#include "formats/checkpoint.h"

namespace exa {

// Working memory of one reader.
struct RowScratch {
  std::vector<std::byte> bytes;
  // A band of rows kept for the next call by sources that are stored the other way round.
  std::vector<std::byte> band;
  const void* band_owner = nullptr;
  std::uint64_t band_first = 0;
  std::uint64_t band_rows = 0;
};

// A matrix [n_rows, n_cols] as some file stores it. Immutable.
class RowSource {
 public:
  virtual ~RowSource() = default;
  // Rows [first, first + n) into out[n * n_cols]. Errors: kIo, kBadInput.
  virtual void read_f32(std::uint64_t first, std::uint64_t n, float* out, RowScratch& scratch) const = 0;
  // The plain type whose bytes read_raw gives unchanged; nothing where the source must be decoded.
  virtual std::optional<DType> raw_type() const { return std::nullopt; }
  virtual void read_raw(std::uint64_t first, std::uint64_t n, std::byte* out) const;
  // "BF16", "int4 group 128", … for the progress line.
  virtual std::string description() const = 0;
};

// A tensor stored plainly (F32, F16, BF16), seen as rows of n_cols elements.
std::shared_ptr<const RowSource> plain_rows(const Checkpoint& checkpoint, const TensorInfo& tensor,
                                            std::uint64_t n_cols);
// Numbers that were computed.
std::shared_ptr<const RowSource> computed_rows(std::vector<float> values, std::uint64_t n_cols);

enum class TensorPart : std::uint8_t { kText, kDraft, kVision };

enum class TensorPrecision : std::uint8_t {
  kFileType,     // what the file's type says
  kF32,          // in every file: norms, biases, routers, rotary factors
  kPatchKernel,  // F16 in F16 files, else F32
};

struct PlannedTensor {
  // Consecutive rows of the tensor that come from one source.
  struct Piece {
    std::shared_ptr<const RowSource> source;
    std::uint64_t first_row = 0;  // in the source
    std::uint64_t n_rows = 0;
  };

  std::string name;                  // GGUF
  std::vector<std::uint64_t> shape;  // row-major, slowest first: [out, in], [experts, out, in], …
  TensorPart part = TensorPart::kText;
  TensorPrecision precision = TensorPrecision::kFileType;
  std::vector<Piece> pieces;  // their rows add up to n_rows()

  std::uint64_t n_rows() const;  // product of all dimensions but the last
  std::uint64_t n_cols() const { return shape.back(); }
  std::uint64_t n_elements() const { return n_rows() * n_cols(); }
  // The type every piece is plainly stored in; nothing where one must be decoded or they differ.
  std::optional<DType> raw_type() const;
};

struct TensorPlan {
  GgufMetadata metadata;  // all keys but those that the type of the file decides (general.file_type)
  std::vector<PlannedTensor> tensors;
};

class TensorReader {
 public:
  explicit TensorReader(const PlannedTensor& tensor) : tensor_(&tensor) {}

  // Rows [first, first + n_rows) into out, n_rows * n_cols values. Errors: as the sources'.
  void read_f32(std::uint64_t first, std::uint64_t n_rows, std::span<float> out);
  // The stored bytes of these rows, in tensor.raw_type().
  void read_raw(std::uint64_t first, std::uint64_t n_rows, std::span<std::byte> out) const;

 private:
  template <typename Visit>
  void visit_pieces(std::uint64_t first, std::uint64_t n_rows, Visit visit) const;

  const PlannedTensor* tensor_;
  RowScratch scratch_;
};

}  // namespace exa
