#include "convert/quantize_stream.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/error.h"
#include "base/threads.h"
#include "convert/progress.h"
#include "kernels/quantize.h"

namespace exa {
namespace {

// What a thread takes at once, and what it has in fp32 at once: the latter stays in a core's cache.
constexpr std::uint64_t kStretchElements = std::uint64_t{1} << 20;
constexpr std::uint64_t kSliceElements = std::uint64_t{1} << 15;

bool is_limited(DType type) {
  return type == DType::kF16 || is_quantized(type);
}

struct Stretch {
  std::size_t tensor = 0;
  std::uint64_t first_row = 0;
  std::uint64_t n_rows = 0;
};

class Work {
 public:
  explicit Work(const QuantizeStream& stream)
      : stream_(stream),
        kernels_(quantize_kernels()),
        progress_(stream.tensors.size(), stream.writer.total_bytes()),
        appended_(stream.tensors.size(), 0) {}

  void work() {
    try {
      Hands hands;
      while (const std::optional<Stretch> stretch = take()) {
        encode(*stretch, hands);
        append(*stretch, hands.blocks);
      }
    } catch (...) {
      error_.capture();
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      turn_.notify_all();
    }
  }

  void finish() const {
    error_.rethrow();
  }

 private:
  // What one thread works with.
  struct Hands {
    std::size_t tensor = 0;
    std::optional<TensorReader> reader;
    std::shared_ptr<const std::vector<float>> importance;
    std::vector<std::byte> raw;
    std::vector<float> values;
    std::vector<std::byte> blocks;
  };

  std::optional<Stretch> take() {
    const std::lock_guard lock(mutex_);
    while (!stopped_ && next_ < stream_.tensors.size()) {
      const PlannedTensor& tensor = stream_.tensors[next_];
      if (next_row_ == 0) progress_.begin(next_, tensor.name, stream_.lines[next_]);
      const std::uint64_t step = std::max<std::uint64_t>(1, kStretchElements / tensor.n_cols());
      const Stretch stretch{next_, next_row_, std::min(step, tensor.n_rows() - next_row_)};
      next_row_ += stretch.n_rows;
      if (next_row_ == tensor.n_rows()) {
        ++next_;
        next_row_ = 0;
      }
      if (stretch.n_rows > 0) return stretch;
    }
    return std::nullopt;
  }

  // In the order of rows. Whoever is waited for took an earlier stretch, so somebody can always go on.
  void append(const Stretch& stretch, std::span<const std::byte> blocks) {
    {
      std::unique_lock lock(mutex_);
      turn_.wait(lock, [&] { return stopped_ || appended_[stretch.tensor] == stretch.first_row; });
      if (stopped_) return;
    }
    stream_.writer.append(stretch.tensor, blocks);
    progress_.advance(blocks.size());
    const std::lock_guard lock(mutex_);
    appended_[stretch.tensor] += stretch.n_rows;
    turn_.notify_all();
  }

  void encode(const Stretch& stretch, Hands& hands) {
    const PlannedTensor& tensor = stream_.tensors[stretch.tensor];
    const DType type = stream_.writer.tensors()[stretch.tensor].type;
    if (!hands.reader || hands.tensor != stretch.tensor) {
      hands.reader.emplace(tensor);
      hands.tensor = stretch.tensor;
      hands.importance = importance_of(stretch.tensor, type);
    }
    const std::uint64_t n_cols = tensor.n_cols();
    const std::uint64_t bytes_a_row = row_bytes(type, n_cols);
    hands.blocks.resize(static_cast<std::size_t>(stretch.n_rows * bytes_a_row));
    if (tensor.raw_type() == type) {
      hands.reader->read_raw(stretch.first_row, stretch.n_rows, hands.blocks);
      return;
    }
    const std::uint64_t rows_a_matrix = matrix_rows(tensor);
    const std::uint64_t step = std::max<std::uint64_t>(1, kSliceElements / n_cols);
    for (std::uint64_t done = 0; done < stretch.n_rows;) {
      const std::uint64_t row = stretch.first_row + done;
      // Each matrix of a stack of experts has its own importance.
      const std::uint64_t n = std::min({step, stretch.n_rows - done, rows_a_matrix - row % rows_a_matrix});
      hands.values.resize(static_cast<std::size_t>(n * n_cols));
      read_values(tensor, row, n, hands);
      if (is_limited(type)) check(stretch.tensor, row, hands.values);
      const float* importance =
          hands.importance ? hands.importance->data() + row / rows_a_matrix * n_cols : nullptr;
      kernels_.encode(type, hands.values.data(), static_cast<std::size_t>(n),
                      static_cast<std::size_t>(n_cols), importance, hands.blocks.data() + done * bytes_a_row);
      done += n;
    }
  }

  void read_values(const PlannedTensor& tensor, std::uint64_t row, std::uint64_t n, Hands& hands) const {
    const std::optional<DType> type = tensor.raw_type();
    if (type != DType::kBF16 && type != DType::kF16) {
      hands.reader->read_f32(row, n, hands.values);
      return;
    }
    hands.raw.resize(2 * hands.values.size());
    hands.reader->read_raw(row, n, hands.raw);
    const auto widen = type == DType::kBF16 ? kernels_.widen_bf16 : kernels_.widen_f16;
    widen(hands.raw.data(), hands.values.size(), hands.values.data());
  }

  void check(std::size_t number, std::uint64_t first_row, std::span<const float> values) const {
    if (kernels_.largest_magnitude(values.data(), values.size()) <= kLargestEncodable) return;
    const auto bad =
        std::ranges::find_if(values, [](float x) { return !(std::fabs(x) <= kLargestEncodable); });
    const auto index = static_cast<std::uint64_t>(bad - values.begin());
    const PlannedTensor& tensor = stream_.tensors[number];
    throw Error(ErrorKind::kBadInput,
                "found " + std::to_string(*bad) + " in row " +
                    std::to_string(first_row + index / tensor.n_cols()) + ", column " +
                    std::to_string(index % tensor.n_cols()) + ", expected magnitudes up to 65504 for " +
                    std::string(name(stream_.writer.tensors()[number].type)),
                stream_.origins[number]);
  }

  static std::uint64_t matrix_rows(const PlannedTensor& tensor) {
    return tensor.shape.size() >= 2 ? tensor.shape[tensor.shape.size() - 2] : 1;
  }

  // Shared by the threads that work on the same tensor.
  std::shared_ptr<const std::vector<float>> importance_of(std::size_t number, DType type) {
    const PlannedTensor& tensor = stream_.tensors[number];
    if (stream_.imatrix == nullptr || !is_quantized(type) || type == DType::kQ8_0) return nullptr;
    const std::lock_guard lock(importance_mutex_);
    if (importance_tensor_ == number) {
      if (auto held = importance_.lock()) return held;
    }
    auto read =
        stream_.imatrix->importance(tensor.name, tensor.n_rows() / matrix_rows(tensor), tensor.n_cols());
    if (!read) return nullptr;
    auto shared = std::make_shared<const std::vector<float>>(std::move(*read));
    importance_tensor_ = number;
    importance_ = shared;
    return shared;
  }

  const QuantizeStream& stream_;
  const QuantizeKernels& kernels_;
  TensorProgress progress_;

  std::mutex mutex_;
  std::condition_variable turn_;
  std::vector<std::uint64_t> appended_;  // rows of each tensor
  std::size_t next_ = 0;
  std::uint64_t next_row_ = 0;
  bool stopped_ = false;
  FirstError error_;

  std::mutex importance_mutex_;
  std::size_t importance_tensor_ = 0;
  std::weak_ptr<const std::vector<float>> importance_;
};

}  // namespace

void quantize_tensors(const QuantizeStream& stream, int n_threads) {
  Work work(stream);
  ThreadPool pool(n_threads);
  pool.parallel([&](int, int) { work.work(); });
  work.finish();
}

}  // namespace exa
