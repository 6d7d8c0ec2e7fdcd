#include "model/tensor_binder.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/quant.h"

namespace exa {

const TensorInfo& TensorBinder::take(const std::string& name, std::span<const std::uint64_t> shape) {
  const TensorInfo* tensor = checkpoint_.find(name);
  if (!tensor) {
    throw Error(ErrorKind::kBadInput, "expected tensor " + name + " " + shape_text(shape) + ", found none",
                checkpoint_.path().string());
  }
  if (!std::ranges::equal(tensor->shape, shape)) {
    throw Error(
        ErrorKind::kBadInput,
        "tensor " + name + " has shape " + shape_text(tensor->shape) + ", expected " + shape_text(shape),
        checkpoint_.path().string());
  }
  taken_.insert(name);
  return *tensor;
}

std::vector<float> TensorBinder::vector(const std::string& name, std::uint64_t length) {
  const TensorInfo& tensor = take(name, std::span(&length, 1));
  require_float(tensor);
  std::vector<std::byte> stored(static_cast<std::size_t>(tensor.n_bytes));
  checkpoint_.read(tensor, 0, stored);
  std::vector<float> values(static_cast<std::size_t>(length));
  decode_row(tensor.type, stored.data(), values.size(), values.data());
  advance(tensor.n_bytes);
  return values;
}

MatrixSource TensorBinder::rows(const TensorInfo& tensor, std::int64_t n_rows, std::int64_t n_cols) const {
  if (!can_decode(tensor.type)) {
    throw Error(ErrorKind::kUnsupported,
                "tensor " + tensor.name + " has type " + std::string(name(tensor.type)) +
                    ", expected F32, F16, BF16 or a block-quantized type",
                checkpoint_.path().string());
  }
  const std::uint64_t stored_bytes = row_bytes(tensor.type, static_cast<std::uint64_t>(n_cols));
  const auto read = [this, &tensor, stored_bytes](std::int64_t row, std::int64_t n, std::byte* out) {
    checkpoint_.read(tensor, static_cast<std::uint64_t>(row) * stored_bytes,
                     {out, static_cast<std::size_t>(static_cast<std::uint64_t>(n) * stored_bytes)});
  };
  return {.name = tensor.name, .type = tensor.type, .n_rows = n_rows, .n_cols = n_cols, .read = read};
}

void TensorBinder::require_float(const TensorInfo& tensor) const {
  if (tensor.type == DType::kF32 || tensor.type == DType::kF16 || tensor.type == DType::kBF16) return;
  throw Error(
      ErrorKind::kUnsupported,
      "tensor " + tensor.name + " has type " + std::string(name(tensor.type)) + ", expected F32, F16 or BF16",
      checkpoint_.path().string());
}

void TensorBinder::refuse(const TensorInfo& tensor, const std::string& place) const {
  throw Error(ErrorKind::kBadInput,
              "tensor " + tensor.name + " " + shape_text(tensor.shape) + " has no place in this " + place,
              checkpoint_.path().string());
}

void TensorBinder::advance(std::uint64_t n_bytes) {
  done_bytes_ += n_bytes;
  if (progress_) progress_(done_bytes_);
}

}  // namespace exa
