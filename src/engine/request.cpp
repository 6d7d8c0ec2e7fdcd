#include "engine/request.h"

#include <algorithm>
#include <string>
#include <utility>

#include "chat/tools.h"
#include "engine/sampling_options.h"
#include "json/read.h"
#include "text/utf8.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

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

// The declared tools as an array, null where the request has none or may not call any.
Json tools_json(const GenerateRequest& request) {
  const Json tools =
      request.tools.empty() ? Json::array() : plain_tools(read_json(request.tools, "tools"), "tools");
  const ToolChoice::Kind choice = request.tool_choice.kind;
  if (tools.empty() && (choice == ToolChoice::Kind::kRequired || choice == ToolChoice::Kind::kNamed)) {
    throw Error(ErrorKind::kBadInput, "a call is required, but the request has no tools", "tool_choice");
  }
  const auto is_named = [&](const Json& tool) {
    return tool["function"]["name"] == request.tool_choice.name;
  };
  if (choice == ToolChoice::Kind::kNamed && std::none_of(tools.begin(), tools.end(), is_named)) {
    throw Error(ErrorKind::kBadInput, "the tool \"" + request.tool_choice.name + "\" is not among the tools",
                "tool_choice");
  }
  return tools.empty() || choice == ToolChoice::Kind::kNone ? Json() : tools;
}

// The further template variables, an object.
Json template_arguments_json(const GenerateRequest& request) {
  if (request.template_arguments.empty()) return Json::object();
  return read_json(request.template_arguments, "template_arguments");
}

WriterOptions writer_options(const GenerateRequest& request, const Prompt& prompt, const ThinkingTags& tags,
                             bool has_tools) {
  WriterOptions options;
  options.answer.thinking = tags;
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
  options.budget_end += reasoning_end(tags);
  return options;
}

// The next turn's history has none of this one's thoughts: it goes back to where they began. Those between
// calls of tools belong to the turn that called them.
bool begins_turn(const GenerateRequest& request) {
  return request.raw || request.messages.back().role != "tool";
}

}  // namespace

Preparer::Preparer(const Checkpoint& checkpoint, const Tokenizer& tokenizer, const Sight* sight)
    : tokenizer_(&tokenizer),
      sight_(sight),
      stated_(read_stated_sampling(checkpoint)),
      can_chat_(checkpoint.chat_template().has_value()),
      tags_(thinking_tags(checkpoint.chat_template().value_or(""))),
      prompts_(tokenizer, Template::parse(checkpoint.chat_template().value_or("")), tags_),
      constraints_(tokenizer) {}

bool Preparer::thinks_by_default() const {
  if (!can_chat_) return false;
  const Message probe("user", "?");
  return prompts_.chat({&probe, 1}, nullptr, Thinking::kAuto).opens_reasoning;
}

SamplingOptions Preparer::defaults(bool thinking) const {
  return sampling_defaults(sampling_card(*tokenizer_), stated_, thinking);
}

Prompt Preparer::build_prompt(const GenerateRequest& request, const nlohmann::ordered_json& tools) const {
  if (request.raw) return prompts_.raw(*request.raw);
  if (!can_chat_) {
    throw Error(ErrorKind::kBadInput, "the model has no chat template, expected a raw prompt");
  }
  if (request.messages.empty()) throw Error(ErrorKind::kBadInput, "the conversation has no message");
  // A budget of nothing is the model's own way of not thinking.
  const bool no_budget = request.reasoning_budget == 0;
  return prompts_.chat(request.messages, tools, no_budget ? Thinking::kOff : to_thinking(request.think),
                       template_arguments_json(request), request.continue_final_message);
}

// What headers tell of the request's pictures, in order of appearance.
std::vector<Picture> Preparer::look_at(const GenerateRequest& request) const {
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

Prepared Preparer::prepare(const GenerateRequest& request, std::int64_t context_tokens) {
  check_request(request, static_cast<std::int64_t>(tokenizer_->vocab_size()));
  const nlohmann::ordered_json tools = request.raw ? nlohmann::ordered_json() : tools_json(request);
  std::vector<Picture> pictures = look_at(request);
  Prompt prompt = build_prompt(request, tools);
  Prepared prepared;
  if (sight_) {
    prepared.pictures = expand_placeholders(prompt.ids, tokenizer_->find(kImagePad),
                                            tokenizer_->find(kVideoPad), std::move(pictures));
  }
  prepared.keys = token_keys(prompt.ids, prepared.pictures);
  const auto n_prompt = static_cast<std::int64_t>(prompt.ids.size());
  if (n_prompt == 0) throw Error(ErrorKind::kBadInput, "the prompt is empty");
  if (n_prompt >= context_tokens) {
    throw Error(ErrorKind::kBadInput, "the prompt has " + std::to_string(n_prompt) +
                                          " tokens, the context holds " + std::to_string(context_tokens) +
                                          " with the answer");
  }
  const std::int64_t room = context_tokens - n_prompt;
  prepared.begins_turn = begins_turn(request);
  prepared.answer = writer_options(request, prompt, tags_, !tools.is_null());
  prepared.answer.sampling = effective_sampling(request.sampling, defaults(prompt.opens_reasoning));
  prepared.answer.max_tokens = std::min(request.max_tokens.value_or(room), room);
  prepared.answer.grammar = constraints_.bind(request, tools);
  prepared.ids = std::move(prompt.ids);
  return prepared;
}

}  // namespace exa
