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
#include "kernels/matmul_plan.h"
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

// Another order of packed bytes (kernels/matrix.h, kernels/pack.cpp), another name.
constexpr std::string_view kPackedLayout = "P16/1";

std::size_t to_size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}
std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

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
        isa_(isa),
        prompts_(prompts),
        ops_(ops_kernels(isa)),
        matmul_(matmul_kernels(isa)),
        attention_(pool, attention_kernels(isa)),
        shares_(pool.n_threads()),
        scratch_(to_size(pool.n_threads())) {}

  std::string_view description() const override { return name(isa_); }
  Buffer allocate(std::size_t n_bytes) override { return Buffer(n_bytes); }
  Matrix pack(const MatrixSource& source, Precision precision) override;
  std::size_t packed_bytes(DType type, std::int64_t n_rows, std::int64_t n_cols,
                           Precision precision) const override;
  std::string_view layout() const override { return kPackedLayout; }
  std::optional<Matrix> adopt(const MatrixSource& source, Buffer packed) override;
  void put_rows(std::span<const GivenRow> given, std::int64_t width, float* x,
                std::int64_t x_stride) override {
    for (const GivenRow& row : given) std::copy_n(row.values, width, x + row.row * x_stride);
  }
  void gather_rows(const float* x, std::int64_t x_stride, std::span<const std::int64_t> rows,
                   std::int64_t width, float* y, std::int64_t y_stride) override;
  std::span<const float> get_rows(const float* x, std::int64_t n_rows, std::int64_t width) override {
    return {x, to_size(n_rows * width)};
  }
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
  void append_kv(std::span<const AttentionSlice> slices, const float* k, std::int64_t k_stride,
                 const float* v, std::int64_t v_stride) override {
    attention_.append(slices, k, k_stride, v, v_stride);
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

  // The rows of a product in the forms that its plan wants beside the fp32 ones.
  void prepare_rows(const MatmulPlan& plan, const float* x, std::int64_t x_stride, std::int64_t n_cols);
  // Row blocks [first, last) of one target, all rows.
  void multiply(const MatmulPlan& plan, const MatmulTarget& target, std::int64_t first_block,
                std::int64_t last_block, const float* x, std::int64_t x_stride, std::byte* scratch) const;

  ThreadPool& pool_;
  Isa isa_;
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

// Decoded where it is to be exact and int8 activations would not be.
DType packed_type(DType type, Precision precision) {
  return precision == Precision::kExact && uses_int8_activations(type) ? DType::kF32 : type;
}

// The layout of a source's matrix with nothing in it, and its size. Errors: kUnsupported, kMemory, naming the
// source.
Matrix shape_of(const MatrixSource& source, DType type) {
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
  return {.type = type,
          .n_rows = source.n_rows,
          .n_cols = source.n_cols,
          .row_block_bytes = row_block_bytes(type, source.n_cols),
          .bytes = {}};
}

std::size_t CpuBackend::packed_bytes(DType type, std::int64_t n_rows, std::int64_t n_cols,
                                     Precision precision) const {
  const auto n_blocks = to_size(ceil_div(n_rows, kRowBlock));
  std::size_t n_bytes = 0;
  if (__builtin_mul_overflow(n_blocks, row_block_bytes(packed_type(type, precision), n_cols), &n_bytes)) {
    throw Error(ErrorKind::kMemory, "its size does not fit into 64 bits");
  }
  return n_bytes;
}

std::optional<Matrix> CpuBackend::adopt(const MatrixSource& source, Buffer packed) {
  Matrix matrix = shape_of(source, source.type);
  if (packed.size_bytes() !=
      packed_bytes(source.type, source.n_rows, source.n_cols, Precision::kProduction)) {
    return std::nullopt;
  }
  matrix.bytes = std::move(packed);
  const std::int64_t last = matrix.n_row_blocks() - 1;
  const std::int64_t row = last * kRowBlock;
  const std::int64_t n = matrix.n_rows - row;
  const std::size_t stored_bytes = row_bytes(source.type, static_cast<std::uint64_t>(source.n_cols));
  std::vector<std::byte> stored(to_size(kRowBlock) * stored_bytes);
  std::vector<std::byte> expected(matrix.row_block_bytes);
  source.read(row, n, stored.data());
  pack_row_block(matrix.type, matrix.n_cols, stored.data(), stored_bytes, static_cast<int>(n),
                 expected.data());
  if (std::memcmp(expected.data(), matrix.row_block(last), expected.size()) != 0) return std::nullopt;
  return matrix;
}

Matrix CpuBackend::pack(const MatrixSource& source, Precision precision) {
  const DType type = packed_type(source.type, precision);
  const bool decodes = type != source.type;
  Matrix matrix = shape_of(source, type);
  try {
    const std::size_t n_bytes = packed_bytes(source.type, source.n_rows, source.n_cols, precision);
    matrix.bytes = source.allocate ? source.allocate(n_bytes) : allocate(n_bytes);
  } catch (const Error& error) {
    throw Error(error.kind(), error.message(), source.name);
  }
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

void CpuBackend::gather_rows(const float* x, std::int64_t x_stride, std::span<const std::int64_t> rows,
                             std::int64_t width, float* y, std::int64_t y_stride) {
  for_items(static_cast<std::int64_t>(rows.size()), width,
            [&](std::int64_t i) { std::copy_n(x + rows[to_size(i)] * x_stride, width, y + i * y_stride); });
}

void CpuBackend::prepare_rows(const MatmulPlan& plan, const float* x, std::int64_t x_stride,
                              std::int64_t n_cols) {
  if (plan.n_prepared() > 0) {
    grow(prompt_activations_, matmul_.prompt_bytes(plan.n_prepared(), n_cols));
    for_items(plan.n_prepared(), n_cols, [&](std::int64_t i) {
      matmul_.prepare_prompt(x + i * x_stride, n_cols, i, prompt_activations_.data());
    });
  }
  const std::int64_t first_quantized = plan.first_quantized();
  if (first_quantized < plan.n_tokens()) {
    const std::size_t stride = quantized_row_bytes(n_cols);
    grow(activations_, to_size(plan.n_tokens()) * stride);
    for_items(plan.n_tokens() - first_quantized, n_cols, [&](std::int64_t item) {
      const std::int64_t i = first_quantized + item;
      matmul_.quantize_row(x + i * x_stride, n_cols, activations_.data() + to_size(i) * stride);
    });
  }
  if (plan.n_chunked() > 0) {
    grow(chunks_, chunked_bytes(plan.n_chunked(), n_cols));
    for_items(plan.n_chunked(), n_cols, [&](std::int64_t i) {
      copy_to_chunks(x + (plan.first_chunked() + i) * x_stride, n_cols, i, plan.n_chunked(),
                     chunks_.as<float>());
    });
  }
}

void CpuBackend::multiply(const MatmulPlan& plan, const MatmulTarget& target, std::int64_t first_block,
                          std::int64_t last_block, const float* x, std::int64_t x_stride,
                          std::byte* scratch) const {
  const MatmulPlan::Rows rows = plan.rows(target);
  const auto* const floats = reinterpret_cast<const std::byte*>(x);
  const std::size_t float_stride = to_size(x_stride) * sizeof(float);
  if (rows.n_prompt > 0) {
    const auto function = rows.fast ? matmul_.matmul_fast_prompt : matmul_.matmul_prompt;
    function(*target.weight, first_block, last_block,
             plan.n_prepared() > 0 ? prompt_activations_.data() : floats, float_stride, rows.n_prompt,
             target.y, target.y_stride, scratch);
  }
  const std::int64_t n_plain = plan.n_tokens() - rows.n_prompt;
  if (n_plain == 0) return;
  const std::byte* plain = nullptr;
  std::size_t stride = 0;
  switch (rows.form) {
    case MatmulPlan::Form::kFloats:
      stride = float_stride;
      plain = floats + to_size(rows.n_prompt) * stride;
      break;
    case MatmulPlan::Form::kChunks: {
      const std::int64_t place = (rows.n_prompt - plan.first_chunked()) * kChunkStride;
      stride = chunk_bytes(plan.n_chunked());
      plain = reinterpret_cast<const std::byte*>(chunks_.as<float>() + place);
      break;
    }
    case MatmulPlan::Form::kInt8:
      stride = quantized_row_bytes(target.weight->n_cols);
      plain = activations_.data() + to_size(rows.n_prompt) * stride;
      break;
  }
  matmul_.matmul(*target.weight, first_block, last_block, plain, stride, n_plain,
                 target.y + rows.n_prompt * target.y_stride, target.y_stride, scratch);
}

void CpuBackend::matmul(const float* x, std::int64_t x_stride, std::int64_t n_tokens,
                        std::span<const MatmulTarget> targets, std::int64_t n_prompt) {
  if (targets.empty() || n_tokens == 0) return;
  const MatmulPlan plan(matmul_, prompts_, targets, n_tokens, n_prompt);
  for (Buffer& buffer : scratch_) grow(buffer, plan.scratch_bytes());
  prepare_rows(plan, x, x_stride, targets.front().weight->n_cols);
  const std::size_t parts = n_tokens <= kFewRows ? kPartsOfFewRows : kPartsOfManyRows;
  const std::size_t part_bytes = plan.weight_bytes() / (parts * to_size(pool_.n_threads())) + 1;
  shares_.deal(plan.weight_bytes(), std::max(kLeastWeightBytes, part_bytes));
  // A part of all targets' bytes one after another.
  const auto multiply_part = [&](const WorkRange& part, std::byte* its_scratch) {
    std::size_t begin = 0;  // of the target, in bytes of the whole
    for (const MatmulTarget& target : targets) {
      const std::size_t block_bytes = target.weight->row_block_bytes;
      const std::size_t n_blocks = to_size(target.weight->n_row_blocks());
      // A block belongs to the part in which it begins.
      const auto first_block_from = [&](std::size_t offset) {
        return offset <= begin ? 0 : std::min(n_blocks, (offset - begin + block_bytes - 1) / block_bytes);
      };
      const std::size_t first = first_block_from(part.begin);
      const std::size_t last = first_block_from(part.end);
      begin += n_blocks * block_bytes;
      if (first >= last) continue;
      multiply(plan, target, static_cast<std::int64_t>(first), static_cast<std::int64_t>(last), x, x_stride,
               its_scratch);
    }
  };
  pool_.parallel([&](int worker, int) {
    std::byte* const its_scratch = scratch_[to_size(worker)].data();
    for (WorkRange part; shares_.take(worker, part);) multiply_part(part, its_scratch);
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
