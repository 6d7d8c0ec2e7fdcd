#include "cli/talk/answer_json.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "cli/talk/model_options.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

std::string line_of(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"cached_tokens", usage.cached_tokens},
          {"reasoning_tokens", usage.reasoning_tokens},
          {"image_tokens", usage.image_tokens}};
}

Json timings_json(const Usage& usage) {
  return {{"prompt_ms", usage.prefill_seconds * 1000},
          {"image_ms", usage.image_seconds * 1000},
          {"prompt_per_second", prompt_per_second(usage)},
          {"predicted_ms", usage.decode_seconds * 1000},
          {"predicted_per_second", predicted_per_second(usage)}};
}

Json calls_json(const std::vector<ToolCall>& calls) {
  Json list = Json::array();
  for (const ToolCall& call : calls) {
    list.push_back({{"id", call.id},
                    {"type", "function"},
                    {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  return list;
}

Json choice_json(const Choice& choice) {
  const Answer& answer = choice.answer;
  Json object = {{"content", answer.content}, {"reasoning", answer.reasoning}};
  object["tool_calls"] = calls_json(answer.tool_calls);
  object["finish_reason"] = finish_name(answer.reason, !answer.tool_calls.empty());
  if (!answer.stop.empty()) object["stop"] = answer.stop;
  object["usage"] = usage_json(answer.usage);
  object["timings"] = timings_json(answer.usage);
  return object;
}

}  // namespace

std::string finish_name(FinishReason reason, bool has_calls) {
  switch (reason) {
    case FinishReason::kStop:
      return has_calls ? "tool_calls" : "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kError:
      break;
  }
  return "error";
}

std::string choices_json(const std::vector<Choice>& choices, const std::string& model) {
  if (choices.size() == 1) {
    Json object = choice_json(choices[0]);
    object["model"] = model;
    object["seed"] = choices[0].seed;
    return line_of(object);
  }
  Json list = Json::array();
  for (const Choice& choice : choices) {
    list.push_back(choice_json(choice));
    list.back()["seed"] = choice.seed;
  }
  return line_of({{"choices", std::move(list)}, {"model", model}});
}

std::string event_json(const Event& event, std::optional<int> choice) {
  Json object = Json::object();
  switch (event.kind) {
    case Event::Kind::kPrefill:
      object = {{"type", "prefill"},
                {"done_tokens", event.prefilled_tokens},
                {"total_tokens", event.usage.prompt_tokens}};
      break;
    case Event::Kind::kReasoning:
      object = {{"type", "reasoning"}, {"text", event.text}};
      break;
    case Event::Kind::kContent:
      object = {{"type", "content"}, {"text", event.text}};
      break;
    case Event::Kind::kToolCall:
      object = {{"type", "tool_call"}, {"index", event.index}, {"id", event.id}, {"name", event.name}};
      break;
    case Event::Kind::kArguments:
      object = {{"type", "arguments"}, {"index", event.index}, {"text", event.text}};
      break;
    case Event::Kind::kFinished:
      return {};
  }
  if (choice) object["choice"] = *choice;
  return line_of(object);
}

std::string finished_json(const Answer& answer, std::uint64_t seed, std::optional<int> choice) {
  Json object = {{"type", "finished"},
                 {"finish_reason", finish_name(answer.reason, !answer.tool_calls.empty())}};
  if (!answer.stop.empty()) object["stop"] = answer.stop;
  object["usage"] = usage_json(answer.usage);
  object["timings"] = timings_json(answer.usage);
  object["seed"] = seed;
  if (choice) object["choice"] = *choice;
  return line_of(object);
}

}  // namespace exa
