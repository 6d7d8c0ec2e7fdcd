#include "exaone/engine.h"

#include <algorithm>
#include <utility>

#include "base/memory.h"
#include "base/threads.h"
#include "engine/cache_type.h"
#include "engine/context_size.h"
#include "engine/loop.h"
#include "engine/prompt_path.h"
#include "engine/request.h"
#include "engine/sequence.h"
#include "engine/sight.h"
#include "engine/snapshot.h"
#include "engine/token_cache.h"
#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "model/config.h"
#include "model/decoder.h"
#include "model/kv_pool.h"
#include "model/memory_need.h"
#include "model/pack_cache.h"
#include "model/weight_settler.h"
#include "model/weights.h"
#include "text/tokenizer.h"

namespace exa {
namespace {

constexpr int kMostThreads = 1024;

int choose_threads(int requested) {
  if (requested < 0 || requested > kMostThreads) {
    throw Error(ErrorKind::kUsage, "threads is " + std::to_string(requested) + ", expected 0 to " +
                                       std::to_string(kMostThreads));
  }
  return requested == 0 ? usable_cores() : requested;
}

// Rows of the embedding beyond the tokenizer's ids are padding; ids beyond the embedding would have no row.
Tokenizer load_tokenizer(const Checkpoint& checkpoint, const ModelConfig& config) {
  Tokenizer tokenizer = Tokenizer::from_checkpoint(checkpoint);
  if (static_cast<std::int64_t>(tokenizer.vocab_size()) > config.vocab) {
    throw Error(ErrorKind::kBadInput,
                "the tokenizer has " + std::to_string(tokenizer.vocab_size()) +
                    " tokens, expected at most vocab_size = " + std::to_string(config.vocab),
                checkpoint.path().string());
  }
  return tokenizer;
}

std::unique_ptr<Sight> open_sight(const EngineOptions& options, const Checkpoint& checkpoint,
                                  std::int64_t hidden) {
  Sight::Options sight;
  sight.min_tokens = options.image_min_tokens;
  sight.max_tokens = options.image_max_tokens;
  sight.jail = options.image_jail == Jail::kOn    ? ImageJailMode::kOn
               : options.image_jail == Jail::kOff ? ImageJailMode::kOff
                                                  : ImageJailMode::kAuto;
  return Sight::open(checkpoint, options.mmproj, hidden, sight);
}

// Before gigabytes are read.
MemoryNeed fit_memory(const Checkpoint& checkpoint, const ModelConfig& config, const Sight* sight,
                      const Backend& backend, KvType type, std::int64_t requested_context) {
  std::optional<VisionSource> vision;
  if (sight != nullptr) vision.emplace(sight->source());
  const auto need = [&](std::int64_t context_tokens) {
    return memory_need(checkpoint, config, vision, backend, type, context_tokens);
  };
  try {
    return need(choose_context(config, type, requested_context, need(0), available_memory_bytes()));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kMemory) throw;
    throw Error(error.kind(), error.message(), checkpoint.path().string());
  }
}

Weights load_weights_of(const Checkpoint& checkpoint, const ModelConfig& config, Backend& backend,
                        const PackCache* cache, ThreadPool& pool, const EngineOptions& options) {
  const auto progress = [&options](std::uint64_t done_bytes, std::uint64_t total_bytes) {
    if (options.on_load && total_bytes > 0) {
      options.on_load(static_cast<double>(done_bytes) / static_cast<double>(total_bytes));
    }
  };
  return load_weights(checkpoint, config, backend, Precision::kProduction,
                      {.pages = Pages::kSmall, .cache = cache, .pool = &pool, .progress = progress});
}

class EngineImpl final : public Engine {
 public:
  EngineImpl(const EngineOptions& options, Checkpoint checkpoint, const ModelConfig& config);
  ~EngineImpl() override;

  const ModelInfo& info() const override { return info_; }
  SamplingOptions defaults(bool thinking) const override { return preparer_.defaults(thinking); }
  Answer generate(const GenerateRequest& request, const std::function<void(const Event&)>& on_event,
                  const CancelToken* cancel) override {
    Sequence sequence(tokenizer_, preparer_.prepare(request, info_.context_tokens), prompt_role_, cancel);
    return loop_->run(sequence, on_event);
  }
  void save_cache(const std::filesystem::path& path) override {
    loop_->between_sequences([&](TokenCache& cache) { save_snapshot(path, snapshot_origin(), cache); });
  }
  void load_cache(const std::filesystem::path& path) override {
    loop_->between_sequences(
        [&](TokenCache& cache) { load_snapshot(path, snapshot_origin(), info_.context_tokens, cache); });
  }

 private:
  SnapshotOrigin snapshot_origin() const {
    return {pack_fingerprint(checkpoint_, backend_->layout()), kv_type_, info_.prompt_path};
  }
  TokenCache new_cache() const;

  // In the order in which they are loaded; each borrows from those above.
  Checkpoint checkpoint_;
  Tokenizer tokenizer_;
  std::unique_ptr<Sight> sight_;  // null: the model cannot see
  Preparer preparer_;
  ThreadPool pool_;
  std::unique_ptr<Backend> backend_;
  KvType kv_type_;
  MemoryNeed need_;
  std::optional<PackCache> pack_cache_;
  Weights weights_;
  WeightSettler settler_;
  Decoder decoder_;
  Role prompt_role_;
  ModelInfo info_;
  bool cache_may_outlive_;
  std::optional<Loop> loop_;
};

EngineImpl::EngineImpl(const EngineOptions& options, Checkpoint checkpoint, const ModelConfig& config)
    : checkpoint_(std::move(checkpoint)),
      tokenizer_(load_tokenizer(checkpoint_, config)),
      sight_(open_sight(options, checkpoint_, config.hidden)),
      preparer_(checkpoint_, tokenizer_, sight_.get()),
      pool_(choose_threads(options.n_threads)),
      backend_(make_cpu_backend(pool_, prompt_speed(options.prompt_path))),
      kv_type_(to_kv_type(options.cache_type)),
      need_(fit_memory(checkpoint_, config, sight_.get(), *backend_, kv_type_, options.context_tokens)),
      pack_cache_(options.pack_cache ? PackCache::of_user() : std::nullopt),
      weights_(load_weights_of(checkpoint_, config, *backend_, pack_cache_ ? &*pack_cache_ : nullptr, pool_,
                               options)),
      settler_(weights_, pack_cache_ ? &*pack_cache_ : nullptr),
      decoder_(weights_, *backend_, kStepRows),
      prompt_role_(prompt_role(options.prompt_path)),
      cache_may_outlive_(options.cache_may_outlive_engine) {
  const ModelConfig& model = weights_.config;
  const std::filesystem::path file = std::filesystem::absolute(options.model).lexically_normal();
  info_.name = !model.model_name.empty() ? model.model_name
               : file.has_filename()     ? file.filename().string()
                                         : file.parent_path().filename().string();
  info_.architecture = model.architecture_name;
  info_.context_tokens = need_.context_tokens;
  info_.max_context_tokens = model.max_context;
  info_.weight_bytes = static_cast<std::int64_t>(need_.weight_bytes);
  info_.activation_bytes = static_cast<std::int64_t>(need_.activation_bytes);
  info_.vision_weight_bytes = static_cast<std::int64_t>(need_.vision_weight_bytes);
  info_.vision_activation_bytes = static_cast<std::int64_t>(need_.vision_activation_bytes);
  info_.kv_bytes_at_context = static_cast<std::int64_t>(need_.kv_bytes);
  info_.n_threads = pool_.n_threads();
  info_.isa = backend_->description();
  info_.can_chat = preparer_.can_chat();
  info_.sees = sight_ != nullptr;
  const bool lacks_path = options.prompt_path == PromptPath::kFast && !has_fast_prompts();
  info_.prompt_path = lacks_path ? PromptPath::kUsual : options.prompt_path;
  info_.thinks_by_default = preparer_.thinks_by_default();
  loop_.emplace(Loop::Machine{decoder_, *backend_, pool_, settler_, sight_.get()}, new_cache());
}

// The process that finishes the file is made while no other thread of this engine is in the midst of
// anything.
EngineImpl::~EngineImpl() {
  loop_.reset();
  if (cache_may_outlive_) settler_.finish_in_child();
}

TokenCache EngineImpl::new_cache() const {
  const KvShape shape(weights_.config);
  auto pool = std::make_shared<KvPool>(
      shape.block_bytes(kv_type_), need_.kv_bytes,
      [&backend = *backend_](std::size_t n_bytes) { return backend.allocate(n_bytes); });
  return TokenCache(KvCache(std::move(pool), shape, kv_type_, kStepRows));
}

}  // namespace

std::unique_ptr<Engine> Engine::load(const EngineOptions& options) {
  Checkpoint checkpoint = Checkpoint::open(options.model);
  const ModelConfig config = read_config(checkpoint);
  return std::make_unique<EngineImpl>(options, std::move(checkpoint), config);
}

std::string_view version() {
  return "0.1.0";
}

}  // namespace exa
