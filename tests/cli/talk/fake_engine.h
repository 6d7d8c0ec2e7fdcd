// An engine that says what a test tells it to, and remembers what it was asked.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "exaone/engine.h"

namespace exa {

class FakeEngine final : public Engine {
 public:
  FakeEngine() {
    info_.name = "EXAONE-fake";
    info_.context_tokens = 4096;
    info_.max_context_tokens = 4096;
    info_.n_threads = 1;
    info_.isa = "none";
    info_.thinks_by_default = true;
    info_.can_chat = true;
    info_.sees = true;
  }

  // The next answers; without one it repeats the question.
  std::deque<Answer> answers;
  std::vector<GenerateRequest> requests;
  int pause_ms = 0;  // between two pieces of text
  Usage usage;       // what answers tell beside prompt and completion tokens

  // What save_cache and load_cache were called with.
  std::vector<std::filesystem::path> snapshots;
  void save_cache(const std::filesystem::path& path) override { snapshots.push_back(path); }
  void load_cache(const std::filesystem::path& path) override { snapshots.push_back(path); }

  void be_blind() { info_.sees = false; }

  const ModelInfo& info() const override { return info_; }
  SamplingOptions defaults(bool) const override {
    SamplingOptions values;
    values.temperature = values.top_p = values.repetition_penalty = 1.0;
    values.min_p = values.presence_penalty = values.frequency_penalty = 0.0;
    values.top_k = 0;
    return values;
  }

  Answer generate(const GenerateRequest& request, const std::function<void(const Event&)>& on_event,
                  const CancelToken* cancel) override {
    requests.push_back(request);
    Answer answer;
    if (answers.empty()) {
      answer.content = "You said: " + text_of(request.messages.back());
    } else {
      answer = std::move(answers.front());
      answers.pop_front();
    }
    answer.usage = usage;
    answer.usage.prompt_tokens = static_cast<std::int64_t>(request.messages.size()) * 10;
    answer.usage.completion_tokens = 10;
    Answer said;
    said.usage = answer.usage;
    const auto say = [&](Event::Kind kind, const std::string& text, std::string& to) {
      for (std::size_t i = 0; i < text.size() && !(cancel && cancel->cancelled());) {
        std::size_t n = 1;
        while (i + n < text.size() && (static_cast<unsigned char>(text[i + n]) & 0xc0) == 0x80) ++n;
        if (pause_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
        Event event;
        event.kind = kind;
        event.text = text.substr(i, n);
        event.index = static_cast<int>(said.tool_calls.size()) - 1;
        to += event.text;
        on_event(event);
        i += n;
      }
    };
    say(Event::Kind::kReasoning, answer.reasoning, said.reasoning);
    say(Event::Kind::kContent, answer.content, said.content);
    for (const ToolCall& call : answer.tool_calls) {
      said.tool_calls.push_back({call.id, call.name, {}});
      Event event;
      event.kind = Event::Kind::kToolCall;
      event.index = static_cast<int>(said.tool_calls.size()) - 1;
      event.id = call.id;
      event.name = call.name;
      on_event(event);
      say(Event::Kind::kArguments, call.arguments, said.tool_calls.back().arguments);
    }
    said.reason = cancel && cancel->cancelled() ? FinishReason::kCancelled : answer.reason;
    return said;
  }

 private:
  ModelInfo info_;
};

}  // namespace exa
