// Matrix products and attention of the instruction set that choose_isa() picks, one thread, rates by that
// thread's CPU time.
//
// GB/s counts packed weight bytes, GOPS two operations a weight and token. Up to 8 tokens the weights rotate
// through more than 512 MB, so that no cache holds them; the "read" benchmark is what a plain read of that
// memory reaches.
#include <benchmark/benchmark.h>
#include <emmintrin.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/activations.h"
#include "kernels/isa/attention.h"
#include "kernels/isa/matmul.h"
#include "kernels/random_weights.h"

namespace {

using exa::Buffer;
using exa::DType;
using exa::Matrix;

constexpr std::size_t kRotation = std::size_t{576} << 20;

struct Shape {
  std::int64_t n_rows, n_cols;
};

// Matrices of one type and shape, together at least kRotation bytes; kept until another set is asked for.
const std::vector<Matrix>& matrices(DType type, Shape shape) {
  static std::vector<Matrix> kept;
  if (!kept.empty() && kept[0].type == type && kept[0].n_rows == shape.n_rows &&
      kept[0].n_cols == shape.n_cols) {
    return kept;
  }
  kept.clear();
  const exa::test::StoredRows rows = exa::test::random_rows(type, 16 * exa::kRowBlock, shape.n_cols, 1);
  const Matrix seed = exa::test::pack(rows);
  for (std::size_t total = 0; total < kRotation;) {
    Matrix m;
    m.type = type;
    m.n_rows = shape.n_rows;
    m.n_cols = shape.n_cols;
    m.row_block_bytes = seed.row_block_bytes;
    m.bytes = Buffer(static_cast<std::size_t>(m.n_row_blocks()) * m.row_block_bytes);
    for (std::int64_t b = 0; b < m.n_row_blocks(); ++b) {
      std::memcpy(m.bytes.data() + static_cast<std::size_t>(b) * m.row_block_bytes, seed.row_block(b % 16),
                  m.row_block_bytes);
    }
    total += m.bytes.size_bytes();
    kept.push_back(std::move(m));
  }
  return kept;
}

void matmul(benchmark::State& state, exa::Isa isa, DType type, Shape shape, std::int64_t n_tokens) {
  const std::vector<Matrix>& weights = matrices(type, shape);
  const exa::MatmulKernels& kernels = exa::matmul_kernels(isa);
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(n_tokens * shape.n_cols));
  for (float& value : x) value = normal(random);
  const exa::test::Activations rows =
      exa::test::activations_of(kernels, type, shape.n_cols, x.data(), n_tokens);
  const std::int64_t y_stride = shape.n_rows;
  Buffer y(static_cast<std::size_t>(n_tokens * y_stride) * sizeof(float));
  Buffer scratch(exa::matmul_scratch_bytes(weights[0]));
  std::size_t next = 0;
  for (auto _ : state) {
    const Matrix& w = weights[next];
    next = (next + 1) % weights.size();
    kernels.matmul(w, 0, w.n_row_blocks(), rows.bytes.data(), rows.stride, n_tokens, y.as<float>(), y_stride,
                   scratch.data());
    benchmark::ClobberMemory();
  }
  const auto calls = static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(
      calls * static_cast<double>(weights[0].bytes.size_bytes()) / 1e9, benchmark::Counter::kIsRate);
  state.counters["GOPS"] =
      benchmark::Counter(calls * 2e-9 * static_cast<double>(shape.n_rows * shape.n_cols * n_tokens),
                         benchmark::Counter::kIsRate);
}

void quantize(benchmark::State& state, exa::Isa isa, std::int64_t n_cols) {
  std::vector<float> x(static_cast<std::size_t>(n_cols), 0.25F);
  Buffer out(exa::quantized_row_bytes(n_cols));
  for (auto _ : state) {
    exa::matmul_kernels(isa).quantize_row(x.data(), n_cols, out.data());
    benchmark::ClobberMemory();
  }
}

// Rows at the end of a history of n_positions, the heads of one kv head a call. Prompt rows meet one kv head
// again and again, as the tiles of a prompt do; a single row meets the kv heads of histories that no cache
// holds, one after another, and GB/s counts their bytes.
void attention(benchmark::State& state, exa::Isa isa, exa::KvType type, int head_dim, int n_rows,
               std::int64_t n_positions) {
  constexpr int kHeads = 4;
  const exa::AttentionKernels& kernels = exa::attention_kernels(isa);
  const int n_kv_heads = n_rows == 1 ? 8 : 1;
  const std::size_t head_bytes = exa::kv_head_bytes(type, head_dim);
  const std::size_t block_bytes = exa::kv_block_bytes(type, n_kv_heads, head_dim);
  const auto n_blocks = static_cast<std::size_t>(n_positions / exa::kKvBlock);
  const std::size_t n_histories =
      n_rows == 1 ? std::max<std::size_t>(1, (std::size_t{256} << 20) / (n_blocks * block_bytes)) : 1;
  Buffer memory(n_histories * n_blocks * block_bytes);
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> rows(static_cast<std::size_t>(exa::kKvBlock * head_dim));
  for (float& x : rows) x = normal(random);
  std::vector<std::byte*> blocks;
  for (std::size_t i = 0; i < n_histories * n_blocks; ++i) {
    blocks.push_back(memory.data() + i * block_bytes);
    for (int head = 0; head < n_kv_heads; ++head) {
      kernels.append({type, head_dim, 0, exa::kKvBlock, rows.data(), head_dim, rows.data(), head_dim},
                     blocks.back() + static_cast<std::size_t>(head) * head_bytes);
    }
  }
  std::vector<float> q(static_cast<std::size_t>(n_rows * kHeads * head_dim));
  for (float& x : q) x = normal(random);
  std::vector<float> out(q.size());
  const std::size_t n_floats = exa::attention_state_floats(n_rows * kHeads, head_dim);
  std::vector<float> states(2 * n_floats);
  Buffer scratch(exa::attention_scratch_bytes(head_dim));
  std::size_t history = 0;
  int kv_head = 0;
  for (auto _ : state) {
    exa::AttentionTile tile{};
    tile.kv = {type, n_kv_heads, head_dim, blocks.data() + history * n_blocks,
               static_cast<std::int64_t>(n_blocks)};
    tile.kv_head = kv_head;
    kv_head = (kv_head + 1) % n_kv_heads;
    if (kv_head == 0) history = (history + 1) % n_histories;
    tile.position = n_positions - n_rows;
    tile.n_rows = n_rows;
    tile.n_heads = kHeads;
    tile.q = q.data();
    tile.q_stride = kHeads * head_dim;
    tile.out = out.data();
    tile.out_stride = kHeads * head_dim;
    for (std::int64_t span = 0; span <= exa::last_span(tile); ++span) {
      float* const to = states.data() + (span == 0 ? 0 : n_floats);
      kernels.attend[static_cast<std::size_t>(type)](tile, span, scratch.data(), to);
      if (span > 0) kernels.merge(n_rows * kHeads, head_dim, states.data(), to);
    }
    kernels.finish(tile, states.data());
    benchmark::ClobberMemory();
  }
  const auto calls = static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(calls * static_cast<double>(n_blocks * head_bytes) / 1e9,
                                              benchmark::Counter::kIsRate);
  state.counters["GFLOPS"] =
      benchmark::Counter(calls * 4e-9 * n_rows * kHeads * head_dim * static_cast<double>(n_positions),
                         benchmark::Counter::kIsRate);
}

// The canary: every line of more memory than any cache holds, once.
void read(benchmark::State& state) {
  static const Buffer memory = [] {
    Buffer b(kRotation);
    std::memset(b.data(), 1, b.size_bytes());
    return b;
  }();
  for (auto _ : state) {
    const auto* p = reinterpret_cast<const __m128i*>(memory.data());
    __m128i sum[8] = {};
    for (std::size_t i = 0; i + 32 <= memory.size_bytes() / 16; i += 32) {
      for (std::size_t j = 0; j < 32; ++j) sum[j % 8] = _mm_xor_si128(sum[j % 8], _mm_load_si128(p + i + j));
    }
    benchmark::DoNotOptimize(sum);
  }
  state.counters["GB/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(memory.size_bytes()) / 1e9,
      benchmark::Counter::kIsRate);
}

}  // namespace

int main(int argc, char** argv) {
  const exa::Isa isa = exa::choose_isa();
  benchmark::RegisterBenchmark("read", read)->Unit(benchmark::kMillisecond);
  for (std::int64_t n_cols : {2048, 4096}) {
    benchmark::RegisterBenchmark(("quantize_row/" + std::to_string(n_cols)).c_str(), quantize, isa, n_cols);
  }
  for (DType type : {DType::kQ4_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kQ8_0, DType::kBF16,
                     DType::kF16, DType::kF32, DType::kIQ4_XS}) {
    for (Shape shape : {Shape{4096, 2048}, Shape{2048, 4096}, Shape{102400, 2048}}) {
      for (std::int64_t n_tokens : {1, 2, 4, 8, 16, 64, 512}) {
        const std::string label = std::string(exa::name(isa)) + "/" + std::string(exa::name(type)) + "/" +
                                  std::to_string(shape.n_rows) + "x" + std::to_string(shape.n_cols) +
                                  "/tokens:" + std::to_string(n_tokens);
        benchmark::RegisterBenchmark(label.c_str(), matmul, isa, type, shape, n_tokens)
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
  constexpr std::pair<exa::KvType, const char*> kTypes[] = {{exa::KvType::kBF16, "bf16"},
                                                            {exa::KvType::kF32, "f32"},
                                                            {exa::KvType::kF16, "f16"},
                                                            {exa::KvType::kQ8, "q8"}};
  for (const auto& [type, type_name] : kTypes) {
    for (const int head_dim : {64, 128}) {
      for (const int n_rows : {1, 8}) {
        const std::string label = std::string(exa::name(isa)) + "/attention/" + type_name +
                                  "/head_dim:" + std::to_string(head_dim) + "/rows:" + std::to_string(n_rows);
        benchmark::RegisterBenchmark(label.c_str(), attention, isa, type, head_dim, n_rows, 4096);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
