#include "cli/measure/bench_model.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "base/error.h"
#include "convert/recipes.h"
#include "formats/checkpoint.h"
#include "kernels/quantize.h"
#include "model/arch/exaone4.h"

namespace exa {
namespace {

constexpr float kSigma = 0.02F;
constexpr std::int64_t kPoolRows = 61;  // different rows of one type and width; no power of two

std::string readable_count(std::uint64_t n) {
  return n < 1'000'000'000 ? fmt::format("{:.0f}M", 1e-6 * static_cast<double>(n))
                           : fmt::format("{:.1f}B", 1e-9 * static_cast<double>(n));
}

struct Shape {
  std::string_view name;
  std::int64_t layers, hidden, n_heads, n_kv_heads, head_dim, ffn_width, vocab, window;
  bool tied_head;
};

constexpr Shape kShapes[] = {
    {"1.2b", 30, 2048, 32, 8, 64, 4096, 102400, 0, true},
    {"32b", 64, 5120, 40, 8, 128, 27392, 102400, 4096, false},
};

ModelConfig to_config(const Shape& shape, std::int64_t n_layers) {
  ModelConfig c;
  c.architecture_name = "exaone4";
  c.model_name = "synthetic";
  c.hidden = shape.hidden;
  c.n_heads = shape.n_heads;
  c.n_kv_heads = shape.n_kv_heads;
  c.head_dim = shape.head_dim;
  c.ffn_width = shape.ffn_width;
  c.vocab = shape.vocab;
  c.max_context = 131072;
  c.rms_eps = 1e-5F;
  c.rope_theta = 1e6;
  c.tied_head = shape.tied_head;
  c.window = shape.window;
  for (std::int64_t i = 0; i < n_layers; ++i) {
    const bool global = shape.window == 0 || i % 4 == 3;
    c.layers.push_back({.window = global ? 0 : shape.window, .rope = shape.window == 0 || !global});
  }
  return c;
}

// Matrices of random rows. A few rows of each type and width are drawn and encoded, and repeated in a
// shuffled order: kernels take as long as with all rows different, and a model is made in seconds.
class Maker {
 public:
  Maker(Backend& backend, const ModelConfig& config, FileKind kind)
      : backend_(backend),
        recipe_{.kind = kind},
        model_{.n_layers = config.n_layers(),
               .n_heads = config.n_heads,
               .n_kv_heads = config.n_kv_heads,
               .tied_head = config.tied_head} {
    std::uint64_t elements = 2 * static_cast<std::uint64_t>(config.vocab * config.hidden);
    elements += static_cast<std::uint64_t>(config.n_layers() * config.hidden) *
                static_cast<std::uint64_t>(2 * (config.n_heads + config.n_kv_heads) * config.head_dim +
                                           3 * config.ffn_width);
    region_ = std::make_shared<Region>(elements * sizeof(float), Pages::kHuge);
  }

  Matrix matrix(const std::string& name, std::int64_t n_rows, std::int64_t n_cols) {
    const DType type = fitting_type(recipe_type(recipe_, model_, name, TensorPart::kText),
                                    static_cast<std::uint64_t>(n_cols));
    const std::size_t n_row_bytes = row_bytes(type, static_cast<std::uint64_t>(n_cols));
    const std::vector<std::byte>& pool = rows(type, n_cols);
    n_params += static_cast<std::uint64_t>(n_rows * n_cols);
    n_bytes += static_cast<std::uint64_t>(n_rows) * n_row_bytes;
    const std::int64_t shift = static_cast<std::int64_t>(n_params % kPoolRows);
    return backend_.pack({.name = name,
                          .type = type,
                          .n_rows = n_rows,
                          .n_cols = n_cols,
                          .read =
                              [&pool, n_row_bytes, shift](std::int64_t row, std::int64_t n, std::byte* out) {
                                for (std::int64_t i = 0; i < n; ++i) {
                                  const auto from =
                                      static_cast<std::size_t>((row + i) * 17 + shift) % kPoolRows;
                                  std::memcpy(out + static_cast<std::size_t>(i) * n_row_bytes,
                                              pool.data() + from * n_row_bytes, n_row_bytes);
                                }
                              },
                          .allocate =
                              [this](std::size_t n_packed) {
                                const std::size_t offset = used_;
                                used_ += (n_packed + 63) / 64 * 64;
                                return Buffer(region_, offset, n_packed);
                              }},
                         Precision::kProduction);
  }

  std::vector<float> ones(std::int64_t n) {
    n_params += static_cast<std::uint64_t>(n);
    n_bytes += static_cast<std::uint64_t>(n) * sizeof(float);
    return std::vector<float>(static_cast<std::size_t>(n), 1.0F);
  }

  std::uint64_t n_params = 0;
  std::uint64_t n_bytes = 0;
  std::shared_ptr<Region> region() const { return region_; }
  std::size_t used_bytes() const { return used_; }

 private:
  const std::vector<std::byte>& rows(DType type, std::int64_t n_cols) {
    std::vector<std::byte>& pool = pools_[{type, n_cols}];
    if (!pool.empty()) return pool;
    std::vector<float> values(static_cast<std::size_t>(kPoolRows * n_cols));
    std::normal_distribution<float> normal(0.0F, kSigma);
    for (float& value : values) value = normal(random_);
    const auto width = static_cast<std::size_t>(n_cols);
    pool.resize(kPoolRows * row_bytes(type, width));
    quantize_kernels().encode(type, values.data(), kPoolRows, width, nullptr, pool.data());
    return pool;
  }

  Backend& backend_;
  Recipe recipe_;
  RecipeModel model_;
  std::shared_ptr<Region> region_;
  std::size_t used_ = 0;
  std::mt19937 random_{20260101};
  std::map<std::pair<DType, std::int64_t>, std::vector<std::byte>> pools_;
};

}  // namespace

BenchModel read_bench_model(const std::filesystem::path& path, Backend& backend) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  BenchModel model;
  model.file_name = path.string();
  model.weights = load_weights(checkpoint, read_config(checkpoint), backend, Precision::kProduction);
  std::map<DType, std::uint64_t> by_type;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    model.n_bytes += tensor.n_bytes;
    model.n_params += tensor.n_elements();
    by_type[tensor.type] += tensor.n_elements();
  }
  std::string type;
  if (const auto file_type = checkpoint.get_u64("general.file_type")) {
    for (const FileKindTraits& kind : file_kinds()) {
      if (kind.file_type == *file_type) type = kind.name;
    }
  }
  if (type.empty()) {
    const auto most = std::max_element(by_type.begin(), by_type.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    type = name(most->first);
  }
  model.type =
      fmt::format("{} {} {}", model.weights.config.architecture_name, readable_count(model.n_params), type);
  return model;
}

BenchModel make_bench_model(std::string_view shape_text, std::string_view type, Backend& backend) {
  const FileKind kind = parse_file_kind(type);
  const std::size_t colon = shape_text.find(':');
  const Shape* shape = nullptr;
  for (const Shape& known : kShapes) {
    if (known.name == shape_text.substr(0, colon)) shape = &known;
  }
  std::int64_t n_layers = shape != nullptr ? shape->layers : 0;
  if (colon != std::string_view::npos) {
    const std::string_view digits = shape_text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n_layers);
    if (error != std::errc{} || end != digits.data() + digits.size()) shape = nullptr;
  }
  if (shape == nullptr || n_layers < 1 || n_layers > shape->layers) {
    throw Error(ErrorKind::kUsage,
                "found " + std::string(shape_text) + ", expected 1.2b, 32b, or one of them with :LAYERS",
                "--synthetic");
  }
  BenchModel model;
  Weights& w = model.weights;
  w.config = to_config(*shape, n_layers);
  const ModelConfig& c = w.config;
  Maker make(backend, c, kind);
  w.layers.resize(c.layers.size());
  for_each_part(kExaone4, c, [&](const Part& part, std::int64_t i) {
    const std::vector<std::uint64_t> dimensions = part_shape(part, c);
    const auto first = static_cast<std::int64_t>(dimensions[0]);
    if (part.kind == PartKind::kVector) {
      vector_of(w, part, i) = make.ones(first);
    } else {
      matrix_of(w, part, i) =
          make.matrix(gguf_name(part, i), first, static_cast<std::int64_t>(dimensions[1]));
    }
  });
  w.rope_inverse = rope_inverse_frequencies(c, nullptr);
  w.region = make.region();
  w.region_bytes = make.used_bytes();
  model.n_params = make.n_params;
  model.n_bytes = make.n_bytes;
  model.type = fmt::format("synthetic {} {}", shape_text, traits(kind).name);
  return model;
}

}  // namespace exa
