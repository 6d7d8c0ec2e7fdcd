// The roles and plain fields of messages: what they are called in JSON, in templates and in Message.
//
// Ownership and threads: constants.
// Source: OpenAI's chat messages (developer, function; name, tool_call_id); the names of reasoning that
// templates and servers use.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "exaone/messages.h"

namespace exa {

struct MessageRole {
  std::string_view name;         // in JSON and in Message
  std::string_view in_template;  // system, user, assistant or tool
};
inline constexpr std::array<MessageRole, 6> kRoles = {{{"system", "system"},
                                                       {"developer", "system"},
                                                       {"user", "user"},
                                                       {"assistant", "assistant"},
                                                       {"tool", "tool"},
                                                       {"function", "tool"}}};
inline constexpr std::string_view kRoleNames = "system, developer, user, assistant, tool or function";

// Null for other names.
constexpr const MessageRole* find_role(std::string_view name) {
  for (const MessageRole& role : kRoles) {
    if (role.name == name) return &role;
  }
  return nullptr;
}

// A field that is a text.
struct MessageField {
  std::string Message::*member;
  std::string_view role;                  // whose messages have it, as templates call it; empty: all
  std::array<std::string_view, 3> names;  // the first is written, the others are read, too
};
inline constexpr std::array<MessageField, 3> kTextFields = {
    {{&Message::reasoning, "assistant", {"reasoning_content", "reasoning", "thinking"}},
     {&Message::tool_call_id, "tool", {"tool_call_id"}},
     {&Message::name, "", {"name"}}}};

}  // namespace exa
