#include "chat/conversation.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/printable.h"
#include "chat/expected.h"
#include "chat/message_table.h"
#include "json/read.h"
#include "text/utf8.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

const std::string& checked(const std::string& text, const std::string& where) {
  const std::size_t invalid = find_invalid_utf8(text);
  if (invalid != std::string_view::npos) {
    throw Error(ErrorKind::kBadInput, "invalid UTF-8 at byte " + std::to_string(invalid), where);
  }
  return text;
}

bool is_picture(const ContentPart& part) {
  return part.image || !part.frames.empty();
}

// Text alone is a string, else a list of parts; the template writes a placeholder for each picture.
Json template_content(const Message& message, const std::string& where) {
  if (std::none_of(message.content.begin(), message.content.end(), is_picture)) {
    return checked(text_of(message), where);
  }
  if (message.role != "user") {
    fail_expected(where, "pictures in messages of the role user", "one of the role " + message.role);
  }
  Json parts = Json::array();
  for (const ContentPart& part : message.content) {
    if (is_picture(part)) {
      parts.push_back({{"type", part.image ? "image" : "video"}});
    } else {
      parts.push_back({{"type", "text"}, {"text", checked(part.text, where)}});
    }
  }
  return parts;
}

// Text that is JSON becomes its value, so that |tojson does not quote it a second time; none means {}.
Json template_arguments(const std::string& text, const std::string& where) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return Json::object();
  std::optional<Json> value = read_json_if_any(checked(text, where), where);
  return value ? std::move(*value) : Json(text);
}

Json template_calls(const Message& message, const std::string& where) {
  Json calls = Json::array();
  for (std::size_t i = 0; i < message.tool_calls.size(); ++i) {
    const ToolCall& call = message.tool_calls[i];
    const std::string place = where + "[" + std::to_string(i) + "]";
    Json out = {{"type", "function"},
                {"function",
                 {{"name", checked(call.name, place + ".function.name")},
                  {"arguments", template_arguments(call.arguments, place + ".function.arguments")}}}};
    if (!call.id.empty()) out["id"] = checked(call.id, place + ".id");
    calls.push_back(std::move(out));
  }
  return calls;
}

Json template_message(const Message& message, const std::string& where) {
  const MessageRole* const role = find_role(message.role);
  if (!role) fail_expected(where + ".role", std::string(kRoleNames), '"' + printable(message.role) + '"');
  const std::string_view in_template = role->in_template;
  Json out = {{"role", in_template}};
  if (!message.content.empty() || in_template != "assistant") {
    out["content"] = template_content(message, where + ".content");
  }
  for (const MessageField& field : kTextFields) {
    const std::string& text = message.*field.member;
    if (text.empty()) continue;
    const std::string name(field.names[0]);
    if (!field.role.empty() && field.role != in_template) {
      fail_expected(where + "." + name, "it in messages of the role " + std::string(field.role),
                    "one of the role " + message.role);
    }
    out[name] = checked(text, where + "." + name);
  }
  if (!message.tool_calls.empty()) {
    if (in_template != "assistant") {
      fail_expected(where + ".tool_calls", "calls in messages of the role assistant",
                    "one of the role " + message.role);
    }
    out["tool_calls"] = template_calls(message, where + ".tool_calls");
  }
  return out;
}

std::vector<std::string> ids_of(const Json& list, std::size_t begin, std::size_t end, const char* key) {
  std::vector<std::string> ids;
  for (std::size_t i = begin; i < end; ++i) {
    const auto id = list[i].find(key);
    if (id == list[i].end() || !id->is_string()) return {};
    ids.push_back(id->get<std::string>());
  }
  return ids;
}

// messages[begin, end) are the results of the calls of messages[begin - 1].
void order_results(Json& messages, std::size_t begin, std::size_t end) {
  const Json& calls = messages[begin - 1]["tool_calls"];
  const std::vector<std::string> wanted = ids_of(calls, 0, calls.size(), "id");
  const std::vector<std::string> given = ids_of(messages, begin, end, "tool_call_id");
  if (wanted.empty() || given.empty()) return;
  std::vector<bool> used(given.size(), false);
  Json ordered = Json::array();
  std::unordered_map<std::string_view, std::vector<std::size_t>> places;  // of an id, the first one last
  for (std::size_t i = given.size(); i-- > 0;) places[given[i]].push_back(i);
  for (const std::string& id : wanted) {
    std::vector<std::size_t>& left = places[id];
    if (left.empty()) {
      fail_expected("messages[" + std::to_string(begin - 1) + "].tool_calls", "a tool message for every call",
                    "none for \"" + printable(id) + '"');
    }
    used[left.back()] = true;
    ordered.push_back(messages[begin + left.back()]);
    left.pop_back();
  }
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (used[i]) continue;
    fail_expected("messages[" + std::to_string(begin + i) + "].tool_call_id",
                  "the id of a call in messages[" + std::to_string(begin - 1) + "]",
                  '"' + printable(given[i]) + '"');
  }
  for (std::size_t i = 0; i < ordered.size(); ++i) messages[begin + i] = std::move(ordered[i]);
}

}  // namespace

Json template_messages(std::span<const Message> messages) {
  Json out = Json::array();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    out.push_back(template_message(messages[i], "messages[" + std::to_string(i) + "]"));
  }
  for (std::size_t begin = 1; begin < out.size(); ++begin) {
    if (out[begin]["role"] != "tool" || !out[begin - 1].contains("tool_calls")) continue;
    std::size_t end = begin;
    while (end < out.size() && out[end]["role"] == "tool") ++end;
    order_results(out, begin, end);
    begin = end;
  }
  return out;
}

}  // namespace exa
