#include "model/decoder.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "model/reference_decoder.h"
#include "model/score.h"

namespace exa {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(EXAONE_SOURCE_DIR) / "tests/data/models";

struct Loaded {
  explicit Loaded(const fs::path& path, int n_threads = 1, Precision precision = Precision::kProduction)
      : pool(n_threads),
        backend(make_cpu_backend(pool)),
        weights(
            load_weights(Checkpoint::open(path), read_config(Checkpoint::open(path)), *backend, precision)) {}

  ThreadPool pool;
  std::unique_ptr<Backend> backend;
  Weights weights;
};

std::vector<std::int32_t> some_ids(std::size_t n, std::int64_t vocab, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> ids(n);
  for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random() % static_cast<unsigned>(vocab));
  return ids;
}

// Logits of all positions, computed in chunks.
std::vector<float> logits_of(Loaded& model, const std::vector<std::int32_t>& ids, std::int64_t chunk) {
  Decoder decoder(model.weights, *model.backend, chunk);
  KvCache cache(model.weights.config, KvType::kBF16, chunk);
  std::vector<std::int32_t> positions(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) positions[i] = static_cast<std::int32_t>(i);
  std::vector<float> all;
  score(
      decoder, cache, ids, positions, chunk,
      [&](std::size_t, std::span<const float> row) { all.insert(all.end(), row.begin(), row.end()); },
      Role::kGenerated);
  return all;
}

void make_room(const std::vector<StepSlice>& slices) {
  for (const StepSlice& slice : slices) slice.cache->reserve(static_cast<std::int64_t>(slice.ids.size()));
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<fs::path> model_files() {
  return {kModels / "tiny-exaone4", kModels / "tiny-exaone4/tiny-exaone4.Q8_0.gguf",
          kModels / "tiny-exaone4-hybrid", kModels / "tiny-exaone4_5/tiny-exaone4_5.Q4_0.gguf",
          kModels / "tiny-exaone3", kModels / "tiny-exaone3-deep/tiny-exaone3-deep.BF16.gguf"};
}

TEST(Decoder, BitsDoNotDependOnChunkOrThreads) {
  for (const fs::path& path : model_files()) {
    Loaded one(path, 1);
    const std::vector<std::int32_t> ids = some_ids(90, one.weights.config.vocab, 7);
    const std::vector<float> expected = logits_of(one, ids, 512);
    for (const float x : expected) ASSERT_TRUE(std::isfinite(x)) << path;
    for (const std::int64_t chunk : {1, 7, 24})
      EXPECT_TRUE(same_bits(expected, logits_of(one, ids, chunk))) << path << " chunk " << chunk;
    for (const int n_threads : {2, 4}) {
      Loaded several(path, n_threads);
      EXPECT_TRUE(same_bits(expected, logits_of(several, ids, 24))) << path << " threads " << n_threads;
    }
  }
}

TEST(Decoder, BitsDoNotDependOnOtherSequences) {
  Loaded model(kModels / "tiny-exaone4-hybrid", 2);
  const ModelConfig& config = model.weights.config;
  const std::vector<std::int32_t> a = some_ids(60, config.vocab, 1);
  const std::vector<std::int32_t> b = some_ids(60, config.vocab, 2);
  const std::vector<float> alone = logits_of(model, a, 1);

  Decoder decoder(model.weights, *model.backend, 64);
  KvCache cache_a(config, KvType::kBF16, 64);
  KvCache cache_b(config, KvType::kBF16, 64);
  // b's prompt arrives in one step while a decodes, then both go on side by side.
  std::vector<float> together;
  const std::vector<std::int32_t> last{0};
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::vector<StepSlice> slices;
    if (i == 10) slices.push_back({&cache_b, std::span(b).first(10), {}});
    if (i > 10) slices.push_back({&cache_b, std::span(b).subspan(i - 1, 1), {}});
    slices.push_back({&cache_a, std::span(a).subspan(i, 1), last});
    make_room(slices);
    const std::span<const float> logits = decoder.step(slices);
    together.insert(together.end(), logits.begin(), logits.end());
  }
  EXPECT_TRUE(same_bits(alone, together));
}

// On every machine: where prompt rows have a path of their own it is theirs whatever stands beside them.
TEST(Decoder, BitsOfARowFollowFromItsRole) {
  Loaded model(kModels / "tiny-exaone4-hybrid", 2);
  const ModelConfig& config = model.weights.config;
  const std::vector<std::int32_t> a = some_ids(40, config.vocab, 5);
  const std::vector<std::int32_t> b = some_ids(40, config.vocab, 6);
  const std::vector<std::int32_t> last{0};
  Decoder decoder(model.weights, *model.backend, 64);
  // a's prompt of 30 rows in steps of `chunk`, then ten rows as generated ones; b arrives meanwhile.
  const auto run = [&](std::size_t chunk, bool with_b) {
    KvCache cache_a(config, KvType::kBF16, 64);
    KvCache cache_b(config, KvType::kBF16, 64);
    std::vector<float> out;
    std::size_t done_b = 0;
    for (std::size_t done = 0; done < a.size();) {
      const bool prompt = done < 30;
      const std::size_t n = prompt ? std::min(chunk, 30 - done) : 1;
      const std::vector<std::int32_t> last_of_a{static_cast<std::int32_t>(n) - 1};
      std::vector<StepSlice> slices;
      slices.push_back({.cache = &cache_a,
                        .ids = std::span(a).subspan(done, n),
                        .logits_rows = last_of_a,
                        .role = prompt ? Role::kPrompt : Role::kGenerated});
      if (with_b && done_b + 3 <= b.size()) {
        slices.push_back({.cache = &cache_b,
                          .ids = std::span(b).subspan(done_b, 3),
                          .logits_rows = last,
                          .role = done_b % 2 == 0 ? Role::kPrompt : Role::kGenerated});
        done_b += 3;
      }
      done += n;
      make_room(slices);
      const std::span<const float> logits =
          decoder.step(slices).first(static_cast<std::size_t>(config.vocab));
      if (done >= 30) out.insert(out.end(), logits.begin(), logits.end());
    }
    return out;
  };
  const std::vector<float> expected = run(30, false);
  for (const std::size_t chunk : {1, 7, 30}) {
    EXPECT_TRUE(same_bits(expected, run(chunk, false))) << chunk;
    EXPECT_TRUE(same_bits(expected, run(chunk, true))) << chunk;
  }
}

TEST(Decoder, TruncatedCacheContinuesLikeAFreshOne) {
  Loaded model(kModels / "tiny-exaone4-hybrid", 1);
  const ModelConfig& config = model.weights.config;
  const std::vector<std::int32_t> ids = some_ids(100, config.vocab, 3);
  Decoder decoder(model.weights, *model.backend, 16);
  KvCache cache(config, KvType::kBF16, 16);
  score(
      decoder, cache, ids, {}, 16, [](std::size_t, std::span<const float>) {}, Role::kGenerated);
  ASSERT_EQ(cache.truncate(95), 95);
  const std::vector<std::int32_t> other = some_ids(20, config.vocab, 4);
  std::vector<float> continued;
  const std::vector<std::int32_t> last{19};
  score(
      decoder, cache, other, last, 16,
      [&](std::size_t, std::span<const float> row) { continued.assign(row.begin(), row.end()); },
      Role::kGenerated);

  std::vector<std::int32_t> whole(ids.begin(), ids.begin() + 95);
  whole.insert(whole.end(), other.begin(), other.end());
  const std::vector<float> fresh = logits_of(model, whole, 16);
  const std::vector<float> expected(fresh.end() - static_cast<std::ptrdiff_t>(continued.size()), fresh.end());
  EXPECT_TRUE(same_bits(expected, continued));
}

// Blocks that another sequence gave back hold nothing of it.
TEST(Decoder, UsedBlocksGiveTheSameBits) {
  Loaded model(kModels / "tiny-exaone4-hybrid", 2);
  const ModelConfig& config = model.weights.config;
  Decoder decoder(model.weights, *model.backend, 16);
  const auto pool = std::make_shared<KvPool>(KvShape(config).block_bytes(KvType::kBF16),
                                             KvCache::bytes_for(config, KvType::kBF16, 16, 100));
  const auto all_logits = [&](unsigned seed, std::vector<float>& out) {
    KvCache cache(pool, config, KvType::kBF16, 16);
    std::vector<std::int32_t> positions(100);
    std::iota(positions.begin(), positions.end(), 0);
    score(
        decoder, cache, some_ids(100, config.vocab, seed), positions, 16,
        [&](std::size_t, std::span<const float> row) { out.insert(out.end(), row.begin(), row.end()); },
        Role::kGenerated);
  };
  std::vector<float> first, again, other;
  all_logits(21, first);
  all_logits(22, other);
  all_logits(21, again);
  EXPECT_TRUE(same_bits(first, again));
  EXPECT_TRUE(same_bits(other, logits_of(model, some_ids(100, config.vocab, 22), 16)));
  EXPECT_LE(pool->size_bytes(), KvCache::bytes_for(config, KvType::kBF16, 16, 100));
}

// Room is made before the step, which then cannot fail for one of its sequences.
TEST(Decoder, AStepMakesNoRoom) {
  Loaded model(kModels / "tiny-exaone4", 1);
  Decoder decoder(model.weights, *model.backend, 8);
  KvCache cache(model.weights.config, KvType::kBF16, 8);
  const std::vector<std::int32_t> ids{1, 2, 3};
  const StepSlice slice{&cache, ids, {}};
  cache.reserve(2);
  EXPECT_THROW(decoder.step({&slice, 1}), Error);
  EXPECT_EQ(cache.length(), 0);
  cache.reserve(3);
  decoder.step({&slice, 1});
  EXPECT_EQ(cache.length(), 3);
  EXPECT_EQ(cache.room(), 0);
}

TEST(Decoder, WrongIdsAndPositionsAreErrors) {
  Loaded model(kModels / "tiny-exaone4", 1);
  Decoder decoder(model.weights, *model.backend, 8);
  KvCache cache(model.weights.config, KvType::kBF16, 8);
  const auto ignore = [](std::size_t, std::span<const float>) {};
  const std::vector<std::int32_t> beyond{static_cast<std::int32_t>(model.weights.config.vocab)};
  EXPECT_THROW(score(decoder, cache, beyond, {}, 8, ignore), Error);
  const std::vector<std::int32_t> negative{-1};
  EXPECT_THROW(score(decoder, cache, negative, {}, 8, ignore), Error);
  const std::vector<std::int32_t> good{1, 2};
  const std::vector<std::int32_t> descending{1, 0};
  EXPECT_THROW(score(decoder, cache, good, descending, 8, ignore), Error);
}

// A small model whose every normalised vector has a mean square near eps, so that each eps shows in the
// logits.
struct SmallShape {
  int head_dim = 16;
  bool tied = false;  // the embedding serves as head, and is as large as one
  std::vector<float> rope_factors;
  NormPlacement norm = NormPlacement::kPost;
  bool qk_norm = true;
};

struct SmallModel {
  test::DenseModel dense;
  Weights weights;

  SmallModel(Backend& backend, const std::vector<int>& windows, const SmallShape& shape = {}) {
    std::mt19937 random(11);
    std::normal_distribution<double> normal;
    const auto draw = [&](std::size_t n, double scale) {
      std::vector<double> values(n);
      for (double& x : values) x = static_cast<double>(static_cast<float>(normal(random) * scale));
      return values;
    };
    const auto near_one = [&](std::size_t n) {
      std::vector<double> values = draw(n, 0.1);
      for (double& x : values) x = static_cast<double>(static_cast<float>(x + 1.0));
      return values;
    };
    const auto to_float = [](const std::vector<double>& v) { return std::vector<float>(v.begin(), v.end()); };
    const auto pack = [&](const std::vector<double>& w, int rows) {
      const std::vector<float> values = to_float(w);
      const auto columns = static_cast<std::int64_t>(values.size()) / rows;
      return backend.pack({.name = "test",
                           .type = DType::kF32,
                           .n_rows = rows,
                           .n_cols = columns,
                           .read =
                               [&](std::int64_t row, std::int64_t n, std::byte* out) {
                                 std::memcpy(out, values.data() + row * columns,
                                             static_cast<std::size_t>(n * columns) * sizeof(float));
                               }},
                          Precision::kExact);
    };
    const int hidden = 32, n_heads = 4, n_kv_heads = 2, ffn_width = 64, vocab = 40;
    const int head_dim = shape.head_dim;
    ModelConfig& c = weights.config;
    c.hidden = hidden;
    c.n_heads = n_heads;
    c.n_kv_heads = n_kv_heads;
    c.head_dim = head_dim;
    c.ffn_width = ffn_width;
    c.vocab = vocab;
    c.rms_eps = 1e-5f;
    c.rope_theta = 10000;
    weights.precision = Precision::kExact;
    weights.rope_inverse =
        rope_inverse_frequencies(c, shape.rope_factors.empty() ? nullptr : &shape.rope_factors);
    c.tied_head = shape.tied;

    dense = {.hidden = hidden,
             .n_heads = n_heads,
             .n_kv_heads = n_kv_heads,
             .head_dim = head_dim,
             .ffn_width = ffn_width,
             .vocab = vocab,
             .window = windows,
             .rope = {},
             .inverse = {weights.rope_inverse.begin(), weights.rope_inverse.end()},
             .embedding = draw(static_cast<std::size_t>(vocab * hidden), shape.tied ? 0.3 : 3e-3),
             .head = draw(static_cast<std::size_t>(vocab * hidden), 0.3),
             .final_norm = near_one(static_cast<std::size_t>(hidden)),
             .layers = {}};
    const auto matrix = [&](int rows, int columns, double scale) {
      return draw(static_cast<std::size_t>(rows * columns), scale);
    };
    for (const int window : windows) {
      const bool rope = window > 0;
      dense.rope.push_back(rope);
      c.layers.push_back({.window = window, .rope = rope, .norm = shape.norm, .qk_norm = shape.qk_norm});
      // Norm weights of 3e-3 keep the residual stream as small as the embeddings.
      std::vector<double> attention_norm = near_one(static_cast<std::size_t>(hidden));
      std::vector<double> ffn_norm = near_one(static_cast<std::size_t>(hidden));
      for (double& x : attention_norm) x = static_cast<double>(static_cast<float>(x * 3e-3));
      for (double& x : ffn_norm) x = static_cast<double>(static_cast<float>(x * 3e-3));
      test::DenseLayer layer{.q = matrix(n_heads * head_dim, hidden, 0.2),
                             .k = matrix(n_kv_heads * head_dim, hidden, 0.2),
                             .v = matrix(n_kv_heads * head_dim, hidden, 0.2),
                             .o = matrix(hidden, n_heads * head_dim, 0.2),
                             .gate = matrix(ffn_width, hidden, 2.0),
                             .up = matrix(ffn_width, hidden, 2.0),
                             .down = matrix(hidden, ffn_width, 2.0),
                             .q_norm = near_one(static_cast<std::size_t>(head_dim)),
                             .k_norm = near_one(static_cast<std::size_t>(head_dim)),
                             .attention_norm = attention_norm,
                             .ffn_norm = ffn_norm};
      if (!shape.qk_norm) {
        layer.q_norm.clear();
        layer.k_norm.clear();
      }
      LayerWeights w;
      w.q = pack(layer.q, n_heads * head_dim);
      w.k = pack(layer.k, n_kv_heads * head_dim);
      w.v = pack(layer.v, n_kv_heads * head_dim);
      w.o = pack(layer.o, hidden);
      w.gate = pack(layer.gate, ffn_width);
      w.up = pack(layer.up, ffn_width);
      w.down = pack(layer.down, hidden);
      w.q_norm = to_float(layer.q_norm);
      w.k_norm = to_float(layer.k_norm);
      w.attention_norm = to_float(layer.attention_norm);
      w.ffn_norm = to_float(layer.ffn_norm);
      weights.layers.push_back(std::move(w));
      dense.layers.push_back(std::move(layer));
    }
    weights.embedding = pack(dense.embedding, vocab);
    if (shape.tied) {
      dense.head = dense.embedding;
    } else {
      weights.head = pack(dense.head, vocab);
    }
    weights.final_norm = to_float(dense.final_norm);
    dense.pre_norm = shape.norm == NormPlacement::kPre;
  }
};

double largest_difference(const std::vector<std::vector<double>>& expected, const std::vector<float>& ours) {
  double worst = 0;
  std::size_t i = 0;
  for (const std::vector<double>& row : expected) {
    for (const double x : row) worst = std::max(worst, std::abs(x - static_cast<double>(ours[i++])));
  }
  return worst;
}

std::vector<float> logits_of(const SmallModel& model, Backend& backend,
                             const std::vector<std::int32_t>& ids) {
  Decoder decoder(model.weights, backend, 8);
  KvCache cache(model.weights.config, KvType::kF32, 8);
  std::vector<std::int32_t> positions;
  for (std::size_t i = 0; i < ids.size(); ++i) positions.push_back(static_cast<std::int32_t>(i));
  std::vector<float> all;
  score(decoder, cache, ids, positions, 8,
        [&](std::size_t, std::span<const float> row) { all.insert(all.end(), row.begin(), row.end()); });
  return all;
}

// Section 6.6, vllm 23918: global layers of a hybrid have no rotation; and vLLM's GGUF loader: pairs are
// halves apart.
TEST(Decoder, EqualsTheEquationsAndShowsEveryEps) {
  ThreadPool pool(2);
  const std::unique_ptr<Backend> backend = make_cpu_backend(pool);
  const SmallModel model(*backend, {5, 0});
  const std::vector<std::int32_t> ids = some_ids(20, model.dense.vocab, 5);
  const std::vector<float> ours = logits_of(model, *backend, ids);

  constexpr double kTolerance = 2e-5;
  EXPECT_LT(largest_difference(test::forward(model.dense, ids, {}), ours), kTolerance);
  // Each eps, changed alone in the equations, must move the logits far beyond that.
  for (double test::NormEps::*place : {&test::NormEps::q, &test::NormEps::k, &test::NormEps::attention,
                                       &test::NormEps::ffn, &test::NormEps::final}) {
    test::NormEps eps;
    eps.*place = 1e-6;
    EXPECT_GT(largest_difference(test::forward(model.dense, ids, eps), ours), 20 * kTolerance);
  }
}

// Section 6.6, llama.cpp 14755, 10737 and 12451, the shape of EXAONE 3.5 2.4B: heads of 80, which is no power
// of two, rope factors of their own, and no output matrix.
TEST(Decoder, HeadsOf80WithRopeFactorsAndATiedOutput) {
  ThreadPool pool(2);
  const std::unique_ptr<Backend> backend = make_cpu_backend(pool);
  SmallShape shape{.head_dim = 80, .tied = true, .rope_factors = {}};
  for (int j = 0; j < 40; ++j) shape.rope_factors.push_back(1.0f + 0.2f * static_cast<float>(j));
  const SmallModel model(*backend, {5, 24}, shape);
  ASSERT_FALSE(model.weights.head);
  const std::vector<std::int32_t> ids = some_ids(20, model.dense.vocab, 5);
  const std::vector<float> ours = logits_of(model, *backend, ids);
  constexpr double kTolerance = 1e-4;
  EXPECT_LT(largest_difference(test::forward(model.dense, ids, {}), ours), kTolerance);
  // Without the factors, or with another head, it is another model.
  test::DenseModel plain = model.dense;
  for (std::size_t j = 0; j < plain.inverse.size(); ++j) {
    plain.inverse[j] *= static_cast<double>(shape.rope_factors[j]);
  }
  EXPECT_GT(largest_difference(test::forward(plain, ids, {}), ours), 20 * kTolerance);
}

// EXAONE 3.x and K-EXAONE: sublayers read a normed copy; K-EXAONE norms queries and keys, 3.x does not.
TEST(Decoder, PreNormEqualsTheEquationsAndShowsEveryEps) {
  ThreadPool pool(2);
  const std::unique_ptr<Backend> backend = make_cpu_backend(pool);
  for (const bool qk_norm : {true, false}) {
    SCOPED_TRACE(qk_norm);
    const SmallModel model(*backend, {5, 0},
                           {.rope_factors = {}, .norm = NormPlacement::kPre, .qk_norm = qk_norm});
    const std::vector<std::int32_t> ids = some_ids(20, model.dense.vocab, 5);
    const std::vector<float> ours = logits_of(model, *backend, ids);
    constexpr double kTolerance = 2e-5;
    EXPECT_LT(largest_difference(test::forward(model.dense, ids, {}), ours), kTolerance);
    for (double test::NormEps::*place :
         {&test::NormEps::attention, &test::NormEps::ffn, &test::NormEps::final}) {
      test::NormEps eps;
      eps.*place = 1e-6;
      EXPECT_GT(largest_difference(test::forward(model.dense, ids, eps), ours), 20 * kTolerance);
    }
    test::DenseModel post = model.dense;
    post.pre_norm = false;
    EXPECT_GT(largest_difference(test::forward(post, ids, {}), ours), 20 * kTolerance);
  }
}

}  // namespace
}  // namespace exa
