#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <vector>

#include "base/error.h"
#include "base/work_shares.h"
#include "kernels/backend.h"
#include "kernels/cpu_attention.h"
#include "kernels/isa/isa.h"
#include "kernels/isa/matmul.h"
#include "kernels/isa/ops.h"
#include "kernels/quant.h"

namespace exa {
namespace {

// Fewer elements than this are done on the caller: waking the pool would cost more.
constexpr std::int64_t kInlineElements = 8192;
// Elementwise work is cut into pieces of at most this many floats.
constexpr std::int64_t kPiece = 1024;
// A worker's run of a matrix product in so many parts, none below kLeastWeightBytes: few rows read the
// weights and little else; many rows may be copied or packed anew for each part.
constexpr std::size_t kPartsOfFewRows = 8;
constexpr std::size_t kPartsOfManyRows = 4;
constexpr std::int64_t kFewRows = 16;
constexpr std::size_t kLeastWeightBytes = 32768;

std::size_t to_size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}
std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

// The first error of a job's workers, carried to the caller.
class FirstError {
 public:
  bool seen() const { return seen_.load(std::memory_order_relaxed); }
  void capture() {
    if (!seen_.exchange(true)) error_ = std::current_exception();
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic<bool> seen_{false};
  std::exception_ptr error_;
};

void grow(Buffer& buffer, std::size_t n_bytes) {
  if (buffer.size_bytes() < n_bytes) buffer = Buffer(n_bytes);
}

// cos and sin of the rows of the last call: q, k and every layer of a step ask for the same ones.
class RopeTable {
 public:
  bool holds(const RopeFrequencies& rope, const std::int64_t* positions, std::int64_t n_tokens) const {
    return inverse_.size() == to_size(rope.head_dim / 2) && positions_.size() == to_size(n_tokens) &&
           std::equal(inverse_.begin(), inverse_.end(), rope.inverse) &&
           std::equal(positions_.begin(), positions_.end(), positions);
  }

  void resize(const RopeFrequencies& rope, const std::int64_t* positions, std::int64_t n_tokens) {
    inverse_.assign(rope.inverse, rope.inverse + rope.head_dim / 2);
    positions_.assign(positions, positions + n_tokens);
    cos_.resize(inverse_.size() * positions_.size());
    sin_.resize(cos_.size());
  }

  // The angle is rounded to fp32 as Hugging Face does; its cosine and sine are those of that angle.
  void fill(std::int64_t row) {
    const std::size_t half = inverse_.size();
    const auto position = static_cast<float>(positions_[to_size(row)]);
    for (std::size_t j = 0; j < half; ++j) {
      const float angle = position * inverse_[j];
      cos_[to_size(row) * half + j] = static_cast<float>(std::cos(static_cast<double>(angle)));
      sin_[to_size(row) * half + j] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }

  const float* cos(std::int64_t row) const { return cos_.data() + to_size(row) * inverse_.size(); }
  const float* sin(std::int64_t row) const { return sin_.data() + to_size(row) * inverse_.size(); }

 private:
  std::vector<float> inverse_;
  std::vector<std::int64_t> positions_;
  std::vector<float> cos_;
  std::vector<float> sin_;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(ThreadPool& pool, Isa isa, PromptSpeed prompts)
      : pool_(pool),
        prompts_(prompts),
        ops_(ops_kernels(isa)),
        matmul_(matmul_kernels(isa)),
        attention_(pool, attention_kernels(isa)),
        shares_(pool.n_threads()),
        scratch_(to_size(pool.n_threads())) {}

  Matrix pack(const MatrixSource& source, Precision precision) override;
  void embed(const Matrix& table, std::span<const std::int32_t> ids, float* x,
             std::int64_t x_stride) override;
  void matmul(const float* x, std::int64_t x_stride, std::int64_t n_tokens,
              std::span<const MatmulTarget> targets, std::int64_t n_prompt) override;
  void rmsnorm(const float* x, std::int64_t x_stride, std::int64_t n_tokens, std::int64_t width,
               const float* weight, float eps, float* y, std::int64_t y_stride) override;
  void rmsnorm_add(const float* x, std::int64_t x_stride, std::int64_t n_tokens, std::int64_t width,
                   const float* weight, float eps, float* residual, std::int64_t residual_stride) override;
  void add(const float* x, std::int64_t x_stride, std::int64_t n_tokens, std::int64_t width, float* residual,
           std::int64_t residual_stride) override;
  void norm_rope_heads(float* x, std::int64_t x_stride, std::int64_t n_tokens, int n_heads, int head_dim,
                       const float* weight, float eps, const RopeFrequencies* rope,
                       const std::int64_t* positions) override;
  void append_kv(const AttentionSlice& slice, const float* k, std::int64_t k_stride, const float* v,
                 std::int64_t v_stride) override {
    attention_.append({&slice, 1}, k, k_stride, v, v_stride);
  }
  void attention(std::span<const AttentionSlice> slices, const float* q, std::int64_t q_stride, int n_heads,
                 std::int64_t window, float* out, std::int64_t out_stride) override {
    attention_.attend(slices, q, q_stride, n_heads, window, out, out_stride);
  }
  void attention_both_ways(std::span<const AttentionSegment> segments, const AttentionRows& kv,
                           const float* q, std::int64_t q_stride, int n_heads, float* out,
                           std::int64_t out_stride) override {
    attention_.attend_both_ways(segments, kv, q, q_stride, n_heads, out, out_stride);
  }
  void silu_mul(float* gate, std::int64_t gate_stride, const float* up, std::int64_t up_stride,
                std::int64_t n_tokens, std::int64_t width) override;
  void rotate_heads(float* x, std::int64_t x_stride, std::int64_t n_tokens, int n_heads, int head_dim,
                    const float* cos, const float* sin) override;
  void gelu(float* x, std::int64_t x_stride, std::int64_t n_tokens, std::int64_t width) override;

 private:
  // f(item) for items [0, n_items), each of about `elements` floats, on the pool where that pays.
  template <typename F>
  void for_items(std::int64_t n_items, std::int64_t elements, F&& f) {
    if (n_items <= 1 || n_items * elements < kInlineElements) {
      for (std::int64_t i = 0; i < n_items; ++i) f(i);
      return;
    }
    shares_.deal(to_size(n_items), to_size(std::max<std::int64_t>(1, kInlineElements / elements)));
    pool_.parallel([&](int worker, int) {
      for (WorkRange range; shares_.take(worker, range);) {
        for (std::size_t i = range.begin; i < range.end; ++i) f(static_cast<std::int64_t>(i));
      }
    });
  }

  // f(row, first column, columns) over pieces of n_tokens rows of `width`.
  template <typename F>
  void for_pieces(std::int64_t n_tokens, std::int64_t width, F&& f) {
    const std::int64_t pieces = ceil_div(width, kPiece);
    for_items(n_tokens * pieces, std::min(width, kPiece), [&](std::int64_t i) {
      const std::int64_t column = i % pieces * kPiece;
      f(i / pieces, column, std::min(kPiece, width - column));
    });
  }

  void grow_scratch(std::size_t n_bytes) {
    for (Buffer& buffer : scratch_) grow(buffer, n_bytes);
  }
  std::byte* scratch(int worker) { return scratch_[static_cast<std::size_t>(worker)].data(); }

  ThreadPool& pool_;
  PromptSpeed prompts_;
  const OpsKernels& ops_;
  const MatmulKernels& matmul_;
  CpuAttention attention_;
  WorkShares shares_;            // of the job at hand
  std::vector<Buffer> scratch_;  // one a worker
  Buffer activations_;           // quantized rows of one matmul
  Buffer chunks_;                // its fp32 rows, in chunks
  Buffer prompt_activations_;    // its prompt rows, prepared
  RopeTable rope_;
};

// The layout of a source's matrix with nothing in it. Errors: kUnsupported, kMemory, naming the source.
Matrix empty_matrix(const MatrixSource& source, DType type) {
  if (!can_decode(source.type)) {
    throw Error(ErrorKind::kUnsupported, "no kernel multiplies type " + std::string(name(source.type)),
                source.name);
  }
  if (source.n_rows < 1 || source.n_cols < 1) {
    throw Error(ErrorKind::kUnsupported,
                "expected at least one row and column, found " + std::to_string(source.n_rows) + " x " +
                    std::to_string(source.n_cols),
                source.name);
  }
  const std::uint32_t block = traits(source.type).block_size;
  if (source.n_cols % block != 0) {
    throw Error(
        ErrorKind::kUnsupported,
        "expected columns in blocks of " + std::to_string(block) + ", found " + std::to_string(source.n_cols),
        source.name);
  }
  Matrix matrix;
  matrix.type = type;
  matrix.n_rows = source.n_rows;
  matrix.n_cols = source.n_cols;
  try {
    matrix.row_block_bytes = row_block_bytes(type, source.n_cols);
    std::size_t n_bytes = 0;
    if (__builtin_mul_overflow(to_size(matrix.n_row_blocks()), matrix.row_block_bytes, &n_bytes)) {
      throw Error(ErrorKind::kMemory, "its size does not fit into 64 bits");
    }
    matrix.bytes = source.allocate ? source.allocate(n_bytes) : Buffer(n_bytes);
  } catch (const Error& error) {
    throw Error(error.kind(), error.message(), source.name);
  }
  return matrix;
}

Matrix CpuBackend::pack(const MatrixSource& source, Precision precision) {
  const bool decodes = precision == Precision::kExact && uses_int8_activations(source.type);
  Matrix matrix = empty_matrix(source, decodes ? DType::kF32 : source.type);
  const std::size_t stored_bytes = row_bytes(source.type, static_cast<std::uint64_t>(source.n_cols));
  const std::size_t decoded_bytes = to_size(source.n_cols) * sizeof(float);
  FirstError first_error;
  pool_.parallel([&](int worker, int n_workers) {
    try {
      const WorkRange range = work_range(to_size(matrix.n_row_blocks()), worker, n_workers);
      if (range.begin == range.end) return;
      std::vector<std::byte> stored(to_size(kRowBlock) * stored_bytes);
      std::vector<float> decoded(decodes ? to_size(kRowBlock * source.n_cols) : 0);
      for (std::size_t b = range.begin; b < range.end && !first_error.seen(); ++b) {
        const auto row = static_cast<std::int64_t>(b) * kRowBlock;
        const std::int64_t n = std::min(kRowBlock, source.n_rows - row);
        source.read(row, n, stored.data());
        for (std::int64_t i = 0; decodes && i < n; ++i) {
          decode_row(source.type, stored.data() + to_size(i) * stored_bytes, to_size(source.n_cols),
                     decoded.data() + i * source.n_cols);
        }
        const std::byte* rows = decodes ? reinterpret_cast<const std::byte*>(decoded.data()) : stored.data();
        pack_row_block(matrix.type, source.n_cols, rows, decodes ? decoded_bytes : stored_bytes,
                       static_cast<int>(n), matrix.bytes.data() + b * matrix.row_block_bytes);
      }
    } catch (...) {
      first_error.capture();
    }
  });
  first_error.rethrow();
  return matrix;
}

void CpuBackend::embed(const Matrix& table, std::span<const std::int32_t> ids, float* x,
                       std::int64_t x_stride) {
  for_items(static_cast<std::int64_t>(ids.size()), table.n_cols,
            [&](std::int64_t i) { unpack_row(table, ids[to_size(i)], x + i * x_stride); });
}

void CpuBackend::matmul(const float* x, std::int64_t x_stride, std::int64_t n_tokens,
                        std::span<const MatmulTarget> targets, std::int64_t n_prompt) {
  if (targets.empty() || n_tokens == 0) return;
  const std::int64_t n_cols = targets.front().weight->n_cols;
  // Rows before it take the path for prompts.
  const auto first_plain_row = [&](const Matrix& weight) {
    return matmul_.has_prompt_path(weight.type) ? n_prompt : 0;
  };
  const auto takes_fast_path = [&](const MatmulTarget& target) {
    return prompts_ == PromptSpeed::kFast && matmul_.has_fast_prompt_path != nullptr &&
           !target.has_outliers && matmul_.has_fast_prompt_path(target.weight->type);
  };
  const auto reads_chunks = [&](const Matrix& weight) {
    return matmul_.reads_chunks != nullptr && !uses_int8_activations(weight.type) &&
           matmul_.reads_chunks(weight.type, n_tokens - first_plain_row(weight));
  };
  std::int64_t first_quantized = n_tokens;
  std::int64_t first_chunked = n_tokens;
  std::size_t total_bytes = 0;
  std::size_t scratch_bytes = 0;
  for (const MatmulTarget& target : targets) {
    if (uses_int8_activations(target.weight->type)) {
      first_quantized = std::min(first_quantized, first_plain_row(*target.weight));
    } else if (reads_chunks(*target.weight)) {
      first_chunked = std::min(first_chunked, first_plain_row(*target.weight));
    }
    total_bytes += to_size(target.weight->n_row_blocks()) * target.weight->row_block_bytes;
    scratch_bytes = std::max(scratch_bytes, matmul_scratch_bytes(*target.weight));
  }
  grow_scratch(scratch_bytes);
  const bool prepares = matmul_.prepare_prompt != nullptr && n_prompt > 0 &&
                        std::ranges::any_of(targets, [&](const MatmulTarget& target) {
                          return first_plain_row(*target.weight) > 0;
                        });
  if (prepares) {
    grow(prompt_activations_, matmul_.prompt_bytes(n_prompt, n_cols));
    for_items(n_prompt, n_cols, [&](std::int64_t i) {
      matmul_.prepare_prompt(x + i * x_stride, n_cols, i, prompt_activations_.data());
    });
  }
  const bool quantizes = first_quantized < n_tokens;
  const std::size_t quantized_stride = quantizes ? quantized_row_bytes(n_cols) : 0;
  if (quantizes) {
    grow(activations_, to_size(n_tokens) * quantized_stride);
    for_items(n_tokens - first_quantized, n_cols, [&](std::int64_t item) {
      const std::int64_t i = first_quantized + item;
      matmul_.quantize_row(x + i * x_stride, n_cols, activations_.data() + to_size(i) * quantized_stride);
    });
  }
  const std::int64_t n_chunked = n_tokens - first_chunked;
  if (n_chunked > 0) {
    grow(chunks_, chunked_bytes(n_chunked, n_cols));
    for_items(n_chunked, n_cols, [&](std::int64_t i) {
      copy_to_chunks(x + (first_chunked + i) * x_stride, n_cols, i, n_chunked, chunks_.as<float>());
    });
  }
  const std::size_t parts = n_tokens <= kFewRows ? kPartsOfFewRows : kPartsOfManyRows;
  shares_.deal(total_bytes,
               std::max(kLeastWeightBytes, total_bytes / (parts * to_size(pool_.n_threads())) + 1));
  // A part of all targets' bytes one after another.
  const auto multiply_part = [&](const WorkRange& part, std::byte* its_scratch) {
    std::size_t begin = 0;  // of the target, in bytes of the whole
    for (const MatmulTarget& target : targets) {
      const Matrix& weight = *target.weight;
      const std::size_t block_bytes = weight.row_block_bytes;
      const std::size_t n_blocks = to_size(weight.n_row_blocks());
      // A block belongs to the part in which it begins.
      const auto first_block_from = [&](std::size_t offset) {
        return offset <= begin ? 0 : std::min(n_blocks, (offset - begin + block_bytes - 1) / block_bytes);
      };
      const std::size_t first = first_block_from(part.begin);
      const std::size_t last = first_block_from(part.end);
      begin += n_blocks * block_bytes;
      if (first >= last) continue;
      const auto first_block = static_cast<std::int64_t>(first);
      const auto last_block = static_cast<std::int64_t>(last);
      const auto* floats = reinterpret_cast<const std::byte*>(x);
      const std::size_t float_stride = to_size(x_stride) * sizeof(float);
      const std::int64_t row = first_plain_row(weight);
      if (row > 0) {
        const auto multiply = takes_fast_path(target) ? matmul_.matmul_fast_prompt : matmul_.matmul_prompt;
        multiply(weight, first_block, last_block, prepares ? prompt_activations_.data() : floats,
                 float_stride, row, target.y, target.y_stride, its_scratch);
      }
      if (row == n_tokens) continue;
      const std::byte* plain = floats + to_size(row) * float_stride;
      std::size_t stride = float_stride;
      if (uses_int8_activations(weight.type)) {
        plain = activations_.data() + to_size(row) * quantized_stride;
        stride = quantized_stride;
      } else if (reads_chunks(weight)) {
        plain = reinterpret_cast<std::byte*>(chunks_.as<float>() + (row - first_chunked) * kChunkStride);
        stride = chunk_bytes(n_chunked);
      }
      matmul_.matmul(weight, first_block, last_block, plain, stride, n_tokens - row,
                     target.y + row * target.y_stride, target.y_stride, its_scratch);
    }
  };
  pool_.parallel([&](int worker, int) {
    for (WorkRange part; shares_.take(worker, part);) multiply_part(part, scratch(worker));
  });
}

void CpuBackend::rmsnorm(const float* x, std::int64_t x_stride, std::int64_t n_tokens, std::int64_t width,
                         const float* weight, float eps, float* y, std::int64_t y_stride) {
  for_items(n_tokens, width,
            [&](std::int64_t i) { ops_.rmsnorm(x + i * x_stride, width, weight, eps, y + i * y_stride); });
}

void CpuBackend::rmsnorm_add(const float* x, std::int64_t x_stride, std::int64_t n_tokens, std::int64_t width,
                             const float* weight, float eps, float* residual, std::int64_t residual_stride) {
  for_items(n_tokens, width, [&](std::int64_t i) {
    ops_.rmsnorm_add(x + i * x_stride, width, weight, eps, residual + i * residual_stride);
  });
}

void CpuBackend::add(const float* x, std::int64_t x_stride, std::int64_t n_tokens, std::int64_t width,
                     float* residual, std::int64_t residual_stride) {
  for_pieces(n_tokens, width, [&](std::int64_t row, std::int64_t column, std::int64_t n) {
    ops_.add(x + row * x_stride + column, n, residual + row * residual_stride + column);
  });
}

void CpuBackend::silu_mul(float* gate, std::int64_t gate_stride, const float* up, std::int64_t up_stride,
                          std::int64_t n_tokens, std::int64_t width) {
  for_pieces(n_tokens, width, [&](std::int64_t row, std::int64_t column, std::int64_t n) {
    ops_.silu_mul(gate + row * gate_stride + column, up + row * up_stride + column, n);
  });
}

void CpuBackend::norm_rope_heads(float* x, std::int64_t x_stride, std::int64_t n_tokens, int n_heads,
                                 int head_dim, const float* weight, float eps, const RopeFrequencies* rope,
                                 const std::int64_t* positions) {
  if (rope != nullptr && !rope_.holds(*rope, positions, n_tokens)) {
    rope_.resize(*rope, positions, n_tokens);
    // A sine and a cosine take as long as some 20 elements of anything else.
    for_items(n_tokens, head_dim * std::int64_t{20}, [&](std::int64_t row) { rope_.fill(row); });
  }
  for_items(n_tokens * n_heads, head_dim, [&](std::int64_t i) {
    const std::int64_t row = i / n_heads;
    float* head = x + row * x_stride + i % n_heads * head_dim;
    if (weight != nullptr) ops_.rmsnorm(head, head_dim, weight, eps, head);
    if (rope != nullptr) ops_.rope(head, head_dim, rope_.cos(row), rope_.sin(row));
  });
}

void CpuBackend::rotate_heads(float* x, std::int64_t x_stride, std::int64_t n_tokens, int n_heads,
                              int head_dim, const float* cos, const float* sin) {
  for_items(n_tokens, std::int64_t{n_heads} * head_dim, [&](std::int64_t row) {
    const std::int64_t pair = row * (head_dim / 2);
    for (std::int64_t head = 0; head < n_heads; ++head) {
      ops_.rope(x + row * x_stride + head * head_dim, head_dim, cos + pair, sin + pair);
    }
  });
}

void CpuBackend::gelu(float* x, std::int64_t x_stride, std::int64_t n_tokens, std::int64_t width) {
  for_pieces(n_tokens, width, [&](std::int64_t row, std::int64_t column, std::int64_t n) {
    float* const values = x + row * x_stride + column;
    for (std::int64_t i = 0; i < n; ++i) {
      values[i] = 0.5f * values[i] * (1.0f + std::erf(values[i] * 0.70710678118654752f));
    }
  });
}

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(ThreadPool& pool, PromptSpeed prompts) {
  return std::make_unique<CpuBackend>(pool, choose_isa(), prompts);
}

bool has_fast_prompts() {
  return matmul_kernels(choose_isa()).matmul_fast_prompt != nullptr;
}

}  // namespace exa
