#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <memory>
#include <vector>

#include "base/memory.h"
#include "base/threads.h"
#include "kernels/backend.h"
#include "kernels/isa/attention.h"
#include "kernels/isa/attention_units.h"
#include "kernels/isa_under_test.h"
#include "kernels/quant.h"
#include "sanitized.h"

namespace exa {
namespace {

std::size_t to_size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

constexpr KvType kTypes[] = {KvType::kBF16, KvType::kF32, KvType::kF16, KvType::kQ8};
// Under sanitizers one type kept as numbers and the one with scales.
const std::vector<KvType> kTypesOfLongRuns = test::kSanitized
                                                 ? std::vector{KvType::kBF16, KvType::kQ8}
                                                 : std::vector(std::begin(kTypes), std::end(kTypes));

struct Shape {
  KvType type = KvType::kBF16;
  int n_kv_heads = 1;
  int group = 1;
  int head_dim = 64;
  std::int64_t window = 0;
  int n_heads() const { return n_kv_heads * group; }
  std::int64_t q_width() const { return std::int64_t{n_heads()} * head_dim; }
  std::int64_t kv_width() const { return std::int64_t{n_kv_heads} * head_dim; }
};

// Queries, keys and values of a whole sequence, and its block store.
class Sequence {
 public:
  // n_blocks 0: enough for every position. `garbage` fills unused memory with NaN.
  Sequence(const Shape& shape, std::int64_t length, std::int64_t n_blocks, unsigned seed, bool garbage = true)
      : shape_(shape),
        length_(length),
        q(random_floats(to_size(length * shape.q_width()), seed)),
        k(random_floats(to_size(length * shape.kv_width()), seed + 1)),
        v(random_floats(to_size(length * shape.kv_width()), seed + 2)),
        out(q.size(), -1.0F) {
    if (n_blocks == 0) n_blocks = (length + 31) / 32;
    const std::size_t n_bytes = kv_block_bytes(shape.type, shape.n_kv_heads, shape.head_dim);
    for (std::int64_t i = 0; i < n_blocks; ++i) {
      store_.emplace_back(n_bytes);
      if (garbage) std::fill_n(store_.back().data(), n_bytes, std::byte{0xFF});
      blocks_.push_back(store_.back().data());
    }
  }

  KvView view() const {
    return {shape_.type, shape_.n_kv_heads, shape_.head_dim, blocks_.data(),
            static_cast<std::int64_t>(blocks_.size())};
  }
  std::int64_t length() const { return length_; }
  AttentionSlice slice(std::int64_t from, std::int64_t n) const { return {view(), from, n, from}; }

  // Appends and attends rows [from, from + n).
  void step(Backend& backend, std::int64_t from, std::int64_t n) {
    const AttentionSlice s = slice(from, n);
    backend.append_kv({&s, 1}, k.data(), shape_.kv_width(), v.data(), shape_.kv_width());
    backend.attention({&s, 1}, q.data(), shape_.q_width(), shape_.n_heads(), shape_.window, out.data(),
                      shape_.q_width());
  }
  void run(Backend& backend, std::int64_t rows_a_step) {
    for (std::int64_t from = 0; from < length_; from += rows_a_step) {
      step(backend, from, std::min(rows_a_step, length_ - from));
    }
  }

  // Rows of keys or values as the type keeps them.
  std::vector<double> stored(const std::vector<float>& rows) const {
    std::vector<double> kept(rows.begin(), rows.end());
    if (shape_.type == KvType::kF32) return kept;
    float scale = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (shape_.type == KvType::kBF16) kept[i] = double{bf16_to_f32(f32_to_bf16(rows[i]))};
      if (shape_.type == KvType::kF16) kept[i] = double{f16_to_f32(f32_to_f16(rows[i]))};
      if (shape_.type != KvType::kQ8) continue;
      if (i % to_size(shape_.head_dim) == 0) {
        scale = 0;
        for (int d = 0; d < shape_.head_dim; ++d) scale = std::max(scale, std::abs(rows[i + to_size(d)]));
      }
      kept[i] = double{scale} / 127 * static_cast<double>(std::lrint(rows[i] * (127.0F / scale)));
    }
    return kept;
  }
  // A query's element times log2(e) / sqrt(head_dim), as the type rounds it.
  double scaled(float x) const {
    const float product =
        x * static_cast<float>(1.4426950408889634 / std::sqrt(static_cast<double>(shape_.head_dim)));
    return double{shape_.type == KvType::kBF16 ? bf16_to_f32(f32_to_bf16(product)) : product};
  }

  struct Near {
    double value;
    double bound;  // on the difference
  };
  // Softmax attention by its definition, in double precision, of one (row, head).
  std::vector<Near> reference(std::int64_t row, int head) const {
    const std::int64_t oldest = shape_.window > 0 ? std::max<std::int64_t>(0, row - shape_.window + 1) : 0;
    return reference(row, head, oldest, row + 1);
  }
  // The same over positions [oldest, end).
  std::vector<Near> reference(std::int64_t row, int head, std::int64_t oldest, std::int64_t end) const {
    const std::int64_t d_count = shape_.head_dim;
    const std::int64_t kv = head / shape_.group * d_count;
    const float* query = q.data() + row * shape_.q_width() + head * d_count;
    if (stored_k_.empty()) {
      stored_k_ = stored(k);
      stored_v_ = stored(v);
    }
    std::vector<double> weights(to_size(end), 0.0);
    double max = -1e300;
    for (std::int64_t p = oldest; p < end; ++p) {
      const double* const key = stored_k_.data() + p * shape_.kv_width() + kv;
      double score = 0;
      for (std::int64_t d = 0; d < d_count; ++d) score += scaled(query[d]) * key[d];
      weights[to_size(p)] = score;
      max = std::max(max, score);
    }
    double total = 0;
    for (std::int64_t p = oldest; p < end; ++p) {
      weights[to_size(p)] = std::exp2(weights[to_size(p)] - max);
      total += weights[to_size(p)];
    }
    // Weights are rounded to bf16, or to 16-bit integers as queries are.
    const double relative = shape_.type == KvType::kBF16 ? 0x1p-8 : shape_.type == KvType::kQ8 ? 0x1p-11 : 0;
    const double absolute = shape_.type == KvType::kQ8 ? 1e-4 : 3e-6;
    std::vector<Near> result;
    for (std::int64_t d = 0; d < d_count; ++d) {
      const auto value = [&](std::int64_t p) { return stored_v_[to_size(p * shape_.kv_width() + kv + d)]; };
      Near near{0, 0};
      for (std::int64_t p = oldest; p < end; ++p) near.value += weights[to_size(p)] / total * value(p);
      for (std::int64_t p = oldest; p < end; ++p) {
        near.bound += weights[to_size(p)] / total * std::abs(value(p) - near.value) * relative;
      }
      near.bound += absolute;
      result.push_back(near);
    }
    return result;
  }

  void expect_near_reference(std::int64_t from, std::int64_t n) const {
    for (std::int64_t row = from; row < from + n; ++row) {
      for (int head = 0; head < shape_.n_heads(); ++head) expect_near(row, head, reference(row, head));
    }
  }
  // All rows of a segment see each other.
  void expect_near_reference(const AttentionSegment& segment) const {
    const std::int64_t end = segment.first_row + segment.n_rows;
    for (std::int64_t row = segment.first_row; row < end; row += 11) {
      for (int head = 0; head < shape_.n_heads(); ++head) {
        expect_near(row, head, reference(row, head, segment.first_row, end));
      }
    }
  }
  void expect_near(std::int64_t row, int head, const std::vector<Near>& expected) const {
    for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
      const float actual = out[to_size(row * shape_.q_width() + head * std::int64_t{shape_.head_dim} + d)];
      ASSERT_NEAR(double{actual}, expected[to_size(d)].value, expected[to_size(d)].bound)
          << "type " << static_cast<int>(shape_.type) << " row " << row << " head " << head << " d " << d
          << " window " << shape_.window;
    }
  }

 private:
  Shape shape_;
  std::int64_t length_;
  std::vector<Buffer> store_;
  std::vector<std::byte*> blocks_;
  mutable std::vector<double> stored_k_;
  mutable std::vector<double> stored_v_;

 public:
  std::vector<float> q;  // [length, n_heads, head_dim]
  std::vector<float> k;  // [length, n_kv_heads, head_dim]
  std::vector<float> v;
  std::vector<float> out;  // [length, n_heads, head_dim]
};

std::int64_t ring_blocks(std::int64_t window, std::int64_t rows_a_step) {
  return (window - 1 + rows_a_step + 31) / 32;
}

struct Fixture {
  explicit Fixture(int n_threads) : pool(n_threads), backend(make_cpu_backend(pool)) {}
  ThreadPool pool;
  std::unique_ptr<Backend> backend;
};

// Section 6.6, llama.cpp 13121 and ollama 9605: heads of 80 with every type of keys and values.
TEST(Attention, MatchesSoftmaxInDoublePrecision) {
  Fixture setup(2);
  for (const KvType type : kTypes) {
    for (const int head_dim : {16, 64, 80, 128}) {
      for (const auto& [n_kv_heads, group] : {std::pair{1, 1}, {2, 4}, {1, 5}, {3, 1}, {1, 7}}) {
        if (test::kSanitized && group != 5 && group != 4) continue;
        for (const std::int64_t window : {0, 1, 31, 64}) {
          if (test::kSanitized && window % 31 != 0) continue;
          const Shape shape = {type, n_kv_heads, group, head_dim, window};
          Sequence sequence(shape, 70, 0, 100);
          sequence.run(*setup.backend, 70);
          sequence.expect_near_reference(0, 70);
        }
      }
    }
  }
}

TEST(Attention, MatchesSoftmaxFarIntoALongHistory) {
  Fixture setup(2);
  for (const std::int64_t window : {0, 100, 256, 257, 512, 1100, 4096}) {
    if (test::kSanitized && window != 0 && window != 257 && window != 1100) continue;
    for (const KvType type : kTypesOfLongRuns) {
      const Shape shape = {type, 2, 2, 64, window};
      Sequence sequence(shape, 2200, 0, 200);
      sequence.run(*setup.backend, 300);
      for (const std::int64_t row :
           {0L, 99L, 254L, 255L, 256L, 257L, 511L, 600L, 1023L, 1024L, 1290L, 2048L, 2199L}) {
        sequence.expect_near_reference(row, 1);
      }
    }
  }
}

TEST(Attention, RingHoldsExactlyWindowAndStep) {
  Fixture setup(2);
  for (const std::int64_t window : {16, 33, 128, 300}) {
    for (const std::int64_t rows : {1, 5, 32, 47}) {
      const Shape shape = {KvType::kBF16, 1, 4, 64, window};
      Sequence ring(shape, 700, ring_blocks(window, rows), 300);
      Sequence list(shape, 700, 0, 300);
      ring.run(*setup.backend, rows);
      list.run(*setup.backend, 700);
      expect_same_bits(ring.out, list.out,
                       "window " + std::to_string(window) + " rows " + std::to_string(rows));
      ring.expect_near_reference(690, 10);
    }
  }
}

TEST(Attention, GroupsWiderThanATileAreCut) {
  Fixture setup(2);
  const Shape shape = {KvType::kBF16, 1, 40, 32, 0};
  Sequence sequence(shape, 35, 0, 400);
  sequence.run(*setup.backend, 35);
  sequence.expect_near_reference(0, 35);
}

TEST(Attention, BitsDependNeitherOnChunksNorOnThreads) {
  for (const KvType type : kTypesOfLongRuns) {
    for (const std::int64_t window : {0, 128}) {
      for (const int group : {1, 3, 4, 5}) {
        if (test::kSanitized && group != 3) continue;
        const Shape shape = {type, 2, group, 64, window};
        Fixture one(1);
        Sequence whole(shape, 600, 0, 500);
        whole.run(*one.backend, 600);
        for (const int n_threads : {1, 2, 4}) {
          if (test::kSanitized && n_threads != 4) continue;
          Fixture setup(n_threads);
          for (const std::int64_t rows : {1, 7, 64, 600}) {
            Sequence cut(shape, 600, window > 0 ? ring_blocks(window, rows) : 0, 500);
            cut.run(*setup.backend, rows);
            expect_same_bits(cut.out, whole.out,
                             "threads " + std::to_string(n_threads) + " rows " + std::to_string(rows) +
                                 " group " + std::to_string(group) + " window " + std::to_string(window));
          }
        }
      }
    }
  }
}

TEST(Attention, BitsDependNotOnHowSpansAreShared) {
  for (const KvType type : kTypesOfLongRuns) {
    for (const std::int64_t window : {0, 1500}) {
      const Shape shape = {type, test::kSanitized ? 1 : 2, test::kSanitized ? 2 : 4, 64, window};
      Fixture one(1);
      Sequence whole(shape, 2600, 0, 550);
      whole.run(*one.backend, 512);
      for (const int n_threads : {2, 3}) {
        if (test::kSanitized && n_threads != 3) continue;
        Fixture setup(n_threads);
        Sequence cut(shape, 2600, 0, 550);
        // Few rows: their tiles are cut into spans; one and the same step also holds many.
        cut.run(*setup.backend, 512);
        for (const std::int64_t row : {1023L, 1024L, 2047L, 2500L, 2599L}) cut.step(*setup.backend, row, 1);
        cut.step(*setup.backend, 2048, 40);
        expect_same_bits(cut.out, whole.out, std::to_string(n_threads) + " threads");
      }
    }
  }
}

TEST(Attention, SequencesInOneCallDoNotSeeEachOther) {
  const Shape shape = {KvType::kBF16, 2, 4, 64, 0};
  Fixture setup(2);
  for (const bool poisoned : {false, true}) {
    Sequence a(shape, 300, 0, 600);
    Sequence b(shape, 90, 0, 700);
    if (poisoned) {
      std::fill(b.k.begin(), b.k.end(), std::numeric_limits<float>::quiet_NaN());
      std::fill(b.v.begin(), b.v.end(), std::numeric_limits<float>::infinity());
    }
    Sequence alone(shape, 300, 0, 600);
    alone.run(*setup.backend, 300);

    // Rows of one call: 20 of a (after 280), then all 90 of b.
    a.step(*setup.backend, 0, 280);
    const std::int64_t width = shape.q_width();
    std::vector<float> q(a.q.begin() + 280 * width, a.q.end());
    q.insert(q.end(), b.q.begin(), b.q.end());
    std::vector<float> k(a.k.begin() + 280 * shape.kv_width(), a.k.end());
    k.insert(k.end(), b.k.begin(), b.k.end());
    std::vector<float> v(a.v.begin() + 280 * shape.kv_width(), a.v.end());
    v.insert(v.end(), b.v.begin(), b.v.end());
    const AttentionSlice slices[] = {{a.view(), 0, 20, 280}, {b.view(), 20, 90, 0}};
    setup.backend->append_kv(slices, k.data(), shape.kv_width(), v.data(), shape.kv_width());
    std::vector<float> out(q.size());
    setup.backend->attention(slices, q.data(), width, shape.n_heads(), shape.window, out.data(), width);
    const std::vector<float> of_a(out.begin(), out.begin() + 20 * width);
    const std::vector<float> expected(alone.out.begin() + 280 * width, alone.out.end());
    expect_same_bits(of_a, expected, "first sequence");
    const std::vector<float> of_b(out.begin() + 20 * width, out.end());
    b.run(*setup.backend, 90);
    expect_same_bits(of_b, b.out, "second sequence");
    EXPECT_EQ(std::isnan(of_b[0]), poisoned);
  }
}

TEST(Attention, InvisiblePositionsNeverReachTheResult) {
  const Shape shape = {KvType::kBF16, 1, 2, 32, 20};
  Fixture fixture(1);
  Sequence clean(shape, 320, 0, 800);
  clean.run(*fixture.backend, 320);
  // Even and odd first positions, as values are stored in pairs; alone, as neighbours hide what one row
  // reads.
  for (const auto& [first, n_rows] : {std::pair{290L, 19L}, {291L, 19L}, {290L, 1L}, {291L, 1L}}) {
    Sequence poisoned(shape, 320, 0, 800);
    const std::int64_t last = first + n_rows - 1;
    for (std::int64_t p = 0; p < 320; ++p) {
      if (p >= first - 19 && p <= last) continue;
      for (std::int64_t d = 0; d < 32; ++d) {
        poisoned.k[to_size(p * 32 + d)] = std::numeric_limits<float>::quiet_NaN();
        poisoned.v[to_size(p * 32 + d)] = std::numeric_limits<float>::infinity();
      }
    }
    const AttentionSlice all = poisoned.slice(0, 320);
    fixture.backend->append_kv({&all, 1}, poisoned.k.data(), 32, poisoned.v.data(), 32);
    const AttentionSlice rows = poisoned.slice(first, n_rows);
    fixture.backend->attention({&rows, 1}, poisoned.q.data(), 64, 2, 20, poisoned.out.data(), 64);
    const std::vector<float> actual(poisoned.out.begin() + first * 64,
                                    poisoned.out.begin() + (last + 1) * 64);
    const std::vector<float> expected(clean.out.begin() + first * 64, clean.out.begin() + (last + 1) * 64);
    expect_same_bits(actual, expected, "rows from " + std::to_string(first));
  }
}

TEST(Attention, BothWaysRowsSeeTheirSegmentAndNothingElse) {
  for (const KvType type : kTypes) {
    for (const int group : {1, 4}) {
      const Shape shape = {type, 2, group, 64, 0};
      const AttentionRows rows = {nullptr, shape.kv_width(), nullptr, shape.kv_width(), 2, 64, type};
      const std::vector<AttentionSegment> segments = {{0, 64}, {64, 1}, {66, 33}, {99, 270}, {369, 15}};
      std::vector<float> first;
      for (const int n_threads : {1, 2, 4}) {
        if (test::kSanitized && n_threads == 2) continue;
        Fixture setup(n_threads);
        Sequence sequence(shape, 384, 1, 1000);
        // Row 65 belongs to nobody: neither read nor written.
        for (int i = 0; i < shape.kv_width(); ++i) {
          sequence.k[to_size(65 * shape.kv_width() + i)] = std::numeric_limits<float>::quiet_NaN();
          sequence.v[to_size(65 * shape.kv_width() + i)] = std::numeric_limits<float>::quiet_NaN();
        }
        AttentionRows kv = rows;
        kv.k = sequence.k.data();
        kv.v = sequence.v.data();
        setup.backend->attention_both_ways(segments, kv, sequence.q.data(), shape.q_width(), shape.n_heads(),
                                           sequence.out.data(), shape.q_width());
        EXPECT_EQ(sequence.out[to_size(65 * shape.q_width())], -1.0F);
        for (const AttentionSegment& segment : segments) sequence.expect_near_reference(segment);
        if (n_threads == 1) first = sequence.out;
        expect_same_bits(sequence.out, first, std::to_string(n_threads) + " threads");
        // A segment alone has the same bits.
        std::vector<float> alone(sequence.out.size());
        setup.backend->attention_both_ways({&segments[2], 1}, kv, sequence.q.data(), shape.q_width(),
                                           shape.n_heads(), alone.data(), shape.q_width());
        const auto of_segment = [&](const std::vector<float>& out) {
          return std::vector<float>(out.begin() + 66 * shape.q_width(), out.begin() + 99 * shape.q_width());
        };
        expect_same_bits(of_segment(alone), of_segment(first), "segment alone");
      }
    }
  }
}

// All of this machine, scalar first; AVX-512 with and without dot products of bf16.
std::vector<std::pair<std::string, AttentionKernels>> every_kernels() {
  std::vector<std::pair<std::string, AttentionKernels>> out;
  for (const Isa isa : supported_isas()) {
    out.emplace_back(name(isa), attention_kernels(isa));
    if (isa == Isa::kAvx512) out.emplace_back("avx512 without dot products", attention_kernels_avx512());
  }
  return out;
}

void run_tile(const AttentionKernels& kernels, const AttentionTile& tile) {
  const std::size_t n_floats = attention_state_floats(tile.n_rows * tile.n_heads, tile.kv.head_dim);
  Buffer scratch(attention_scratch_bytes(tile.kv.head_dim));
  std::vector<float> state(n_floats);
  std::vector<float> later(n_floats);
  const auto attend = kernels.attend[static_cast<std::size_t>(tile.kv.type)];
  attend(tile, first_span(tile), scratch.data(), state.data());
  for (std::int64_t span = first_span(tile) + 1; span <= last_span(tile); ++span) {
    attend(tile, span, scratch.data(), later.data());
    kernels.merge(tile.n_rows * tile.n_heads, tile.kv.head_dim, state.data(), later.data());
  }
  kernels.finish(tile, state.data());
}

// Queries, keys and values so small that subnormal products and sums appear.
TEST(Attention, SubnormalNumbersAreZeroEverywhere) {
  Fixture setup(1);
  for (const KvType type : kTypes) {
    const Shape shape = {type, 1, 4, 64, 0};
    Sequence sequence(shape, 70, 0, 950);
    for (float& x : sequence.q) x *= 0x1p-70F;
    for (float& x : sequence.k) x *= 0x1p-56F;
    for (float& x : sequence.v) x *= 0x1p-127F;
    const AttentionSlice all = sequence.slice(0, 70);
    setup.backend->append_kv({&all, 1}, sequence.k.data(), 64, sequence.v.data(), 64);
    std::vector<float> expected;
    for (const auto& [isa, kernels] : every_kernels()) {
      std::vector<float> out(256);
      run_tile(kernels,
               {sequence.view(), 0, 69, 0, 0, 1, 4, sequence.q.data() + 69 * 256, 256, out.data(), 256});
      if (expected.empty()) expected = out;
      expect_same_bits(out, expected, isa);
    }
  }
}

TEST(Attention, WhatIsNoNumberIsSeen) {
  Fixture setup(2);
  for (const KvType type : kTypesOfLongRuns) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      for (const int which : {0, 1, 2}) {
        // An infinite key may also be one that nobody looks at.
        if (which == 1 && !std::isnan(bad)) continue;
        const Shape shape = {type, 1, 4, 64, 0};
        Sequence sequence(shape, 1100, 0, 960);
        if (which == 0) sequence.q[1050 * 256 + 3] = bad;
        if (which == 1) sequence.k[1050 * 64 + 3] = bad;
        if (which == 2) sequence.v[1050 * 64 + 3] = bad;
        sequence.run(*setup.backend, 1100);
        const bool only_its_row = which == 0;
        for (const std::int64_t row : {1049L, 1050L, 1051L, 1099L}) {
          const bool numbers = row < 1050 || (only_its_row && row > 1050);
          EXPECT_EQ(std::isfinite(sequence.out[to_size(row * 256 + 3)]), numbers)
              << "type " << static_cast<int>(type) << " " << bad << " in " << which << ", row " << row;
        }
      }
    }
  }
}

TEST(Attention, EveryInstructionSetEqualsScalar) {
  Fixture setup(1);
  for (const KvType type : kTypes) {
    for (const int head_dim : {16, 48, 64, 80, 128}) {
      for (const std::int64_t window : {0, 3, 100}) {
        if (test::kSanitized && (window == 3 || head_dim == 16 || head_dim == 64)) continue;
        const Shape shape = {type, 2, 9, head_dim, window};
        Sequence sequence(shape, 330, 0, 900);
        const AttentionSlice all = sequence.slice(0, 330);
        setup.backend->append_kv({&all, 1}, sequence.k.data(), shape.kv_width(), sequence.v.data(),
                                 shape.kv_width());
        for (const std::int64_t position : {0L, 1L, 14L, 30L, 127L, 253L, 254L, 326L}) {
          for (const auto& [n_rows, n_heads] :
               {std::pair{1, 1}, {1, 5}, {1, 9}, {3, 9}, {4, 8}, {4, 3}, {2, 1}}) {
            std::vector<float> expected;
            for (const auto& [isa, kernels] : every_kernels()) {
              std::vector<float> out(to_size(n_rows * shape.q_width()), 0.0F);
              const AttentionTile tile = {sequence.view(),
                                          1,
                                          position,
                                          window,
                                          0,
                                          n_rows,
                                          n_heads,
                                          sequence.q.data() + position * shape.q_width(),
                                          shape.q_width(),
                                          out.data(),
                                          shape.q_width()};
              run_tile(kernels, tile);
              if (expected.empty()) expected = out;
              expect_same_bits(out, expected,
                               isa + " type " + std::to_string(static_cast<int>(type)) + " head_dim " +
                                   std::to_string(head_dim) + " position " + std::to_string(position) +
                                   " rows " + std::to_string(n_rows) + " heads " + std::to_string(n_heads));
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace exa
