// Answers and events as JSON: what `run --json` and `run --stream-json` print.
//
// Ownership and threads: pure functions.
// Source: docs/api.md; names as OpenAI's usage and llama.cpp's timings have them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "exaone/engine.h"

namespace exa {

// "stop", "length", "tool_calls", "cancelled", "error"
std::string finish_name(FinishReason reason, bool has_calls);

struct Choice {
  Answer answer;
  std::uint64_t seed = 0;
};

// One line: the object of the only choice, or {"choices": […], "model": …}.
std::string choices_json(const std::vector<Choice>& choices, const std::string& model);

// One line; `choice` where there are several.
std::string event_json(const Event& event, std::optional<int> choice);
// The last line of a choice.
std::string finished_json(const Answer& answer, std::uint64_t seed, std::optional<int> choice);

}  // namespace exa
