#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "base/memory.h"
#include "base/threads.h"
#include "kernels/backend.h"
#include "kernels/isa/ops.h"
#include "kernels/isa_under_test.h"
#include "kernels/quant.h"

namespace exa {
namespace {

std::size_t to_size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

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
    backend.append_kv(s, k.data(), shape_.kv_width(), v.data(), shape_.kv_width());
    backend.attention({&s, 1}, q.data(), shape_.q_width(), shape_.n_heads(), shape_.window, out.data(),
                      shape_.q_width());
  }
  void run(Backend& backend, std::int64_t rows_a_step) {
    for (std::int64_t from = 0; from < length_; from += rows_a_step) {
      step(backend, from, std::min(rows_a_step, length_ - from));
    }
  }

  float stored(float x) const { return shape_.type == KvType::kBF16 ? bf16_to_f32(f32_to_bf16(x)) : x; }

  // Softmax attention by its definition, in double precision, of one (row, head).
  std::vector<double> reference(std::int64_t row, int head) const {
    const std::int64_t oldest = shape_.window > 0 ? std::max<std::int64_t>(0, row - shape_.window + 1) : 0;
    return reference(row, head, oldest, row + 1);
  }
  // The same over positions [oldest, end).
  std::vector<double> reference(std::int64_t row, int head, std::int64_t oldest, std::int64_t end) const {
    const std::int64_t d_count = shape_.head_dim;
    const std::int64_t kv = head / shape_.group * d_count;
    const float* query = q.data() + row * shape_.q_width() + head * d_count;
    std::vector<double> weights(to_size(end), 0.0);
    double max = -1e300;
    for (std::int64_t p = oldest; p < end; ++p) {
      double score = 0;
      for (std::int64_t d = 0; d < d_count; ++d) {
        score += double{query[d]} * double{stored(k[to_size(p * shape_.kv_width() + kv + d)])};
      }
      weights[to_size(p)] = score / std::sqrt(static_cast<double>(d_count));
      max = std::max(max, weights[to_size(p)]);
    }
    double total = 0;
    std::vector<double> result(to_size(d_count), 0.0);
    for (std::int64_t p = oldest; p < end; ++p) {
      const double w = std::exp(weights[to_size(p)] - max);
      total += w;
      for (std::int64_t d = 0; d < d_count; ++d) {
        result[to_size(d)] += w * double{stored(v[to_size(p * shape_.kv_width() + kv + d)])};
      }
    }
    for (double& x : result) x /= total;
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
    for (std::int64_t row = segment.first_row; row < end; ++row) {
      for (int head = 0; head < shape_.n_heads(); ++head) {
        expect_near(row, head, reference(row, head, segment.first_row, end));
      }
    }
  }
  void expect_near(std::int64_t row, int head, const std::vector<double>& expected) const {
    for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
      const float actual = out[to_size(row * shape_.q_width() + head * std::int64_t{shape_.head_dim} + d)];
      ASSERT_NEAR(double{actual}, expected[to_size(d)], 3e-6)
          << "row " << row << " head " << head << " d " << d << " window " << shape_.window;
    }
  }

 private:
  Shape shape_;
  std::int64_t length_;
  std::vector<Buffer> store_;
  std::vector<std::byte*> blocks_;

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

TEST(Attention, MatchesSoftmaxInDoublePrecision) {
  Fixture setup(2);
  for (const KvType type : {KvType::kBF16, KvType::kF32}) {
    for (const int head_dim : {16, 64, 80, 128}) {
      for (const auto& [n_kv_heads, group] : {std::pair{1, 1}, {2, 4}, {1, 5}, {3, 1}, {1, 7}}) {
        for (const std::int64_t window : {0, 1, 31, 64}) {
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
  for (const std::int64_t window : {0, 100, 255, 256, 257, 300, 512, 4096}) {
    const Shape shape = {KvType::kBF16, 2, 2, 64, window};
    Sequence sequence(shape, 900, 0, 200);
    sequence.run(*setup.backend, 300);
    for (const std::int64_t row : {0L, 99L, 254L, 255L, 256L, 257L, 511L, 512L, 600L, 770L, 899L}) {
      sequence.expect_near_reference(row, 1);
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
  for (const KvType type : {KvType::kBF16, KvType::kF32}) {
    for (const std::int64_t window : {0, 128}) {
      for (const int group : {1, 3, 4, 5}) {
        const Shape shape = {type, 2, group, 64, window};
        Fixture one(1);
        Sequence whole(shape, 600, 0, 500);
        whole.run(*one.backend, 600);
        for (const int n_threads : {1, 2, 4}) {
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
    for (const AttentionSlice& slice : slices) {
      setup.backend->append_kv(slice, k.data(), shape.kv_width(), v.data(), shape.kv_width());
    }
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
    fixture.backend->append_kv(all, poisoned.k.data(), 32, poisoned.v.data(), 32);
    const AttentionSlice rows = poisoned.slice(first, n_rows);
    fixture.backend->attention({&rows, 1}, poisoned.q.data(), 64, 2, 20, poisoned.out.data(), 64);
    const std::vector<float> actual(poisoned.out.begin() + first * 64,
                                    poisoned.out.begin() + (last + 1) * 64);
    const std::vector<float> expected(clean.out.begin() + first * 64, clean.out.begin() + (last + 1) * 64);
    expect_same_bits(actual, expected, "rows from " + std::to_string(first));
  }
}

TEST(Attention, BothWaysRowsSeeTheirSegmentAndNothingElse) {
  for (const KvType type : {KvType::kBF16, KvType::kF32}) {
    for (const int group : {1, 4}) {
      const Shape shape = {type, 2, group, 64, 0};
      const AttentionRows rows = {nullptr, shape.kv_width(), nullptr, shape.kv_width(), 2, 64, type};
      const std::vector<AttentionSegment> segments = {{0, 64}, {64, 1}, {66, 33}, {99, 270}, {369, 15}};
      std::vector<float> first;
      for (const int n_threads : {1, 2, 4}) {
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

TEST(Attention, EveryInstructionSetEqualsScalar) {
  Fixture setup(1);
  for (const KvType type : {KvType::kBF16, KvType::kF32}) {
    for (const int head_dim : {16, 48, 64, 80, 128}) {
      for (const std::int64_t window : {0, 3, 100}) {
        const Shape shape = {type, 2, 9, head_dim, window};
        Sequence sequence(shape, 330, 0, 900);
        const AttentionSlice all = sequence.slice(0, 330);
        setup.backend->append_kv(all, sequence.k.data(), shape.kv_width(), sequence.v.data(),
                                 shape.kv_width());
        Buffer scratch(attention_scratch_bytes(head_dim));
        for (const std::int64_t position : {0L, 1L, 14L, 30L, 127L, 253L, 254L, 326L}) {
          for (const auto& [n_rows, n_heads] :
               {std::pair{1, 1}, {1, 5}, {1, 9}, {3, 9}, {4, 8}, {4, 3}, {2, 1}}) {
            std::vector<float> expected;
            for (const Isa isa : supported_isas()) {
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
              ops_kernels(isa).attention(tile, scratch.data());
              if (isa == Isa::kScalar) expected = out;
              expect_same_bits(out, expected,
                               std::string(name(isa)) + " head_dim " + std::to_string(head_dim) +
                                   " position " + std::to_string(position) + " rows " +
                                   std::to_string(n_rows) + " heads " + std::to_string(n_heads));
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace exa
