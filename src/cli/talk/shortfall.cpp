#include "cli/talk/shortfall.h"

#include <fmt/format.h>

namespace exa {

std::string shortfall(const Answer& answer, const GenerateRequest& request, const ModelInfo& info,
                      const std::string& more) {
  const bool empty = answer.content.empty() && answer.tool_calls.empty();
  const bool only_thought = empty && answer.usage.reasoning_tokens > 0;
  if (answer.reason == FinishReason::kLength) {
    const std::string thinking = only_thought ? ", all of them thinking" : "";
    if (request.max_tokens && answer.usage.completion_tokens >= *request.max_tokens) {
      return fmt::format("cut after {} tokens{}; {}", answer.usage.completion_tokens, thinking, more);
    }
    return fmt::format("cut after {} tokens{}: the context of {} tokens is full",
                       answer.usage.completion_tokens, thinking, info.context_tokens);
  }
  if (answer.reason == FinishReason::kStop && only_thought)
    return "the model only thought and gave no answer";
  return {};
}

void require_satisfied(const Answer& answer, const GenerateRequest& request, const std::string& shortfall) {
  if (answer.satisfies_request || answer.reason == FinishReason::kCancelled) return;
  const bool of_content = request.constraint.kind != Constraint::Kind::kNone;
  const std::string promised = !of_content ? "the call that was demanded"
                               : request.constraint.kind == Constraint::Kind::kJsonSchema
                                   ? "what the schema demands"
                                   : "what the grammar demands";
  const std::string cause = !shortfall.empty()     ? shortfall
                            : !answer.stop.empty() ? "ended by a stop text"
                                                   : "ended";
  throw Error(ErrorKind::kIncomplete, "the answer is not " + promised + ": " + cause);
}

}  // namespace exa
