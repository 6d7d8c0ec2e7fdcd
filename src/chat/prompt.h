// A conversation as the model wants to read it: messages and tools → template variables → rendered prompt →
// ids.
//
// Ownership and threads: PromptBuilder borrows the tokenizer, owns the template, and is immutable.
// Source: the chat templates of the model cards, exaone-models specification 6 and 11.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chat/tags.h"
#include "exaone/messages.h"
#include "jinja/jinja.h"
#include "text/tokenizer.h"

namespace exa {

enum class Thinking { kAuto, kOn, kOff };  // kAuto: the model card's default (4.0 off, 4.5 on)

struct Prompt {
  std::string text;
  std::vector<TokenId> ids;
  bool opens_reasoning = false;    // the text ends inside open thoughts
  bool continues_content = false;  // the text ends inside the assistant's content
};

class PromptBuilder {
 public:
  // tags: thinking_tags() of the template's text.
  PromptBuilder(const Tokenizer& tokenizer, Template chat_template, const ThinkingTags& tags = {});

  // tools: an array as plain_tools gives it, or null.
  // kwargs: extra template variables (unknown ones are ignored by the template).
  // continue_final: the last message is the assistant's and the prompt ends inside it: in its content, or in
  // its reasoning where it has reasoning alone.
  // Errors: kBadInput naming the message index, or as Template::render.
  Prompt chat(std::span<const Message> messages, const nlohmann::ordered_json& tools, Thinking thinking,
              const nlohmann::ordered_json& kwargs = nlohmann::ordered_json::object(),
              bool continue_final = false) const;
  // The text itself, no template; control tokens in it match.
  Prompt raw(std::string_view text) const;

 private:
  const Tokenizer* tokenizer_;
  Template template_;
  ThinkingTags tags_;
};

}  // namespace exa
