#include "convert/tensor_plan.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/quant.h"

namespace exa {
namespace {

class PlainRows : public RowSource {
 public:
  PlainRows(const Checkpoint& checkpoint, const TensorInfo& tensor, std::uint64_t n_cols)
      : checkpoint_(&checkpoint), tensor_(&tensor), n_cols_(n_cols) {}

  void read_f32(std::uint64_t first, std::uint64_t n, float* out, RowScratch& scratch) const override {
    const auto n_elements = static_cast<std::size_t>(n * n_cols_);
    scratch.bytes.resize(static_cast<std::size_t>(row_bytes(tensor_->type, n * n_cols_)));
    read_raw(first, n, scratch.bytes.data());
    decode_row(tensor_->type, scratch.bytes.data(), n_elements, out);
  }
  std::optional<DType> raw_type() const override { return tensor_->type; }
  void read_raw(std::uint64_t first, std::uint64_t n, std::byte* out) const override {
    const auto n_bytes = static_cast<std::size_t>(row_bytes(tensor_->type, n * n_cols_));
    checkpoint_->read(*tensor_, row_bytes(tensor_->type, first * n_cols_), std::span(out, n_bytes));
  }
  std::string description() const override { return std::string(name(tensor_->type)); }

 private:
  const Checkpoint* checkpoint_;
  const TensorInfo* tensor_;
  std::uint64_t n_cols_;
};

class ComputedRows : public RowSource {
 public:
  ComputedRows(std::vector<float> values, std::uint64_t n_cols)
      : values_(std::move(values)), n_cols_(n_cols) {}

  void read_f32(std::uint64_t first, std::uint64_t n, float* out, RowScratch&) const override {
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(first * n_cols_), n * n_cols_, out);
  }
  std::string description() const override { return "computed"; }

 private:
  std::vector<float> values_;
  std::uint64_t n_cols_;
};

}  // namespace

void RowSource::read_raw(std::uint64_t, std::uint64_t, std::byte*) const {
  throw Error(ErrorKind::kInternal, "raw rows asked of a source that must be decoded", description());
}

std::shared_ptr<const RowSource> plain_rows(const Checkpoint& checkpoint, const TensorInfo& tensor,
                                            std::uint64_t n_cols) {
  return std::make_shared<PlainRows>(checkpoint, tensor, n_cols);
}

std::shared_ptr<const RowSource> computed_rows(std::vector<float> values, std::uint64_t n_cols) {
  return std::make_shared<ComputedRows>(std::move(values), n_cols);
}

std::uint64_t PlannedTensor::n_rows() const {
  std::uint64_t product = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) product *= shape[i];
  return product;
}

std::optional<DType> PlannedTensor::raw_type() const {
  const std::optional<DType> type = pieces.front().source->raw_type();
  for (const Piece& piece : pieces) {
    if (piece.source->raw_type() != type) return std::nullopt;
  }
  return type;
}

template <typename Visit>
void TensorReader::visit_pieces(std::uint64_t first, std::uint64_t n_rows, Visit visit) const {
  std::uint64_t begin = 0;  // of the piece, in the tensor
  for (const PlannedTensor::Piece& piece : tensor_->pieces) {
    const std::uint64_t low = std::max(first, begin);
    const std::uint64_t high = std::min(first + n_rows, begin + piece.n_rows);
    if (low < high) visit(*piece.source, piece.first_row + (low - begin), high - low, low - first);
    begin += piece.n_rows;
    if (begin >= first + n_rows) return;
  }
  throw Error(ErrorKind::kInternal, "rows asked for past the tensor's end", "tensor " + tensor_->name);
}

void TensorReader::read_f32(std::uint64_t first, std::uint64_t n_rows, std::span<float> out) {
  const std::uint64_t n_cols = tensor_->n_cols();
  visit_pieces(first, n_rows,
               [&](const RowSource& source, std::uint64_t row, std::uint64_t n, std::uint64_t done) {
                 source.read_f32(row, n, out.data() + done * n_cols, scratch_);
               });
}

void TensorReader::read_raw(std::uint64_t first, std::uint64_t n_rows, std::span<std::byte> out) const {
  const std::uint64_t bytes_a_row = out.size() / n_rows;
  visit_pieces(first, n_rows,
               [&](const RowSource& source, std::uint64_t row, std::uint64_t n, std::uint64_t done) {
                 source.read_raw(row, n, out.data() + done * bytes_a_row);
               });
}

}  // namespace exa
