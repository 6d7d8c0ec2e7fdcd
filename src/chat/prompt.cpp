#include "chat/prompt.h"

#include <string_view>
#include <utility>

#include "base/error.h"
#include "chat/conversation.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

bool ends_in_reasoning(std::string_view text, const std::vector<TextSpan>& spans, const ThinkingTags& tags) {
  for (const char* const newlines : {"", "\n", "\n\n"}) {
    const std::string tag = std::string(tags.begin) + newlines;
    if (!text.ends_with(tag)) continue;
    return !spans.empty() && spans.back().origin == TextOrigin::kTemplate &&
           text.size() - spans.back().begin >= tag.size();
  }
  return false;
}

void append(Rendered& to, std::string_view text, TextOrigin origin) {
  if (text.empty()) return;
  to.spans.push_back({to.text.size(), to.text.size() + text.size(), origin});
  to.text += text;
}

// Removes the message that goes on.
Json take_final(Json& conversation) {
  const std::string where =
      "messages[" + std::to_string(conversation.empty() ? 0 : conversation.size() - 1) + "]";
  if (conversation.empty() || conversation.back()["role"] != "assistant") {
    throw Error(ErrorKind::kBadInput, "only a message of the role assistant can go on", where);
  }
  if (conversation.back().contains("tool_calls")) {
    throw Error(ErrorKind::kBadInput, "a message that calls tools cannot go on", where);
  }
  Json final = conversation.back();
  conversation.erase(conversation.size() - 1);
  return final;
}

// The generation prompt is there; what the message holds follows it, written as the model writes it.
void append_final(const Json& final, const ThinkingTags& tags, Rendered& rendered, Prompt& prompt) {
  const auto text = [&](const char* key) {
    const auto value = final.find(key);
    return value != final.end() && value->is_string() ? value->get<std::string>() : std::string();
  };
  const std::string reasoning = text("reasoning_content");
  const std::string content = text("content");
  if (prompt.opens_reasoning) {
    append(rendered, reasoning, TextOrigin::kData);
    if (content.empty()) return;
    const bool line_ended = reasoning.empty() || reasoning.ends_with('\n');
    append(rendered, std::string_view(reasoning_end(tags)).substr(line_ended ? 1 : 0), TextOrigin::kTemplate);
    prompt.opens_reasoning = false;
  }
  append(rendered, content, TextOrigin::kData);
  prompt.continues_content = !content.empty();
}

}  // namespace

PromptBuilder::PromptBuilder(const Tokenizer& tokenizer, Template chat_template, const ThinkingTags& tags)
    : tokenizer_(&tokenizer), template_(std::move(chat_template)), tags_(tags) {}

Prompt PromptBuilder::chat(std::span<const Message> messages, const Json& tools, Thinking thinking,
                           const Json& kwargs, bool continue_final) const {
  if (!tools.is_null() && !tools.is_array()) {
    throw Error(ErrorKind::kBadInput, std::string("expected an array, found ") + tools.type_name(), "tools");
  }
  if (!kwargs.is_null() && !kwargs.is_object()) {
    throw Error(ErrorKind::kBadInput, std::string("expected an object, found ") + kwargs.type_name(),
                "chat_template_kwargs");
  }
  Json variables = kwargs.is_object() ? kwargs : Json::object();
  // The template takes these names as text of its own, so a request may not choose what they say.
  for (const char* const name :
       {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    variables.erase(name);
  }
  if (const auto bos = tokenizer_->bos()) variables["bos_token"] = std::string(tokenizer_->token_bytes(*bos));
  if (const auto eos = tokenizer_->eos()) variables["eos_token"] = std::string(tokenizer_->token_bytes(*eos));
  Json conversation = template_messages(messages);
  const Json final = continue_final ? take_final(conversation) : Json();
  variables["messages"] = std::move(conversation);
  variables["tools"] = tools;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = true;
  if (thinking != Thinking::kAuto) variables["enable_thinking"] = thinking == Thinking::kOn;

  Rendered rendered = template_.render(variables);
  Prompt prompt;
  prompt.opens_reasoning = ends_in_reasoning(rendered.text, rendered.spans, tags_);
  if (continue_final) append_final(final, tags_, rendered, prompt);
  prompt.ids = tokenizer_->encode(rendered.text, rendered.spans);
  prompt.text = std::move(rendered.text);
  return prompt;
}

Prompt PromptBuilder::raw(std::string_view text) const {
  Prompt prompt;
  prompt.text = text;
  prompt.ids = tokenizer_->encode(text, true);
  const TextSpan whole{0, text.size(), TextOrigin::kTemplate};
  prompt.opens_reasoning = ends_in_reasoning(text, {whole}, tags_);
  return prompt;
}

}  // namespace exa
