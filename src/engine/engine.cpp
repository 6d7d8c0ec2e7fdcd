#include "exaone/engine.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/memory.h"
#include "base/threads.h"
#include "chat/prompt.h"
#include "engine/cache_type.h"
#include "engine/constraints.h"
#include "engine/context_size.h"
#include "engine/conversation_json.h"
#include "engine/prompt_path.h"
#include "engine/sampling_options.h"
#include "engine/sequence.h"
#include "engine/sight.h"
#include "engine/snapshot.h"
#include "engine/token_cache.h"
#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "kernels/isa/isa.h"
#include "model/config.h"
#include "model/decoder.h"
#include "model/pack_cache.h"
#include "model/weight_settler.h"
#include "model/weights.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace exa {
namespace {

constexpr std::int64_t kPrefillChunk = 512;
constexpr int kMostThreads = 1024;

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

int choose_threads(int requested) {
  if (requested < 0 || requested > kMostThreads) {
    throw Error(ErrorKind::kUsage, "threads is " + std::to_string(requested) + ", expected 0 to " +
                                       std::to_string(kMostThreads));
  }
  return requested == 0 ? usable_cores() : requested;
}

Thinking to_thinking(Think think) {
  switch (think) {
    case Think::kOn:
      return Thinking::kOn;
    case Think::kOff:
      return Thinking::kOff;
    case Think::kAuto:
      break;
  }
  return Thinking::kAuto;
}

// Before gigabytes are read: weights alone that exceed the memory end in a sentence, not in the system's
// killer.
void require_room_for_weights(const Checkpoint& checkpoint) {
  std::size_t weight_bytes = 0;
  for (const TensorInfo& tensor : checkpoint.tensors()) weight_bytes += tensor.n_bytes;
  const std::size_t free_bytes = available_memory_bytes();
  if (weight_bytes > free_bytes) {
    throw Error(ErrorKind::kMemory,
                "the weights need " + readable_bytes(weight_bytes) + ", " + readable_bytes(free_bytes) +
                    " of memory are free",
                checkpoint.path().string());
  }
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

class EngineImpl final : public Engine {
 public:
  explicit EngineImpl(const EngineOptions& options);
  ~EngineImpl() override;

  const ModelInfo& info() const override { return info_; }
  SamplingOptions defaults(bool thinking) const override {
    return sampling_defaults(sampling_card(tokenizer_), stated_, thinking);
  }
  Answer generate(const GenerateRequest& request, const std::function<void(const Event&)>& on_event,
                  const CancelToken* cancel) override;
  void save_cache(const std::filesystem::path& path) override {
    const std::lock_guard lock(one_request_);
    save_snapshot(path, snapshot_origin(), cache_);
  }
  void load_cache(const std::filesystem::path& path) override {
    const std::lock_guard lock(one_request_);
    load_snapshot(path, snapshot_origin(), info_.context_tokens, cache_);
  }

 private:
  SnapshotOrigin snapshot_origin() const {
    return {pack_fingerprint(checkpoint_), kv_type_, info_.prompt_path};
  }
  Prompt build_prompt(const GenerateRequest& request, const nlohmann::ordered_json& tools) const;
  std::vector<Picture> look_at(const GenerateRequest& request) const;
  bool see(std::span<const Picture> pictures, std::span<const PlacedPicture> places, std::int64_t done,
           const std::function<bool()>& cancelled, std::vector<PictureRows>& rows, Usage& usage);

  // In the order in which they are loaded; each borrows from those above.
  Checkpoint checkpoint_;
  ModelConfig config_;
  StatedSampling stated_;
  Tokenizer tokenizer_;
  PromptBuilder prompts_;
  Constraints constraints_;
  std::unique_ptr<Sight> sight_;  // null: the model cannot see
  ThreadPool pool_;
  std::unique_ptr<Backend> backend_;
  std::optional<PackCache> pack_cache_;
  Weights weights_;
  WeightSettler settler_;
  Decoder decoder_;
  KvType kv_type_;
  Role prompt_role_;
  TokenCache cache_;
  ModelInfo info_;
  std::mutex one_request_;
  bool cache_may_outlive_;
};

void check_request(const GenerateRequest& request, std::int64_t vocab) {
  check_sampling(request.sampling, vocab);
  const auto require_at_least = [](std::optional<std::int64_t> value, std::int64_t least, const char* name) {
    if (!value || *value >= least) return;
    throw Error(ErrorKind::kUsage, std::string(name) + " is " + std::to_string(*value) + ", expected " +
                                       std::to_string(least) + " or more");
  };
  require_at_least(request.max_tokens, 1, "max_tokens");
  require_at_least(request.reasoning_budget, 0, "reasoning_budget");
  for (const std::string& stop : request.stop) {
    if (stop.empty()) throw Error(ErrorKind::kUsage, "a stop text is empty, expected some text");
    if (find_invalid_utf8(stop) != std::string_view::npos) {
      throw Error(ErrorKind::kBadInput, "a stop text is not UTF-8");
    }
  }
}

SequenceOptions sequence_options(const GenerateRequest& request, const Prompt& prompt, bool has_tools) {
  SequenceOptions options;
  options.n_prompt = static_cast<std::int64_t>(prompt.ids.size());
  options.answer.in_reasoning = prompt.opens_reasoning;
  options.answer.continues_content = prompt.continues_content;
  options.answer.verbatim = request.raw && !prompt.opens_reasoning;
  options.answer.calls = has_tools;
  options.answer.stop = request.stop;
  const ToolChoice::Kind choice = request.tool_choice.kind;
  options.owes_content = request.constraint.kind != Constraint::Kind::kNone ||
                         choice == ToolChoice::Kind::kRequired || choice == ToolChoice::Kind::kNamed;
  options.reasoning_budget = request.reasoning_budget;
  const std::string& message = request.reasoning_budget_message;
  options.budget_end = message.empty() ? "" : "\n\n" + message;
  options.budget_end += Sequence::kReasoningEnd;
  return options;
}

// A call that was cut short is no call: its text is content.
void take_back_broken_calls(const AnswerParser& parser, Answer& answer) {
  const auto& broken = parser.broken_calls();
  for (auto call = broken.rbegin(); call != broken.rend(); ++call) {
    answer.tool_calls.erase(answer.tool_calls.begin() + call->index);
  }
  for (const auto& call : broken) {
    if (!answer.content.empty()) answer.content += '\n';
    answer.content += call.text;
  }
}

// The next turn's history has none of this one's thoughts: it goes back to where they began. Those between
// calls of tools belong to the turn that called them.
bool begins_turn(const GenerateRequest& request) {
  return request.raw || request.messages.back().role != "tool";
}

PromptBuilder make_prompts(const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  return {tokenizer, Template::parse(checkpoint.chat_template().value_or(""))};
}

std::unique_ptr<Sight> open_sight(const EngineOptions& options, const Checkpoint& checkpoint,
                                  const ModelConfig& config) {
  Sight::Options sight;
  sight.min_tokens = options.image_min_tokens;
  sight.max_tokens = options.image_max_tokens;
  sight.jail = options.image_jail == Jail::kOn    ? ImageJailMode::kOn
               : options.image_jail == Jail::kOff ? ImageJailMode::kOff
                                                  : ImageJailMode::kAuto;
  return Sight::open(options.model, checkpoint, options.mmproj, config.hidden, sight);
}

Weights load_checked(const Checkpoint& checkpoint, Backend& backend, const PackCache* cache,
                     const EngineOptions& options) {
  require_room_for_weights(checkpoint);
  const auto progress = [&options](std::uint64_t done_bytes, std::uint64_t total_bytes) {
    if (options.on_load && total_bytes > 0) {
      options.on_load(static_cast<double>(done_bytes) / static_cast<double>(total_bytes));
    }
  };
  return load_weights(checkpoint, backend, Precision::kProduction,
                      {.pages = Pages::kSmall, .cache = cache, .progress = progress});
}

EngineImpl::EngineImpl(const EngineOptions& options)
    : checkpoint_(Checkpoint::open(options.model)),
      config_(read_config(checkpoint_)),
      stated_(read_stated_sampling(checkpoint_)),
      tokenizer_(load_tokenizer(checkpoint_, config_)),
      prompts_(make_prompts(checkpoint_, tokenizer_)),
      constraints_(tokenizer_),
      sight_(open_sight(options, checkpoint_, config_)),
      pool_(choose_threads(options.n_threads)),
      backend_(make_cpu_backend(pool_, prompt_speed(options.prompt_path))),
      pack_cache_(options.pack_cache ? PackCache::of_user() : std::nullopt),
      weights_(load_checked(checkpoint_, *backend_, pack_cache_ ? &*pack_cache_ : nullptr, options)),
      settler_(weights_, pack_cache_ ? &*pack_cache_ : nullptr),
      decoder_(weights_, *backend_, kPrefillChunk),
      kv_type_(to_kv_type(options.cache_type)),
      prompt_role_(prompt_role(options.prompt_path)),
      cache_(KvCache(config_, kv_type_, kPrefillChunk)),
      cache_may_outlive_(options.cache_may_outlive_engine) {
  const std::filesystem::path file = std::filesystem::absolute(options.model).lexically_normal();
  info_.name = !config_.model_name.empty() ? config_.model_name
               : file.has_filename()       ? file.filename().string()
                                           : file.parent_path().filename().string();
  info_.architecture = config_.architecture_name;
  info_.context_tokens =
      choose_context(config_, kv_type_, kPrefillChunk, options.context_tokens, available_memory_bytes());
  info_.max_context_tokens = config_.max_context;
  info_.weight_bytes = static_cast<std::int64_t>(weights_.size_bytes());
  info_.kv_bytes_at_context =
      static_cast<std::int64_t>(KvCache::bytes_for(config_, kv_type_, kPrefillChunk, info_.context_tokens));
  info_.n_threads = pool_.n_threads();
  info_.isa = name(choose_isa());
  info_.can_chat = checkpoint_.chat_template().has_value();
  info_.sees = sight_ != nullptr;
  const bool lacks_path = options.prompt_path == PromptPath::kFast && !has_fast_prompts();
  info_.prompt_path = lacks_path ? PromptPath::kUsual : options.prompt_path;
  if (info_.can_chat) {
    const nlohmann::ordered_json probe = {{{"role", "user"}, {"content", "?"}}};
    info_.thinks_by_default = prompts_.chat(probe, nullptr, Thinking::kAuto).opens_reasoning;
  }
}

EngineImpl::~EngineImpl() {
  if (cache_may_outlive_) settler_.finish_in_child();
}

Prompt EngineImpl::build_prompt(const GenerateRequest& request, const nlohmann::ordered_json& tools) const {
  if (request.raw) return prompts_.raw(*request.raw);
  if (!info_.can_chat) {
    throw Error(ErrorKind::kBadInput, "the model has no chat template, expected a raw prompt");
  }
  if (request.messages.empty()) throw Error(ErrorKind::kBadInput, "the conversation has no message");
  // A budget of nothing is the model's own way of not thinking.
  const bool no_budget = request.reasoning_budget == 0;
  return prompts_.chat(messages_json(request), tools, no_budget ? Thinking::kOff : to_thinking(request.think),
                       template_arguments_json(request), request.continue_final_message);
}

// What headers tell of the request's pictures, in order of appearance.
std::vector<Picture> EngineImpl::look_at(const GenerateRequest& request) const {
  std::vector<Picture> pictures;
  if (request.raw) return pictures;
  for (std::size_t m = 0; m < request.messages.size(); ++m) {
    const std::vector<ContentPart>& content = request.messages[m].content;
    for (std::size_t p = 0; p < content.size(); ++p) {
      if (!content[p].image && content[p].frames.empty()) continue;
      const std::string message = "messages[" + std::to_string(m) + "].content";
      if (!sight_) {
        throw Error(ErrorKind::kUnsupported, "a picture, expected text: this model cannot see", message);
      }
      const std::string where = message + "[" + std::to_string(p) + "]";
      pictures.push_back(content[p].image ? sight_->look(content[p].image, where)
                                          : sight_->look_at_video(content[p].frames, where));
    }
  }
  return pictures;
}

// Fills rows of the pictures that reach beyond the first `done` tokens, whose keys and values are at hand.
// False where it was cancelled.
bool EngineImpl::see(std::span<const Picture> pictures, std::span<const PlacedPicture> places,
                     std::int64_t done, const std::function<bool()>& cancelled,
                     std::vector<PictureRows>& rows, Usage& usage) {
  if (!sight_) return true;
  const auto needed = static_cast<std::size_t>(std::count_if(
      places.begin(), places.end(), [done](const PlacedPicture& place) { return place.end() > done; }));
  if (needed == 0) return true;
  const std::int64_t encoded_before = sight_->n_encoded();
  const std::int64_t found_before = sight_->n_found();
  const Stopwatch looking;
  const auto seen = sight_->rows(pictures.last(needed), *backend_, cancelled);
  usage.image_seconds = looking.seconds();
  if (!seen) return false;
  std::copy(seen->begin(), seen->end(), rows.end() - static_cast<std::ptrdiff_t>(needed));
  usage.encoded_images = sight_->n_encoded() - encoded_before;
  usage.reused_images = sight_->n_found() - found_before;
  return true;
}

Answer EngineImpl::generate(const GenerateRequest& request, const std::function<void(const Event&)>& on_event,
                            const CancelToken* cancel) {
  check_request(request, static_cast<std::int64_t>(tokenizer_.vocab_size()));
  const nlohmann::ordered_json tools = request.raw ? nlohmann::ordered_json() : tools_json(request);
  const std::vector<Picture> pictures = look_at(request);
  Prompt prompt = build_prompt(request, tools);
  std::vector<PlacedPicture> places;
  if (sight_) {
    places = expand_placeholders(prompt.ids, tokenizer_.find("<|image_pad|>"),
                                 tokenizer_.find("<|video_pad|>"), pictures);
  }
  const std::vector<TokenKey> keys = token_keys(prompt.ids, places, pictures);
  const auto n_prompt = static_cast<std::int64_t>(prompt.ids.size());
  if (n_prompt == 0) throw Error(ErrorKind::kBadInput, "the prompt is empty");
  if (n_prompt >= info_.context_tokens) {
    throw Error(ErrorKind::kBadInput, "the prompt has " + std::to_string(n_prompt) +
                                          " tokens, the context holds " +
                                          std::to_string(info_.context_tokens) + " with the answer");
  }
  const std::int64_t room = info_.context_tokens - n_prompt;
  const std::lock_guard lock(one_request_);
  SequenceOptions options = sequence_options(request, prompt, !tools.is_null());
  options.sampling = effective_sampling(request.sampling, defaults(prompt.opens_reasoning));
  options.max_tokens = std::min(request.max_tokens.value_or(room), room);
  options.grammar = constraints_.bind(request, tools);
  Sequence sequence(tokenizer_, std::move(options));

  const auto settling_pauses = settler_.pause();
  Answer answer;
  answer.usage.prompt_tokens = n_prompt;
  std::int64_t done = 0;
  std::optional<FinishReason> reason;
  Event event;
  const auto emit = [&](Event::Kind kind) {
    event.kind = kind;
    event.prefilled_tokens = done;
    event.reason = reason.value_or(FinishReason::kStop);
    event.usage = answer.usage;
    if (on_event) on_event(event);
    event = Event();
  };
  const auto emit_pieces = [&] {
    for (const AnswerPiece& piece : sequence.pieces()) {
      event.text = piece.text;
      event.index = piece.index;
      switch (piece.kind) {
        case AnswerPiece::Kind::kReasoning:
          answer.reasoning += piece.text;
          emit(Event::Kind::kReasoning);
          break;
        case AnswerPiece::Kind::kContent:
          answer.content += piece.text;
          emit(Event::Kind::kContent);
          break;
        case AnswerPiece::Kind::kCall:
          answer.tool_calls.push_back({sequence.call_id(piece.index), piece.text, {}});
          event.text = {};
          event.id = answer.tool_calls.back().id;
          event.name = piece.text;
          emit(Event::Kind::kToolCall);
          break;
        case AnswerPiece::Kind::kArguments:
          answer.tool_calls.back().arguments += piece.text;
          emit(Event::Kind::kArguments);
          break;
      }
    }
  };
  const auto cancelled = [cancel] { return cancel && cancel->cancelled(); };

  const Stopwatch prefill;
  done = cache_.keep_shared(prompt.ids, keys);
  answer.usage.cached_tokens = done;
  std::vector<PictureRows> rows(pictures.size());
  answer.usage.images = static_cast<std::int64_t>(places.size());
  for (const PlacedPicture& place : places) answer.usage.image_tokens += place.n_tokens;
  if (!see(pictures, places, done, cancelled, rows, answer.usage)) reason = FinishReason::kCancelled;
  std::span<const float> logits;
  while (!reason && done < n_prompt) {
    if (cancelled()) {
      reason = FinishReason::kCancelled;
      break;
    }
    const std::int64_t n = std::min(kPrefillChunk, n_prompt - done);
    const auto chunk =
        std::span(prompt.ids).subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(n));
    logits =
        cache_.append(decoder_, chunk, prompt_role_, done + n == n_prompt,
                      std::span(keys).subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(n)),
                      given_rows(places, rows, config_.hidden, done, n));
    done += n;
    emit(Event::Kind::kPrefill);
  }
  if (done == n_prompt && begins_turn(request)) cache_.hold();
  answer.usage.prefill_seconds = prefill.seconds();

  const Stopwatch decode;
  while (!reason) {
    reason = sequence.advance(logits.first(std::min(logits.size(), tokenizer_.vocab_size())));
    emit_pieces();
    settler_.start();
    if (!reason && cancelled()) reason = FinishReason::kCancelled;
    if (reason) break;
    const TokenId last = sequence.last();
    logits = cache_.append(decoder_, {&last, 1}, Role::kGenerated, true);
  }
  // Keys and values that are no numbers must not meet the next request.
  if (reason == FinishReason::kError) cache_.clear();
  sequence.flush();
  emit_pieces();
  take_back_broken_calls(sequence.parser(), answer);
  pool_.park();
  answer.reason = *reason;
  answer.stop = sequence.parser().stopped_by();
  answer.usage.completion_tokens = sequence.n_generated();
  answer.usage.reasoning_tokens = sequence.n_reasoning();
  answer.usage.decode_seconds = sequence.n_generated() > 0 ? decode.seconds() : 0;
  emit(Event::Kind::kFinished);
  return answer;
}

}  // namespace

std::unique_ptr<Engine> Engine::load(const EngineOptions& options) {
  return std::make_unique<EngineImpl>(options);
}

std::string text_of(const Message& message) {
  std::string text;
  for (const ContentPart& part : message.content) text += part.text;
  return text;
}

std::string_view version() {
  return "0.1.0";
}

}  // namespace exa
