#include "model/weights.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/quant.h"
#include "model/arch/family.h"
#include "model/tensor_binder.h"

namespace exa {
namespace {

constexpr std::size_t kLine = 64;

// A cached matrix is not what this checkpoint and this program make of it.
struct StalePack {};

// The most that all matrices of the checkpoint take when packed.
std::size_t most_packed_bytes(const Checkpoint& checkpoint, Precision precision) {
  std::uint64_t total = 0;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (tensor.shape.size() != 2 || !can_decode(tensor.type)) continue;
    const DType type = precision == Precision::kExact ? DType::kF32 : tensor.type;
    const auto n_blocks = (tensor.n_rows() + kRowBlock - 1) / kRowBlock;
    const auto n_cols = static_cast<std::int64_t>(std::min<std::uint64_t>(tensor.n_cols(), 1ULL << 40));
    const std::uint64_t block = traits(type).block_size;
    if (n_cols == 0 || static_cast<std::uint64_t>(n_cols) % block != 0) continue;
    const auto bytes = checked_mul<std::uint64_t>(n_blocks, row_block_bytes(type, n_cols));
    const auto aligned = bytes ? checked_align<std::uint64_t>(*bytes, kLine) : std::nullopt;
    const auto sum = aligned ? checked_add<std::uint64_t>(total, *aligned) : std::nullopt;
    if (!sum) throw Error(ErrorKind::kMemory, "the weights do not fit", checkpoint.path().string());
    total = *sum;
  }
  return static_cast<std::size_t>(total);
}

// Packs matrices one behind the other into one region, or finds them in a cache's.
class Packer {
 public:
  Packer(const Checkpoint& checkpoint, Backend& backend, Precision precision, const LoadOptions& options,
         const std::optional<PackCache::Hit>& hit)
      : checkpoint_(checkpoint),
        backend_(backend),
        precision_(precision),
        region_(hit ? hit->region
                    : std::make_shared<Region>(most_packed_bytes(checkpoint, precision), options.pages)) {
    if (!hit) return;
    for (const PackEntry& entry : hit->entries) cached_.emplace(entry.name, &entry);
  }

  // source: the tensor's rows.
  Matrix matrix(const TensorInfo& tensor, MatrixSource source) {
    if (!cached_.empty()) {
      Matrix packed = cached(tensor.name, tensor.type, source.n_rows, source.n_cols);
      const std::uint64_t stored_bytes = row_bytes(tensor.type, static_cast<std::uint64_t>(source.n_cols));
      compare_a_row_block(packed, static_cast<std::size_t>(stored_bytes), source.read);
      return packed;
    }
    checkpoint_.will_need(tensor);
    source.allocate = [this](std::size_t n_bytes) { return take_memory(n_bytes); };
    Matrix packed = backend_.pack(source, precision_);
    pack_.push_back({tensor.name, packed.type, source.n_rows, source.n_cols,
                     static_cast<std::uint64_t>(packed.bytes.data() - region_->data()),
                     packed.bytes.size_bytes()});
    return packed;
  }

  // Where everything lies.
  void hand_over(Weights& weights) {
    weights.from_cache = !cached_.empty();
    weights.region = std::move(region_);
    weights.region_bytes = used_bytes_;
    weights.pack = std::move(pack_);
  }

 private:
  Buffer take_memory(std::size_t n_bytes) {
    const std::size_t offset = used_bytes_;
    const std::size_t aligned = (n_bytes + kLine - 1) / kLine * kLine;
    if (aligned > region_->size_bytes() - offset) {
      throw Error(ErrorKind::kInternal, "matrices take more memory than was reckoned");
    }
    used_bytes_ += aligned;
    return {region_, offset, n_bytes};
  }

  Matrix cached(const std::string& name, DType type, std::int64_t n_rows, std::int64_t n_cols) const {
    const auto found = cached_.find(name);
    if (found == cached_.end()) throw StalePack{};
    const PackEntry& entry = *found->second;
    Matrix matrix;
    matrix.type = type;
    matrix.n_rows = n_rows;
    matrix.n_cols = n_cols;
    matrix.row_block_bytes = row_block_bytes(type, n_cols);
    const auto n_bytes = static_cast<std::size_t>(matrix.n_row_blocks()) * matrix.row_block_bytes;
    if (entry.type != type || entry.n_rows != n_rows || entry.n_cols != n_cols || entry.n_bytes != n_bytes) {
      throw StalePack{};
    }
    matrix.bytes = Buffer(region_, static_cast<std::size_t>(entry.offset), n_bytes);
    return matrix;
  }

  // The last row block packed anew must be the cached one: another model, another layout or lost bytes show.
  template <typename Read>
  static void compare_a_row_block(const Matrix& matrix, std::size_t stored_row_bytes, Read&& read) {
    const std::int64_t block = matrix.n_row_blocks() - 1;
    const std::int64_t row = block * kRowBlock;
    const std::int64_t n = matrix.n_rows - row;
    std::vector<std::byte> stored(static_cast<std::size_t>(kRowBlock) * stored_row_bytes);
    std::vector<std::byte> packed(matrix.row_block_bytes);
    read(row, n, stored.data());
    pack_row_block(matrix.type, matrix.n_cols, stored.data(), stored_row_bytes, static_cast<int>(n),
                   packed.data());
    if (std::memcmp(packed.data(), matrix.row_block(block), packed.size()) != 0) throw StalePack{};
  }

  const Checkpoint& checkpoint_;
  Backend& backend_;
  Precision precision_;
  std::shared_ptr<Region> region_;
  std::size_t used_bytes_ = 0;
  std::vector<PackEntry> pack_;
  std::unordered_map<std::string_view, const PackEntry*> cached_;
};

}  // namespace

std::size_t Weights::size_bytes() const {
  std::size_t total = embedding.bytes.size_bytes() + (head ? head->bytes.size_bytes() : 0);
  for (const LayerWeights& layer : layers) {
    for_each_matrix(layer, [&](const Matrix& m) { total += m.bytes.size_bytes(); });
  }
  return total;
}

namespace {

// Errors: StalePack where `hit` is not what this checkpoint packs to.
Weights bind_weights(const Checkpoint& checkpoint, const ModelConfig& config, Backend& backend,
                     Precision precision, const LoadOptions& options,
                     const std::optional<PackCache::Hit>& hit) {
  Weights weights;
  weights.config = config;
  weights.precision = precision;
  if (checkpoint.tensors().empty()) {
    throw Error(ErrorKind::kBadInput, "expected weights, found none", checkpoint.path().string());
  }
  const Family& family = family_of(checkpoint, true);
  const TensorNames names(family, checkpoint, config);
  std::uint64_t total_bytes = 0;
  for (const TensorInfo& tensor : checkpoint.tensors()) total_bytes += tensor.n_bytes;
  TensorBinder bind(checkpoint, [&](std::uint64_t done_bytes) {
    if (options.progress) options.progress(done_bytes, total_bytes);
  });
  Packer packer(checkpoint, backend, precision, options, hit);

  weights.layers.resize(config.layers.size());
  for_each_part(family, config, [&](const Part& part, std::int64_t i) {
    const std::string name = names.of(part, i);
    const std::vector<std::uint64_t> shape = part_shape(part, config);
    if (part.kind == PartKind::kVector) {
      vector_of(weights, part, i) = bind.vector(name, shape[0]);
      return;
    }
    const TensorInfo& tensor = bind.take(name, shape);
    matrix_of(weights, part, i) = packer.matrix(
        tensor, bind.rows(tensor, static_cast<std::int64_t>(shape[0]), static_cast<std::int64_t>(shape[1])));
    bind.advance(tensor.n_bytes);
  });

  std::vector<float> factors;
  const std::string factors_name(kRopeFactors);
  if (checkpoint.find(factors_name)) {
    factors = bind.vector(factors_name, static_cast<std::uint64_t>(config.head_dim / 2));
    for (const float factor : factors) {
      if (!(factor > 0.0f)) {
        throw Error(
            ErrorKind::kBadInput,
            "tensor " + factors_name + " holds " + std::to_string(factor) + ", expected positive numbers",
            checkpoint.path().string());
      }
    }
  }
  weights.rope_inverse = rope_inverse_frequencies(config, factors.empty() ? nullptr : &factors);

  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (bind.was_taken(tensor.name)) continue;
    if (!names.is_beside(tensor.name)) bind.refuse(tensor, "architecture");
    weights.unused.push_back(tensor.name);
  }
  packer.hand_over(weights);
  return weights;
}

}  // namespace

Weights load_weights(const Checkpoint& checkpoint, const ModelConfig& config, Backend& backend,
                     Precision precision, const LoadOptions& options) {
  if (options.cache == nullptr || precision != Precision::kProduction) {
    return bind_weights(checkpoint, config, backend, precision, options, std::nullopt);
  }
  const PackFingerprint fingerprint = pack_fingerprint(checkpoint);
  std::optional<Weights> weights;
  if (const std::optional<PackCache::Hit> hit = options.cache->find(fingerprint)) {
    try {
      weights = bind_weights(checkpoint, config, backend, precision, options, hit);
    } catch (const StalePack&) {
      options.cache->remove(fingerprint);
    }
  }
  if (!weights) weights = bind_weights(checkpoint, config, backend, precision, options, std::nullopt);
  weights->fingerprint = fingerprint;
  return std::move(*weights);
}

}  // namespace exa
