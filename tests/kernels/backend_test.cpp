#include "kernels/backend.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"
#include "kernels/allocation_count.h"
#include "kernels/isa_under_test.h"
#include "kernels/quant.h"
#include "kernels/random_weights.h"

namespace exa {
namespace {

std::size_t to_size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

struct Fixture {
  explicit Fixture(int n_threads) : pool(n_threads), backend(make_cpu_backend(pool)) {}
  ThreadPool pool;
  std::unique_ptr<Backend> backend;
};

MatrixSource source_of(const test::StoredRows& rows, std::string name = "w") {
  return {std::move(name), rows.type, rows.n_rows, rows.n_cols,
          [&rows](std::int64_t row, std::int64_t n, std::byte* out) {
            std::memcpy(out, rows.row(row), to_size(n) * rows.bytes_per_row);
          }};
}

std::vector<float> decoded(const test::StoredRows& rows) {
  std::vector<float> out(to_size(rows.n_rows * rows.n_cols));
  for (std::int64_t i = 0; i < rows.n_rows; ++i) {
    decode_row(rows.type, rows.row(i), to_size(rows.n_cols), out.data() + i * rows.n_cols);
  }
  return out;
}

TEST(BackendPack, AdoptsWhatItPackedOfTheSameSourceOnly) {
  Fixture fixture(2);
  for (const DType type : test::weight_types()) {
    SCOPED_TRACE(name(type));
    const test::StoredRows rows = test::random_rows(type, 53, 512, 1);
    const Matrix packed = fixture.backend->pack(source_of(rows), Precision::kProduction);
    EXPECT_EQ(packed.bytes.size_bytes(),
              fixture.backend->packed_bytes(type, 53, 512, Precision::kProduction));
    const auto copy = [&](std::size_t n_bytes) {
      Buffer bytes(n_bytes);
      std::memcpy(bytes.data(), packed.bytes.data(), std::min(n_bytes, packed.bytes.size_bytes()));
      return bytes;
    };
    const std::size_t n_bytes = packed.bytes.size_bytes();
    const std::optional<Matrix> adopted = fixture.backend->adopt(source_of(rows), copy(n_bytes));
    ASSERT_TRUE(adopted);
    std::vector<float> row(512), expected(512);
    unpack_row(packed, 17, expected.data());
    unpack_row(*adopted, 17, row.data());
    EXPECT_EQ(std::memcmp(row.data(), expected.data(), 512 * sizeof(float)), 0);

    EXPECT_FALSE(fixture.backend->adopt(source_of(rows), copy(n_bytes + packed.row_block_bytes)));
    EXPECT_FALSE(fixture.backend->adopt(source_of(rows), copy(n_bytes - packed.row_block_bytes)));
    Buffer changed = copy(n_bytes);
    changed.data()[n_bytes - packed.row_block_bytes] ^= std::byte{1};
    EXPECT_FALSE(fixture.backend->adopt(source_of(rows), std::move(changed)));
    const test::StoredRows others = test::random_rows(type, 53, 512, 2);
    EXPECT_FALSE(fixture.backend->adopt(source_of(others), copy(n_bytes)));
  }
}

TEST(BackendRows, ArePutGatheredAndRead) {
  for (const int n_threads : {1, 3}) {
    Fixture fixture(n_threads);
    constexpr std::int64_t kRows = 40, kWidth = 300, kStride = 304;
    Buffer memory = fixture.backend->allocate(to_size(kRows * kStride) * sizeof(float));
    float* const x = memory.as<float>();
    for (std::int64_t i = 0; i < kRows * kStride; ++i) ASSERT_EQ(x[i], 0.0F);
    std::vector<float> values(to_size(kRows * kWidth));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) + 1;
    std::vector<GivenRow> given;
    for (std::int64_t row = 1; row < kRows; row += 2) given.push_back({row, values.data() + row * kWidth});
    fixture.backend->put_rows(given, kWidth, x, kStride);

    std::vector<std::int64_t> wanted;
    for (std::int64_t i = 0; i < kRows; ++i) wanted.push_back(i * 7 % kRows);
    Buffer gathered = fixture.backend->allocate(to_size(kRows * kWidth) * sizeof(float));
    fixture.backend->gather_rows(x, kStride, wanted, kWidth, gathered.as<float>(), kWidth);
    const std::span<const float> read = fixture.backend->get_rows(gathered.as<float>(), kRows, kWidth);
    ASSERT_EQ(read.size(), to_size(kRows * kWidth));
    for (std::int64_t i = 0; i < kRows; ++i) {
      const std::int64_t row = wanted[to_size(i)];
      for (std::int64_t j = 0; j < kWidth; ++j) {
        ASSERT_EQ(read[to_size(i * kWidth + j)], row % 2 == 1 ? values[to_size(row * kWidth + j)] : 0.0F);
      }
    }
  }
}

TEST(BackendPack, EmbedGivesBackTheStoredRows) {
  for (const int n_threads : {1, 3}) {
    Fixture fixture(n_threads);
    for (const DType type : test::weight_types()) {
      const test::StoredRows rows = test::random_rows(type, 53, 512, 1);
      const std::vector<float> expected = decoded(rows);
      for (const Precision precision : {Precision::kProduction, Precision::kExact}) {
        const Matrix matrix = fixture.backend->pack(source_of(rows), precision);
        EXPECT_EQ(matrix.n_rows, 53);
        EXPECT_EQ(matrix.n_cols, 512);
        const std::vector<std::int32_t> ids = {52, 0, 16, 15, 31, 52, 7};
        std::vector<float> x(ids.size() * 520, -1.0F);
        fixture.backend->embed(matrix, ids, x.data(), 520);
        for (std::size_t i = 0; i < ids.size(); ++i) {
          const std::vector<float> actual(x.begin() + static_cast<std::ptrdiff_t>(i * 520),
                                          x.begin() + static_cast<std::ptrdiff_t>(i * 520 + 512));
          const std::vector<float> row(expected.begin() + ids[i] * 512,
                                       expected.begin() + (ids[i] + 1) * 512);
          expect_same_bits(actual, row, std::string(name(type)) + " row " + std::to_string(ids[i]));
          EXPECT_EQ(x[i * 520 + 512], -1.0F);
        }
      }
    }
  }
}

TEST(BackendPack, NamesTheSourceInErrors) {
  Fixture fixture(2);
  const auto none = [](std::int64_t, std::int64_t, std::byte*) {};
  const MatrixSource refused[] = {
      {"blk.0.a", DType::kI32, 16, 32, none},
      {"blk.0.a", DType::kQ4_K, 16, 100, none},
      {"blk.0.a", DType::kF32, 0, 32, none},
      {"blk.0.a", DType::kF32, 16, 0, none},
  };
  for (const MatrixSource& source : refused) {
    for (const Precision precision : {Precision::kProduction, Precision::kExact}) {
      try {
        fixture.backend->pack(source, precision);
        FAIL() << "accepted " << name(source.type);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
        EXPECT_EQ(error.where(), "blk.0.a");
      }
    }
  }
  try {
    fixture.backend->pack({"huge", DType::kF32, std::int64_t{1} << 61, std::int64_t{1} << 20, none},
                          Precision::kProduction);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMemory);
    EXPECT_EQ(error.where(), "huge");
  }
}

TEST(BackendPack, CarriesTheErrorOfAWorkerToTheCaller) {
  for (const int n_threads : {1, 2, 4}) {
    Fixture fixture(n_threads);
    for (const std::int64_t bad_row : {0, 160, 304}) {
      const MatrixSource source = {"w", DType::kF32, 320, 8,
                                   [bad_row](std::int64_t row, std::int64_t n, std::byte* out) {
                                     if (row <= bad_row && bad_row < row + n) {
                                       throw Error(ErrorKind::kIo, "the file ends", "model.gguf");
                                     }
                                     std::memset(out, 0, to_size(n) * 32);
                                   }};
      try {
        fixture.backend->pack(source, Precision::kProduction);
        FAIL();
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kIo);
        EXPECT_EQ(error.where(), "model.gguf");
      }
    }
    // The pool still works.
    std::atomic<int> runs{0};
    fixture.pool.parallel([&](int, int) { ++runs; });
    EXPECT_EQ(runs.load(), n_threads);
  }
}

// One call with targets of several types and sizes, against double precision.
TEST(BackendMatmul, TargetsOfDifferentTypesShareOneCall) {
  const std::int64_t n_cols = 512;
  const std::pair<DType, std::int64_t> shapes[] = {
      {DType::kQ4_K, 80}, {DType::kF32, 17},   {DType::kQ6_K, 16}, {DType::kBF16, 33},
      {DType::kQ5_0, 20}, {DType::kQ8_0, 100}, {DType::kF16, 1},   {DType::kQ4_0, 48}};
  for (const int n_threads : {1, 2, 5}) {
    Fixture fixture(n_threads);
    for (const Precision precision : {Precision::kProduction, Precision::kExact}) {
      std::vector<Matrix> matrices;
      std::vector<std::vector<float>> weights;
      std::int64_t width = 0;
      for (const auto& [type, n_rows] : shapes) {
        const test::StoredRows rows = test::random_rows(type, n_rows, n_cols, 7);
        matrices.push_back(fixture.backend->pack(source_of(rows), precision));
        weights.push_back(decoded(rows));
        width += n_rows;
      }
      for (const std::int64_t n_tokens : {1, 2, 19}) {
        const std::vector<float> x = random_floats(to_size(n_tokens * (n_cols + 4)), 8);
        std::vector<float> y(to_size(n_tokens * (width + 3)), -5.0F);
        std::vector<MatmulTarget> targets;
        std::int64_t column = 0;
        for (const Matrix& matrix : matrices) {
          targets.push_back({&matrix, y.data() + column, width + 3});
          column += matrix.n_rows;
        }
        fixture.backend->matmul(x.data(), n_cols + 4, n_tokens, targets);
        for (std::int64_t t = 0; t < n_tokens; ++t) {
          column = 0;
          for (std::size_t m = 0; m < matrices.size(); ++m) {
            for (std::int64_t r = 0; r < matrices[m].n_rows; ++r, ++column) {
              double expected = 0;
              double size = 0;
              for (std::int64_t k = 0; k < n_cols; ++k) {
                const double product =
                    double{weights[m][to_size(r * n_cols + k)]} * double{x[to_size(t * (n_cols + 4) + k)]};
                expected += product;
                size += product * product;
              }
              const bool int8 = precision == Precision::kProduction && is_quantized(matrices[m].type);
              ASSERT_NEAR(double{y[to_size(t * (width + 3) + column)]}, expected,
                          std::sqrt(size) * (int8 ? 0.05 : 1e-5))
                  << name(matrices[m].type) << " row " << r << " token " << t;
            }
          }
          for (std::int64_t i = 0; i < 3; ++i) EXPECT_EQ(y[to_size(t * (width + 3) + column + i)], -5.0F);
        }
      }
    }
  }
}

TEST(BackendMatmul, BitsDependNeitherOnThreadsNorOnNeighbours) {
  const test::StoredRows rows = test::random_rows(DType::kQ4_K, 112, 768, 9);
  const test::StoredRows more = test::random_rows(DType::kBF16, 48, 768, 10);
  std::vector<float> x = random_floats(30 * 768, 11);
  x[17 * 768 + 40] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> expected;
  for (const int n_threads : {1, 2, 3, 4}) {
    Fixture fixture(n_threads);
    const Matrix a = fixture.backend->pack(source_of(rows), Precision::kProduction);
    const Matrix b = fixture.backend->pack(source_of(more), Precision::kProduction);
    for (const std::int64_t rows_a_call : {30, 1, 7}) {
      std::vector<float> y(30 * 160);
      for (std::int64_t from = 0; from < 30; from += rows_a_call) {
        const MatmulTarget targets[] = {{&a, y.data() + from * 160, 160},
                                        {&b, y.data() + from * 160 + 112, 160}};
        fixture.backend->matmul(x.data() + from * 768, 768, std::min<std::int64_t>(rows_a_call, 30 - from),
                                targets);
      }
      if (expected.empty()) expected = y;
      expect_same_bits(y, expected, "threads " + std::to_string(n_threads));
    }
  }
  for (std::int64_t t = 0; t < 30; ++t) {
    for (std::int64_t i = 0; i < 160; ++i) EXPECT_EQ(std::isnan(expected[to_size(t * 160 + i)]), t == 17);
  }
}

TEST(BackendRows, StridesAndThreadsDoNotChangeTheResult) {
  constexpr std::int64_t kTokens = 11;
  constexpr std::int64_t kWidth = 2600;
  constexpr std::int64_t kStride = kWidth + 13;
  const std::vector<float> x = random_floats(kTokens * kStride, 12, 4.0F);
  const std::vector<float> other = random_floats(kTokens * kStride, 13);
  const std::vector<float> w = random_floats(kWidth, 14);
  std::vector<float> expected[4];
  for (const int n_threads : {1, 2, 4}) {
    Fixture fixture(n_threads);
    std::vector<float> y[4] = {other, other, other, x};
    fixture.backend->rmsnorm(x.data(), kStride, kTokens, kWidth, w.data(), 1e-5F, y[0].data(), kStride);
    fixture.backend->rmsnorm_add(x.data(), kStride, kTokens, kWidth, w.data(), 1e-5F, y[1].data(), kStride);
    fixture.backend->add(x.data(), kStride, kTokens, kWidth, y[2].data(), kStride);
    fixture.backend->silu_mul(y[3].data(), kStride, other.data(), kStride, kTokens, kWidth);
    for (int i = 0; i < 4; ++i) {
      if (expected[i].empty()) expected[i] = y[i];
      expect_same_bits(y[i], expected[i], "threads " + std::to_string(n_threads));
    }
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (to_size(kWidth) <= i % to_size(kStride)) {
      EXPECT_EQ(expected[0][i], other[i]);
      EXPECT_EQ(expected[3][i], x[i]);
      continue;
    }
    ASSERT_EQ(expected[1][i], other[i] + expected[0][i]);
    ASSERT_EQ(expected[2][i], other[i] + x[i]);
    const double silu = double{x[i]} / (1.0 + std::exp(-double{x[i]}));
    ASSERT_NEAR(double{expected[3][i]}, silu * double{other[i]}, 5e-7 * std::abs(silu * double{other[i]}));
  }
}

// Positions far beyond any table, with the angle rounded to fp32 as the reference does.
TEST(BackendHeads, NormalizesThenRotates) {
  constexpr int kHeads = 3;
  for (const int head_dim : {64, 80, 128}) {
    const auto half = static_cast<std::size_t>(head_dim / 2);
    std::vector<float> inverse(half);
    for (std::size_t j = 0; j < half; ++j) {
      inverse[j] = std::pow(1e6F, -static_cast<float>(j) / static_cast<float>(half));
    }
    const RopeFrequencies rope = {inverse.data(), head_dim};
    const std::vector<std::int64_t> positions = {0, 1, 77, 4095, 131071, 262143};
    const std::vector<float> weight = random_floats(to_size(head_dim), 15);
    const std::int64_t stride = kHeads * head_dim + 5;
    const std::vector<float> x = random_floats(positions.size() * to_size(stride), 16, 2.0F);
    for (const bool norms : {false, true}) {
      for (const bool rotates : {false, true}) {
        std::vector<float> expected;
        for (const int n_threads : {1, 2, 4}) {
          Fixture fixture(n_threads);
          std::vector<float> y = x;
          fixture.backend->norm_rope_heads(y.data(), stride, static_cast<std::int64_t>(positions.size()),
                                           kHeads, head_dim, norms ? weight.data() : nullptr, 1e-5F,
                                           rotates ? &rope : nullptr, positions.data());
          if (expected.empty()) expected = y;
          expect_same_bits(y, expected, "threads " + std::to_string(n_threads));
          // One row alone, after a call with other positions.
          std::vector<float> row(x.begin() + 3 * stride, x.begin() + 4 * stride);
          fixture.backend->norm_rope_heads(row.data(), stride, 1, kHeads, head_dim,
                                           norms ? weight.data() : nullptr, 1e-5F, rotates ? &rope : nullptr,
                                           positions.data() + 3);
          expect_same_bits(row, {y.begin() + 3 * stride, y.begin() + 4 * stride}, "one row");
        }
        for (std::size_t row = 0; row < positions.size(); ++row) {
          for (std::size_t h = 0; h < kHeads; ++h) {
            const std::size_t at = row * to_size(stride) + h * to_size(head_dim);
            double squares = 0;
            for (std::size_t d = 0; d < 2 * half; ++d) squares += double{x[at + d]} * double{x[at + d]};
            const double r = norms ? 1.0 / std::sqrt(squares / head_dim + 1e-5) : 1.0;
            for (std::size_t j = 0; j < half; ++j) {
              const double a = double{x[at + j]} * r * (norms ? double{weight[j]} : 1.0);
              const double b = double{x[at + j + half]} * r * (norms ? double{weight[j + half]} : 1.0);
              const double angle = rotates ? double{static_cast<float>(positions[row]) * inverse[j]} : 0.0;
              const double tolerance = 1e-6 * (std::abs(a) + std::abs(b)) + 1e-30;
              ASSERT_NEAR(double{expected[at + j]}, a * std::cos(angle) - b * std::sin(angle), tolerance);
              ASSERT_NEAR(double{expected[at + j + half]}, b * std::cos(angle) + a * std::sin(angle),
                          tolerance);
            }
          }
        }
      }
    }
  }
}

// The second frequencies have the first ones' shape and positions: only their values tell them apart.
TEST(BackendHeads, NoticesOtherFrequencies) {
  Fixture fixture(1);
  std::vector<float> inverse(8, 1.0F);
  const RopeFrequencies rope = {inverse.data(), 16};
  const std::int64_t position = 2;
  for (const float frequency : {1.0F, 0.5F}) {
    std::fill(inverse.begin(), inverse.end(), frequency);
    std::vector<float> x(16, 0.0F);
    x[0] = 1.0F;
    fixture.backend->norm_rope_heads(x.data(), 16, 1, 1, 16, nullptr, 1e-5F, &rope, &position);
    EXPECT_NEAR(x[0], std::cos(2.0F * frequency), 1e-7F);
    EXPECT_NEAR(x[8], std::sin(2.0F * frequency), 1e-7F);
  }
}

// The verbs of one decoder layer with one token, at ever new positions.
TEST(Backend, DecodingAllocatesNothing) {
  Fixture fixture(2);
  Backend& backend = *fixture.backend;
  const test::StoredRows rows = test::random_rows(DType::kQ4_K, 512, 256, 17);
  const Matrix matrix = backend.pack(source_of(rows), Precision::kProduction);
  const std::vector<float> w(256, 1.0F);
  const std::vector<float> inverse(32, 0.1F);
  const RopeFrequencies rope = {inverse.data(), 64};
  Buffer block(kv_block_bytes(KvType::kBF16, 2, 64) * 4);
  std::byte* blocks[4];
  for (std::size_t i = 0; i < 4; ++i) blocks[i] = block.data() + i * kv_block_bytes(KvType::kBF16, 2, 64);
  std::vector<float> x = random_floats(256, 18);
  std::vector<float> y(512);
  std::vector<float> out(256);
  const std::int32_t id = 5;
  long before = 0;
  for (std::int64_t position = 0; position < 60; ++position) {
    if (position == 3) before = test::allocation_count();
    const AttentionSlice slice = {{KvType::kBF16, 2, 64, blocks, 4}, 0, 1, position};
    const MatmulTarget target = {&matrix, y.data(), 512};
    backend.embed(matrix, {&id, 1}, x.data(), 256);
    backend.matmul(x.data(), 256, 1, {&target, 1});
    backend.norm_rope_heads(y.data(), 512, 1, 4, 64, w.data(), 1e-5F, &rope, &position);
    backend.append_kv({&slice, 1}, y.data() + 256, 512, y.data() + 384, 512);
    backend.attention({&slice, 1}, y.data(), 512, 4, 0, out.data(), 256);
    backend.rmsnorm_add(out.data(), 256, 1, 256, w.data(), 1e-5F, x.data(), 256);
    backend.silu_mul(x.data(), 256, out.data(), 256, 1, 256);
    backend.add(out.data(), 256, 1, 256, x.data(), 256);
    backend.rmsnorm(x.data(), 256, 1, 256, w.data(), 1e-5F, x.data(), 256);
  }
  EXPECT_GT(before, 0);
  EXPECT_EQ(test::allocation_count(), before);
}

}  // namespace
}  // namespace exa
