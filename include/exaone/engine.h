// exaone.cpp's C++ API: load a model, ask it something, read the answer as a stream of events.
//
// Ownership and threads: an Engine owns model, tokenizer and threads; it may be used from several threads,
// requests run one after the other, first come, first served. cancel() may be called from any thread and from
// a signal handler.
// Source: the conversation format is OpenAI's chat messages; sampling defaults are the model card's.
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
#include <utility>
#include <vector>

#include "exaone/error.h"
#include "exaone/messages.h"

namespace exa {

// Thinking before answering: as the model card says (EXAONE 4.0 off, 4.5 on), or set by the caller.
enum class Think { kAuto, kOn, kOff };

// Where pictures are decoded: in a process without rights as far as the system can (auto), in one or not at
// all (on), or in this one (off).
enum class Jail { kAuto, kOn, kOff };

// What the keys and values of the context are kept as: 2 bytes a number, or 1 and a fp32 scale for each
// head's key or value of a position.
enum class CacheType { kBF16, kF16, kQ8_0 };

// What computes the rows of prompts (docs/numerics.md).
enum class PromptPath : std::int32_t {
  kUsual = 0,
  // The path of generated tokens, so that what is kept of an answer is to the bit what a later prompt of the
  // same text would give. Slower where the machine has a path for prompts.
  kDeterministic = 1,
  // One that is faster and rounds more, where the machine has it and the weights are Q4_0, Q4_K or Q5_K.
  kFast = 2,
};

struct EngineOptions {
  std::filesystem::path model;      // a .gguf file or a Hugging Face folder
  int n_threads = 0;                // 0: one per physical core this process may use
  std::int64_t context_tokens = 0;  // 0: what fits into free memory, at most the model's own limit
  CacheType cache_type = CacheType::kBF16;
  PromptPath prompt_path = PromptPath::kUsual;
  std::function<void(double fraction)> on_load;  // 0 … 1, on the calling thread

  std::filesystem::path mmproj;       // a .gguf file with the vision tower; empty: the model's own, if any
  std::int64_t image_min_tokens = 0;  // of a picture, 1 … 16384; 0: as the model says
  std::int64_t image_max_tokens = 0;
  Jail image_jail = Jail::kAuto;

  // Packed weights of 64 MiB and more are kept in a file of $XDG_CACHE_HOME/exaone (~/.cache/exaone) once the
  // first token is out: the next start takes a fraction of the time, the disk holds the weights twice. All
  // such files take at most a quarter of the disk's free space.
  bool pack_cache = true;
  // A child process may write that file to its end after the engine is gone. For programs that end then.
  bool cache_may_outlive_engine = false;
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

// What the model may do with the tools of a request.
struct ToolChoice {
  enum class Kind {
    kAuto,      // answer or call
    kNone,      // the tools are not shown, calls are text
    kRequired,  // it calls some tool
    kNamed,     // it calls `name`
  };
  Kind kind = Kind::kAuto;
  std::string name;
};

// What the content must be; thinking before it is free. docs/structured_output.md says what is supported.
struct Constraint {
  enum class Kind { kNone, kJsonObject, kJsonSchema, kGbnf, kRegex, kChoice };
  Kind kind = Kind::kNone;
  std::string text;                  // the schema, grammar or regular expression
  std::vector<std::string> choices;  // one of these texts
};

struct GenerateRequest {
  std::vector<Message> messages;   // the conversation …
  std::optional<std::string> raw;  // … or the prompt itself, no template
  std::string tools;               // JSON array of OpenAI tool declarations; empty: none
  ToolChoice tool_choice;
  bool parallel_tool_calls = true;  // more than one call in an answer
  Constraint constraint;  // with tools: kJsonObject and kJsonSchema only, for an answer without calls
  bool continue_final_message = false;  // the last message is the assistant's and goes on
  Think think = Think::kAuto;
  std::optional<std::int64_t> reasoning_budget;  // most tokens of thinking; 0: none at once; unset: no limit
  std::string reasoning_budget_message;          // written where the budget ends the thinking; may be empty
  std::string template_arguments;  // JSON object of further template variables; unknown ones are ignored
  std::vector<std::string> stop;   // texts that end the answer; not looked for in reasoning and calls
  std::optional<std::int64_t> max_tokens;  // unset: to the end of the context
  SamplingOptions sampling;
};

enum class FinishReason { kStop, kLength, kCancelled, kError };

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;  // of the prompt, found in the cache of the turn before
  std::int64_t completion_tokens = 0;
  std::int64_t reasoning_tokens = 0;  // of the completion
  std::int64_t images = 0;            // pictures and videos of the prompt …
  std::int64_t image_tokens = 0;      // … and what they take of it
  std::int64_t encoded_images = 0;    // of images: encoded for this request
  std::int64_t reused_images = 0;     // of images: encoded earlier; the others' tokens were cached
  double image_seconds = 0;           // reading, decoding and encoding them, within prefill_seconds
  double prefill_seconds = 0;
  double decode_seconds = 0;
};

struct Event {
  enum class Kind {
    kPrefill,    // n prompt tokens of total done
    kReasoning,  // text of the thinking part
    kContent,    // text of the answer
    kToolCall,   // a call begins: index, id, name
    kArguments,  // text of the arguments of call `index`
    kFinished,   // reason and usage; the last event
  };
  Kind kind = Kind::kPrefill;
  std::string text;  // whole UTF-8 characters
  std::int64_t prefilled_tokens = 0;
  FinishReason reason = FinishReason::kStop;
  Usage usage;
  int index = 0;     // of the call in this answer: 0, 1, …
  std::string id;    // of the call
  std::string name;  // of the function
};

// The whole of it. What the events say adds up to the same but for a call that a token limit cut short after
// its arguments had begun: events have shown its beginning, here it is not a call but text.
struct Answer {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> tool_calls;
  FinishReason reason = FinishReason::kStop;
  std::string stop;  // the text of GenerateRequest::stop that ended the answer; empty: none did
  // What the request demanded is there: content that satisfies its constraint, a call where one is required.
  // False where the answer was cut before.
  bool satisfies_request = true;
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
  // Memory, as it was reckoned before loading: what is packed and computed in for text, for pictures (0 where
  // it takes none; loaded with the first), and keys and values when the context is full.
  std::int64_t weight_bytes;
  std::int64_t activation_bytes;
  std::int64_t vision_weight_bytes;
  std::int64_t vision_activation_bytes;
  std::int64_t kv_bytes_at_context;
  int n_threads;
  std::string isa;  // "avx512", …
  bool thinks_by_default;
  bool can_chat;           // it has a chat template
  bool sees;               // it takes pictures
  PromptPath prompt_path;  // kUsual also where kFast was asked for and the machine has no such path
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
  // unknown role, prompt longer than the context with both numbers, invalid UTF-8, tools that are no JSON
  // array, template error; where names the message or field), kUsage (a value out of range, naming the
  // field), kUnsupported (pictures for a model that cannot see). FinishReason::kError does not throw.
  virtual Answer generate(const GenerateRequest& request, const std::function<void(const Event&)>& on_event,
                          const CancelToken* cancel = nullptr) = 0;

  // Keeps the keys and values of the last request in a file, so that one that begins as it did need not
  // compute them again after a new start with the very same model file and cache type. Errors: kIo.
  virtual void save_cache(const std::filesystem::path& path) = 0;
  // Errors: kIo; kBadInput for a file that is broken or of another model, cache type, path of prompts or
  // larger context.
  virtual void load_cache(const std::filesystem::path& path) = 0;
};

// "0.1.0"
std::string_view version();

}  // namespace exa
