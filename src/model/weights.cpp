#include "model/weights.h"

#include <algorithm>
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
std::size_t most_packed_bytes(const Checkpoint& checkpoint, const Backend& backend, Precision precision) {
  std::uint64_t total = 0;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (tensor.shape.size() != 2 || !can_decode(tensor.type)) continue;
    constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
    const std::uint64_t n_cols = tensor.n_cols();
    if (n_cols == 0 || n_cols > kMost || n_cols % traits(tensor.type).block_size != 0) continue;
    const auto n_rows = static_cast<std::int64_t>(std::min(tensor.n_rows(), kMost));
    const std::uint64_t bytes =
        backend.packed_bytes(tensor.type, n_rows, static_cast<std::int64_t>(n_cols), precision);
    const auto aligned = checked_align<std::uint64_t>(bytes, kLine);
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
                    : std::make_shared<Region>(most_packed_bytes(checkpoint, backend, precision),
                                               options.pages)) {
    if (!hit) return;
    for (const PackEntry& entry : hit->entries) cached_.emplace(entry.name, &entry);
  }

  // source: the tensor's rows.
  Matrix matrix(const TensorInfo& tensor, MatrixSource source) {
    if (!cached_.empty()) {
      const auto found = cached_.find(tensor.name);
      if (found == cached_.end()) throw StalePack{};
      const PackEntry& entry = *found->second;
      std::optional<Matrix> packed = backend_.adopt(
          source, {region_, static_cast<std::size_t>(entry.offset), static_cast<std::size_t>(entry.n_bytes)});
      if (!packed) throw StalePack{};
      return std::move(*packed);
    }
    checkpoint_.will_need(tensor);
    source.allocate = [this](std::size_t n_bytes) { return take_memory(n_bytes); };
    Matrix packed = backend_.pack(source, precision_);
    pack_.push_back({tensor.name, static_cast<std::uint64_t>(packed.bytes.data() - region_->data()),
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

std::size_t weight_bytes(const Checkpoint& checkpoint, const ModelConfig& config, const Backend& backend) {
  const Family& family = family_of(checkpoint, true);
  const TensorNames names(family, checkpoint, config);
  std::size_t total = 0;
  for_each_part(family, config, [&](const Part& part, std::int64_t i) {
    if (part.kind == PartKind::kVector) return;
    const TensorInfo* const tensor = checkpoint.find(names.of(part, i));
    if (tensor == nullptr) return;
    const std::vector<std::uint64_t> shape = part_shape(part, config);
    const bool fits =
        tensor->shape == shape && can_decode(tensor->type) && shape[1] % traits(tensor->type).block_size == 0;
    total += fits ? backend.packed_bytes(tensor->type, static_cast<std::int64_t>(shape[0]),
                                         static_cast<std::int64_t>(shape[1]), Precision::kProduction)
                  : static_cast<std::size_t>(tensor->n_bytes);
  });
  return total;
}

Weights load_weights(const Checkpoint& checkpoint, const ModelConfig& config, Backend& backend,
                     Precision precision, const LoadOptions& options) {
  if (options.cache == nullptr || precision != Precision::kProduction) {
    return bind_weights(checkpoint, config, backend, precision, options, std::nullopt);
  }
  const PackFingerprint fingerprint = pack_fingerprint(checkpoint, backend.layout());
  std::optional<Weights> weights;
  if (const std::optional<PackCache::Hit> hit = options.cache->find(fingerprint, *options.pool)) {
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
