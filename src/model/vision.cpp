#include "model/vision.h"

#include <algorithm>
#include <cmath>

#include "base/memory.h"
#include "model/vision_order.h"

namespace exa {
namespace {

// Rows computed together: enough to use each weight often, few enough to stay in the cache.
constexpr std::int64_t kChunk = 504;
// Patches encoded together at most, which bounds the memory; a larger picture goes alone.
constexpr std::int64_t kMostRows = 16384;
constexpr float kRopeTheta = 10000.0F;

std::size_t to_size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

// [n_rows, width] f32 of its own.
class Rows {
 public:
  Rows(std::int64_t n_rows, std::int64_t width)
      : buffer_(to_size(n_rows * width) * sizeof(float)), width_(width) {}
  float* row(std::int64_t i) { return buffer_.as<float>() + i * width_; }
  std::int64_t width() const { return width_; }

 private:
  Buffer buffer_;
  std::int64_t width_;
};

// cos and sin of the rotation of each row: the first half of the pairs turns with its patch row, the second
// with its patch column.
struct Rotation {
  Rotation(const VisionOrder& order, const VisionConfig& config)
      : half(config.head_dim / 2), cos(to_size(n_rows(order, config) * half)), sin(cos.size()) {
    const std::int64_t quarter = half / 2;
    std::vector<float> inverse(to_size(quarter));
    for (std::int64_t j = 0; j < quarter; ++j) {
      const float exponent = static_cast<float>(2 * j) / static_cast<float>(half);
      inverse[to_size(j)] = 1.0F / std::pow(kRopeTheta, exponent);
    }
    std::size_t at = 0;
    for (const VisionOrder::Cell& cell : order.cells) {
      for (std::int64_t patch = 0; patch < config.patches_a_cell(); ++patch) {
        const auto row = static_cast<float>(cell.row * config.merge + patch / config.merge);
        const auto column = static_cast<float>(cell.column * config.merge + patch % config.merge);
        for (const float place : {row, column}) {
          for (const float frequency : inverse) {
            const auto angle = static_cast<double>(place * frequency);
            cos[at] = static_cast<float>(std::cos(angle));
            sin[at++] = static_cast<float>(std::sin(angle));
          }
        }
      }
    }
  }

  static std::int64_t n_rows(const VisionOrder& order, const VisionConfig& config) {
    return static_cast<std::int64_t>(order.cells.size()) * config.patches_a_cell();
  }

  std::int64_t half;
  std::vector<float> cos, sin;  // [n_rows, half]
};

// One pass of the tower over a group of inputs.
class Pass {
 public:
  Pass(const VisionWeights& weights, Backend& backend, std::span<const VisionInput> inputs)
      : weights_(weights),
        config_(weights.config),
        backend_(backend),
        inputs_(inputs),
        order_(vision_order(inputs, config_)),
        rotation_(order_, config_),
        n_rows_(Rotation::n_rows(order_, config_)),
        chunk_(std::min(kChunk / config_.patches_a_cell() * config_.patches_a_cell(), n_rows_)),
        residual_(n_rows_, config_.hidden),
        normed_(chunk_, config_.hidden),
        branch_(chunk_, config_.hidden) {}

  void embed_patches() {
    Rows values(chunk_, config_.patch_values());
    std::vector<Patches> patches;
    for (const VisionInput& input : inputs_) patches.emplace_back(input, config_);
    for_chunks([&](std::int64_t first, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) {
        const VisionOrder::Cell& cell = order_.cells[to_size((first + i) / config_.patches_a_cell())];
        const std::int64_t patch =
            cell.index * config_.patches_a_cell() + (first + i) % config_.patches_a_cell();
        patches[to_size(cell.input)].read(patch, values.row(i));
      }
      const MatmulTarget target[] = {{&weights_.patch, residual_.row(first), config_.hidden}};
      matmul(values.row(0), values.width(), n, target);
    });
  }

  void run_blocks(const VisionTower::Progress& progress) {
    const std::int64_t q_width = config_.n_heads * config_.head_dim;
    const std::int64_t kv_width = config_.n_kv_heads * config_.head_dim;
    Rows qkv(n_rows_, q_width + 2 * kv_width);
    Rows gate(chunk_, config_.ffn_width);
    Rows up(chunk_, config_.ffn_width);
    for (std::int64_t i = 0; i < config_.n_layers(); ++i) {
      const VisionBlock& block = weights_.blocks[to_size(i)];
      for_chunks([&](std::int64_t first, std::int64_t n) {
        norm(first, n, block.attention_norm);
        linear(block.qkv, normed_, n, qkv.row(first));
        rotate(qkv.row(first), qkv.width(), first, n);
      });
      attend(config_.full[to_size(i)] ? order_.frames : order_.windows, qkv);
      for_chunks([&](std::int64_t first, std::int64_t n) {
        linear(block.o, qkv.row(first), qkv.width(), n, branch_.row(0));
        add_branch(first, n);

        norm(first, n, block.ffn_norm);
        const MatmulTarget gate_up[] = {{&block.gate.weight, gate.row(0), gate.width()},
                                        {&block.up.weight, up.row(0), up.width()}};
        matmul(normed_.row(0), normed_.width(), n, gate_up);
        add_bias(block.gate, gate.row(0), n);
        add_bias(block.up, up.row(0), n);
        backend_.silu_mul(gate.row(0), gate.width(), up.row(0), up.width(), n, gate.width());
        linear(block.down, gate, n, branch_.row(0));
        add_branch(first, n);
      });
      if (progress) progress(static_cast<double>(i + 1) / static_cast<double>(config_.n_layers()));
    }
  }

  // Cells become tokens, each at its own place among those of its input.
  std::vector<std::vector<float>> merge() {
    std::vector<std::vector<float>> out;
    for (const VisionInput& input : inputs_) {
      out.emplace_back(to_size(n_vision_tokens(input.grid, config_) * config_.out_hidden));
    }
    const std::int64_t patches = config_.patches_a_cell();
    const std::int64_t cell_width = config_.hidden * patches;
    Rows wide(chunk_ / patches, cell_width);
    Rows tokens(chunk_ / patches, config_.out_hidden);
    for_chunks([&](std::int64_t first, std::int64_t n) {
      const std::int64_t n_cells = n / patches;
      norm(first, n, weights_.merger_norm);
      // The rows of a cell lie side by side.
      const MatmulTarget in[] = {{&weights_.merger_in.weight, wide.row(0), cell_width}};
      matmul(normed_.row(0), cell_width, n_cells, in);
      add_bias(weights_.merger_in, wide.row(0), n_cells);
      backend_.gelu(wide.row(0), cell_width, n_cells, cell_width);
      linear(weights_.merger_out, wide, n_cells, tokens.row(0));
      for (std::int64_t i = 0; i < n_cells; ++i) {
        const VisionOrder::Cell& cell = order_.cells[to_size(first / patches + i)];
        std::copy_n(tokens.row(i), config_.out_hidden,
                    out[to_size(cell.input)].data() + cell.index * config_.out_hidden);
      }
    });
    return out;
  }

 private:
  // f(first row, rows) over all rows; chunks hold whole cells.
  template <typename F>
  void for_chunks(F&& f) {
    for (std::int64_t first = 0; first < n_rows_; first += chunk_)
      f(first, std::min(chunk_, n_rows_ - first));
  }

  void norm(std::int64_t first, std::int64_t n, const std::vector<float>& weight) {
    backend_.rmsnorm(residual_.row(first), config_.hidden, n, config_.hidden, weight.data(), config_.rms_eps,
                     normed_.row(0), config_.hidden);
  }

  // A picture's rows are a prompt's.
  void matmul(const float* x, std::int64_t x_stride, std::int64_t n, std::span<const MatmulTarget> targets) {
    backend_.matmul(x, x_stride, n, targets, weights_.precision == Precision::kExact ? 0 : n);
  }

  // The bias as rows that are all the same one.
  void add_bias(const VisionLinear& layer, float* y, std::int64_t n) {
    const auto width = static_cast<std::int64_t>(layer.bias.size());
    backend_.add(layer.bias.data(), 0, n, width, y, width);
  }

  void linear(const VisionLinear& layer, const float* x, std::int64_t x_stride, std::int64_t n, float* y) {
    const MatmulTarget target[] = {{&layer.weight, y, layer.weight.n_rows}};
    matmul(x, x_stride, n, target);
    add_bias(layer, y, n);
  }
  void linear(const VisionLinear& layer, Rows& x, std::int64_t n, float* y) {
    linear(layer, x.row(0), x.width(), n, y);
  }

  void add_branch(std::int64_t first, std::int64_t n) {
    backend_.add(branch_.row(0), config_.hidden, n, config_.hidden, residual_.row(first), config_.hidden);
  }

  // Queries and keys, which lie side by side.
  void rotate(float* qk, std::int64_t stride, std::int64_t first, std::int64_t n) {
    const std::size_t at = to_size(first * rotation_.half);
    backend_.rotate_heads(qk, stride, n, static_cast<int>(config_.n_heads + config_.n_kv_heads),
                          static_cast<int>(config_.head_dim), rotation_.cos.data() + at,
                          rotation_.sin.data() + at);
  }

  // The result takes the place of the queries.
  void attend(const std::vector<AttentionSegment>& segments, Rows& qkv);

  const VisionWeights& weights_;
  const VisionConfig& config_;
  Backend& backend_;
  std::span<const VisionInput> inputs_;
  VisionOrder order_;
  Rotation rotation_;
  std::int64_t n_rows_;
  std::int64_t chunk_;
  Rows residual_;  // [n_rows, hidden]
  Rows normed_;    // [chunk, hidden]
  Rows branch_;    // [chunk, hidden]: what a half of a block adds to the residual
};

void Pass::attend(const std::vector<AttentionSegment>& segments, Rows& qkv) {
  const std::int64_t q_width = config_.n_heads * config_.head_dim;
  const std::int64_t kv_width = config_.n_kv_heads * config_.head_dim;
  const AttentionRows kv = {.k = qkv.row(0) + q_width,
                            .k_stride = qkv.width(),
                            .v = qkv.row(0) + q_width + kv_width,
                            .v_stride = qkv.width(),
                            .n_kv_heads = static_cast<int>(config_.n_kv_heads),
                            .head_dim = static_cast<int>(config_.head_dim),
                            .type = weights_.precision == Precision::kExact ? KvType::kF32 : KvType::kBF16};
  backend_.attention_both_ways(segments, kv, qkv.row(0), qkv.width(), static_cast<int>(config_.n_heads),
                               qkv.row(0), qkv.width());
}

}  // namespace

VisionTower::VisionTower(const VisionWeights& weights, Backend& backend)
    : weights_(weights), backend_(backend) {}

std::size_t VisionTower::activation_bytes(const VisionConfig& c) {
  const std::int64_t most_rows = std::max(kMostRows, c.max_pixels / (c.patch_px * c.patch_px));
  const std::int64_t qkv_width = (c.n_heads + 2 * c.n_kv_heads) * c.head_dim;
  const std::int64_t cell_width = c.hidden * c.patches_a_cell();
  // Of each patch: residual, qkv, cos and sin, pixels, and its share of the rows that come out.
  const std::int64_t of_row =
      c.hidden + qkv_width + c.head_dim + c.patch_values() + c.out_hidden / c.patches_a_cell();
  // Of each patch of a chunk: what it is normed to and a branch adds; gate and up or what the merger widens.
  const std::int64_t of_chunk =
      2 * c.hidden + std::max(2 * c.ffn_width, (cell_width + c.out_hidden) / c.patches_a_cell());
  const std::size_t kv_bytes =
      to_size(most_rows / kKvBlock) *
      kv_block_bytes(KvType::kBF16, static_cast<int>(c.n_kv_heads), static_cast<int>(c.head_dim));
  return to_size(most_rows * of_row + std::min(kChunk, most_rows) * of_chunk) * sizeof(float) + kv_bytes;
}

std::vector<std::vector<float>> VisionTower::encode(std::span<const VisionInput> inputs,
                                                    const Progress& progress) {
  std::vector<std::vector<float>> embeds;
  while (!inputs.empty()) {
    std::size_t n_inputs = 1;
    std::int64_t n_rows = inputs.front().grid.n_patches();
    while (n_inputs < inputs.size() && n_rows + inputs[n_inputs].grid.n_patches() <= kMostRows) {
      n_rows += inputs[n_inputs++].grid.n_patches();
    }
    Pass pass(weights_, backend_, inputs.first(n_inputs));
    pass.embed_patches();
    pass.run_blocks(progress);
    for (std::vector<float>& rows : pass.merge()) embeds.push_back(std::move(rows));
    inputs = inputs.subspan(n_inputs);
  }
  return embeds;
}

}  // namespace exa
