// exaone.cpp's C++ API: load a model, ask it something, read the answer as a stream of events.
//
// Ownership and threads: an Engine owns model, tokenizer and threads; it may be used from several threads,
// requests run one after the other. A Generation belongs to one caller; cancel() may be called from any
// thread and from a signal handler. Source: the conversation format is OpenAI's chat messages; sampling
// defaults are the model card's.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "exaone/error.h"

namespace exa {

// Thinking before answering: as the model card says (EXAONE 4.0 off, 4.5 on), or set by the caller.
enum class Think { kAuto, kOn, kOff };

struct EngineOptions {
  std::filesystem::path model;      // a .gguf file or a Hugging Face folder
  int n_threads = 0;                // 0: one per physical core this process may use
  std::int64_t context_tokens = 0;  // 0: what fits into free memory, at most the model's own limit
  std::function<void(double fraction)> on_load;  // 0 … 1, on the calling thread
};

struct Message {
  std::string role;     // system, developer, user, assistant
  std::string content;  // UTF-8
};

// Unset fields take the model's defaults (Engine::defaults).
struct SamplingOptions {
  std::optional<double> temperature;          // 0 … 100; 0 is greedy
  std::optional<std::int64_t> top_k;          // 0: off
  std::optional<double> top_p;                // (0, 1]
  std::optional<double> min_p;                // [0, 1]
  std::optional<double> repetition_penalty;   // (0, 100]; 1: off; generated tokens
  std::optional<double> presence_penalty;     // [-2, 2]; generated tokens
  std::optional<double> frequency_penalty;    // [-2, 2]; generated tokens
  std::map<std::int32_t, double> logit_bias;  // token id → added to its logit, [-100, 100]
  std::optional<std::uint64_t> seed;          // unset: from the clock
};

struct GenerateRequest {
  std::vector<Message> messages;   // the conversation …
  std::optional<std::string> raw;  // … or the prompt itself, no template
  Think think = Think::kAuto;
  std::optional<std::int64_t> max_tokens;  // unset: to the end of the context
  SamplingOptions sampling;
};

enum class FinishReason { kStop, kLength, kCancelled, kError };

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;  // of the prompt, found in the cache of the turn before
  std::int64_t completion_tokens = 0;
  std::int64_t reasoning_tokens = 0;  // of the completion
  double prefill_seconds = 0;
  double decode_seconds = 0;
};

struct Event {
  enum class Kind {
    kPrefill,    // n prompt tokens of total done
    kReasoning,  // text of the thinking part
    kContent,    // text of the answer
    kFinished,   // reason and usage; the last event
  };
  Kind kind;
  std::string_view text;  // valid during the call; whole UTF-8 characters
  std::int64_t prefilled_tokens = 0;
  FinishReason reason = FinishReason::kStop;
  Usage usage;
};

struct Answer {
  std::string reasoning;
  std::string content;
  FinishReason reason = FinishReason::kStop;
  Usage usage;
};

// Stops a generation from elsewhere.
class CancelToken {
 public:
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  void reset() { cancelled_.store(false, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_{false};
};

struct ModelInfo {
  std::string name;                 // "EXAONE-4.0-1.2B" where the file says so, else the file's name
  std::string architecture;         // "exaone4"
  std::int64_t context_tokens;      // what this engine was set up with
  std::int64_t max_context_tokens;  // the model's own limit
  std::int64_t weight_bytes;
  std::int64_t kv_bytes_at_context;
  int n_threads;
  std::string isa;  // "avx512", …
  bool thinks_by_default;
  bool can_chat;  // it has a chat template
};

class Engine {
 public:
  // Errors (exa::Error, exaone/error.h): kIo, kBadInput, kUnsupported, kMemory as the file and machine give
  // cause.
  static std::unique_ptr<Engine> load(const EngineOptions& options);
  virtual ~Engine() = default;

  virtual const ModelInfo& info() const = 0;
  // The sampling values a request without its own gets, all fields set but seed, for thinking on or off.
  virtual SamplingOptions defaults(bool thinking) const = 0;

  // Runs the request to its end, calling on_event for each event on this thread. The tokens that request and
  // the one before have in common at the front are not computed again. Errors: kBadInput (empty conversation,
  // unknown role, prompt longer than the context with both numbers, invalid UTF-8, template error), kUsage (a
  // sampling value out of range, naming the field). kError events do not throw.
  virtual Answer generate(const GenerateRequest& request, const std::function<void(const Event&)>& on_event,
                          const CancelToken* cancel = nullptr) = 0;
};

// "0.1.0"
std::string_view version();

}  // namespace exa
