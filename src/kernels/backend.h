// The verbs of a transformer's page: what model/decoder says, whatever device does it.
//
// Activations are fp32 rows, one token a row, `stride` floats apart. Bits of a row never depend on how many
// rows stand beside it, on the number of threads or on how a prompt is cut into chunks (docs/numerics.md).
// Ownership and threads: a Backend owns its device resources (the CPU one borrows a ThreadPool); one thread
// calls it. Source: the verbs of exaone-models specification 2; fusion and order of operations from kernels
// specification 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/threads.h"
#include "kernels/kv_block.h"
#include "kernels/matrix.h"

namespace exa {

// Where a matrix comes from: `read` fills whole stored rows [row, row + n) and may be called from several
// threads.
struct MatrixSource {
  std::string name;  // for errors
  DType type;
  std::int64_t n_rows;
  std::int64_t n_cols;
  std::function<void(std::int64_t row, std::int64_t n, std::byte* out)> read;
  // Memory for the packed matrix, zero; empty: a buffer of its own.
  std::function<Buffer(std::size_t n_bytes)> allocate = {};
};

enum class Precision {
  kProduction,  // weights in their stored type, activations int8 per 32 where the weight is quantized
  kExact,       // weights decoded to fp32, everything in fp32
};

struct MatmulTarget {
  const Matrix* weight;
  float* y;               // [n_tokens, weight->n_rows]
  std::int64_t y_stride;  // floats from row to row
  // The inputs have channels far larger than the rest (what enters the down projection): they share no scale
  // with many others.
  bool has_outliers = false;
};

// One sequence's share of an attention call.
struct AttentionSlice {
  KvView kv;
  std::int64_t first_row;  // its first row in q and out
  std::int64_t n_tokens;   // its rows; row i stands at position first_position + i
  std::int64_t first_position;
};

// A row whose values are given instead of computed: a picture's.
struct GivenRow {
  std::int64_t row;
  const float* values;
};

// Consecutive rows that see each other, before and behind, and nothing else: an image, or one window of it.
struct AttentionSegment {
  std::int64_t first_row;
  std::int64_t n_rows;  // at least 1
};

// Keys and values beside the queries, no cache: rows of all heads, `stride` floats apart.
struct AttentionRows {
  const float* k;  // [rows, n_kv_heads, head_dim]
  std::int64_t k_stride;
  const float* v;
  std::int64_t v_stride;
  int n_kv_heads;
  int head_dim;  // a multiple of 16
  KvType type;   // what keys and values are rounded to: kBF16, or kF32 for exact results
};

// cos and sin of a rotary embedding, per pair of dimensions.
struct RopeFrequencies {
  const float* inverse;  // [head_dim / 2], scaling applied
  int head_dim;
};

class Backend {
 public:
  virtual ~Backend() = default;

  // What computes, for people: the instruction set or the device.
  virtual std::string_view description() const = 0;

  // n_bytes zero bytes that the verbs read and write: activations, blocks of keys and values. Errors:
  // kMemory.
  virtual Buffer allocate(std::size_t n_bytes) = 0;

  // Errors: kUnsupported (type, or n_cols that does not suit it), those of source.read, kMemory.
  virtual Matrix pack(const MatrixSource& source, Precision precision) = 0;
  // Bytes that pack() asks for. Errors: kUnsupported, kMemory where they do not fit into 64 bits.
  virtual std::size_t packed_bytes(DType type, std::int64_t n_rows, std::int64_t n_cols,
                                   Precision precision) const = 0;
  // Names the order of packed bytes: what one backend packed, another of the same layout may adopt.
  virtual std::string_view layout() const = 0;
  // The matrix that pack() makes of this source for kProduction, out of bytes that an earlier one left;
  // nothing where their number or the rows at their end are others. Errors: those of source.read.
  virtual std::optional<Matrix> adopt(const MatrixSource& source, Buffer packed) = 0;

  // x[given.row] = given.values, each `width` floats of the host's.
  virtual void put_rows(std::span<const GivenRow> given, std::int64_t width, float* x,
                        std::int64_t x_stride) = 0;
  // y[i] = x[rows[i]]; y does not overlap x.
  virtual void gather_rows(const float* x, std::int64_t x_stride, std::span<const std::int64_t> rows,
                           std::int64_t width, float* y, std::int64_t y_stride) = 0;
  // x [n_rows, width] without gaps where the host may read it, when all verbs before are done; valid until
  // the next verb.
  virtual std::span<const float> get_rows(const float* x, std::int64_t n_rows, std::int64_t width) = 0;

  // x[i] = row ids[i] of table; ids are valid rows.
  virtual void embed(const Matrix& table, std::span<const std::int32_t> ids, float* x,
                     std::int64_t x_stride) = 0;

  // y = x · Wᵀ for each target; all weights have the same n_cols; x [n_tokens, n_cols]. The first n_prompt
  // rows may take a path for prompts that is faster and rounds more (docs/numerics.md) where the machine has
  // one.
  virtual void matmul(const float* x, std::int64_t x_stride, std::int64_t n_tokens,
                      std::span<const MatmulTarget> targets, std::int64_t n_prompt = 0) = 0;

  // y = x · rsqrt(mean(x²) + eps) · weight, row by row; weight [width] f32; y may be x.
  virtual void rmsnorm(const float* x, std::int64_t x_stride, std::int64_t n_tokens, std::int64_t width,
                       const float* weight, float eps, float* y, std::int64_t y_stride) = 0;
  // residual += rmsnorm(x).
  virtual void rmsnorm_add(const float* x, std::int64_t x_stride, std::int64_t n_tokens, std::int64_t width,
                           const float* weight, float eps, float* residual, std::int64_t residual_stride) = 0;
  // residual += x (pre-norm architectures).
  virtual void add(const float* x, std::int64_t x_stride, std::int64_t n_tokens, std::int64_t width,
                   float* residual, std::int64_t residual_stride) = 0;

  // Per head of x [n_tokens, n_heads, head_dim]: RMSNorm over head_dim with weight [head_dim] (skipped where
  // weight is null), then rotate-half RoPE at positions[row] (skipped where rope is null). In place.
  virtual void norm_rope_heads(float* x, std::int64_t x_stride, std::int64_t n_tokens, int n_heads,
                               int head_dim, const float* weight, float eps, const RopeFrequencies* rope,
                               const std::int64_t* positions) = 0;

  // Stores k and v [rows, n_kv_heads, head_dim], of each slice its rows at its positions.
  virtual void append_kv(std::span<const AttentionSlice> slices, const float* k, std::int64_t k_stride,
                         const float* v, std::int64_t v_stride) = 0;

  // out[row, h] = softmax(q[row, h] · Kᵀ / sqrt(head_dim)) · V over the positions p with 0 <= row's position
  // - p < window (window 0: all earlier ones and itself). q, out [rows, n_heads, head_dim]; head h reads kv
  // head h / (n_heads / n_kv_heads). The slices' keys of these rows have been appended.
  virtual void attention(std::span<const AttentionSlice> slices, const float* q, std::int64_t q_stride,
                         int n_heads, std::int64_t window, float* out, std::int64_t out_stride) = 0;

  // out[row, h] = softmax(q[row, h] · Kᵀ / sqrt(head_dim)) · V over all rows of row's segment, with no mask:
  // the attention of a vision tower. q, out [rows, n_heads, head_dim], out may be q; head h reads kv head h /
  // (n_heads / n_kv_heads). Rows outside every segment keep what `out` holds. All windows of a layer go into
  // one call: segments of 64 rows are as many tasks. A row's bits depend on its own segment only.
  virtual void attention_both_ways(std::span<const AttentionSegment> segments, const AttentionRows& kv,
                                   const float* q, std::int64_t q_stride, int n_heads, float* out,
                                   std::int64_t out_stride) = 0;

  // Rotate-half RoPE of each head of x [n_tokens, n_heads, head_dim] with the row's own cos and sin
  // [n_tokens, head_dim / 2], in place.
  virtual void rotate_heads(float* x, std::int64_t x_stride, std::int64_t n_tokens, int n_heads, int head_dim,
                            const float* cos, const float* sin) = 0;

  // gate = silu(gate) · up, elementwise.
  virtual void silu_mul(float* gate, std::int64_t gate_stride, const float* up, std::int64_t up_stride,
                        std::int64_t n_tokens, std::int64_t width) = 0;
  // x = x · (1 + erf(x / sqrt(2))) / 2, elementwise (the exact GELU, not the one with tanh).
  virtual void gelu(float* x, std::int64_t x_stride, std::int64_t n_tokens, std::int64_t width) = 0;
};

enum class PromptSpeed {
  kUsual,
  kFast,  // where has_fast_prompts(), weights of 4 and 5 bits meet prompt rows in int8 with a scale for 512 k
};

// The CPU backend with the kernels of choose_isa(). `pool` outlives it.
std::unique_ptr<Backend> make_cpu_backend(ThreadPool& pool, PromptSpeed prompts = PromptSpeed::kUsual);

// Whether PromptSpeed::kFast changes anything on this machine.
bool has_fast_prompts();

}  // namespace exa
