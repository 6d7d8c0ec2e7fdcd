#include "convert/tensor_stream.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>

#include "base/error.h"
#include "base/threads.h"
#include "convert/progress.h"
#include "kernels/quantize.h"

namespace exa {
namespace {

constexpr std::uint64_t kChunkBytes = std::uint64_t{1} << 20;

std::string detail(const PlannedTensor& tensor, DType type) {
  std::string shape;
  for (auto dimension = tensor.shape.rbegin(); dimension != tensor.shape.rend(); ++dimension) {
    shape += (shape.empty() ? "" : " x ") + std::to_string(*dimension);
  }
  const std::string from = tensor.pieces.front().source->description();
  const std::string to(name(type));
  return shape + ", " + (from == to ? to : from + " -> " + to);
}

class Stream {
 public:
  Stream(const std::vector<PlannedTensor>& tensors, GgufWriter& writer)
      : tensors_(tensors), writer_(writer), progress_(tensors.size(), writer.total_bytes()) {}

  void work() {
    try {
      std::vector<std::byte> bytes;
      std::vector<float> values;
      for (;;) {
        const std::size_t i = take();
        if (i >= tensors_.size()) return;
        write(i, bytes, values);
      }
    } catch (...) {
      error_.capture();
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
  }

  void finish() const {
    error_.rethrow();
  }

 private:
  // Under the lock, so that the lines appear in order.
  std::size_t take() {
    const std::lock_guard lock(mutex_);
    if (stopped_ || next_ >= tensors_.size()) return tensors_.size();
    progress_.begin(next_, tensors_[next_].name, detail(tensors_[next_], writer_.tensors()[next_].type));
    return next_++;
  }

  void write(std::size_t number, std::vector<std::byte>& bytes, std::vector<float>& values) {
    const PlannedTensor& tensor = tensors_[number];
    const DType type = writer_.tensors()[number].type;
    const bool raw = tensor.raw_type() == type;
    const std::uint64_t n_cols = tensor.n_cols();
    const std::uint64_t n_rows = tensor.n_rows();
    const std::uint64_t bytes_a_row = row_bytes(type, n_cols);
    const std::uint64_t widest_row = raw ? bytes_a_row : n_cols * sizeof(float);
    const std::uint64_t step = std::max<std::uint64_t>(1, kChunkBytes / widest_row);
    TensorReader reader(tensor);
    for (std::uint64_t row = 0; row < n_rows && !stopped_; row += step) {
      const std::uint64_t n = std::min(step, n_rows - row);
      bytes.resize(static_cast<std::size_t>(n * bytes_a_row));
      if (raw) {
        reader.read_raw(row, n, bytes);
      } else {
        values.resize(static_cast<std::size_t>(n * n_cols));
        reader.read_f32(row, n, values);
        check_encodable(tensor, type, values);
        kernels_.encode(type, values.data(), static_cast<std::size_t>(n), static_cast<std::size_t>(n_cols),
                        nullptr, bytes.data());
      }
      writer_.append(number, bytes);
      progress_.advance(bytes.size());
    }
  }

  void check_encodable(const PlannedTensor& tensor, DType type, std::span<const float> values) const {
    if (!is_quantized(type)) return;
    const float largest = kernels_.largest_magnitude(values.data(), values.size());
    if (largest <= kLargestEncodable) return;
    throw Error(ErrorKind::kBadInput,
                "the tensor holds NaN, infinity or a magnitude of " + std::to_string(largest) +
                    ", expected at most " + std::to_string(kLargestEncodable) + " for " +
                    std::string(name(type)),
                "tensor " + tensor.name);
  }

  const QuantizeKernels& kernels_ = quantize_kernels();
  const std::vector<PlannedTensor>& tensors_;
  GgufWriter& writer_;
  TensorProgress progress_;
  std::mutex mutex_;
  std::size_t next_ = 0;
  std::atomic<bool> stopped_ = false;
  FirstError error_;
};

}  // namespace

DType stored_type(const PlannedTensor& tensor, DType file_type) {
  switch (tensor.precision) {
    case TensorPrecision::kF32:
      return DType::kF32;
    case TensorPrecision::kPatchKernel:
      return file_type == DType::kF16 ? DType::kF16 : DType::kF32;
    case TensorPrecision::kFileType:
      break;
  }
  const bool fits = tensor.n_cols() % traits(file_type).block_size == 0;
  return fits ? file_type : DType::kF16;
}

std::vector<GgufTensor> stored_tensors(const std::vector<PlannedTensor>& tensors, DType file_type) {
  std::vector<GgufTensor> stored;
  for (const PlannedTensor& tensor : tensors) {
    stored.push_back({tensor.name, stored_type(tensor, file_type), tensor.shape});
  }
  return stored;
}

void stream_tensors(const std::vector<PlannedTensor>& tensors, GgufWriter& writer, int n_threads) {
  Stream stream(tensors, writer);
  ThreadPool pool(n_threads);
  pool.parallel([&](int, int) { stream.work(); });
  stream.finish();
}

}  // namespace exa
