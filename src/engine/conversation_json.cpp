#include "engine/conversation_json.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "chat/conversation.h"
#include "text/utf8.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const std::string& where, const std::string& message) {
  throw Error(ErrorKind::kBadInput, message, where);
}

const std::string& checked(const std::string& text, const std::string& where) {
  const std::size_t invalid = find_invalid_utf8(text);
  if (invalid != std::string_view::npos) {
    refuse(where, "invalid UTF-8 at byte " + std::to_string(invalid));
  }
  return text;
}

bool is_picture(const ContentPart& part) {
  return part.image || !part.frames.empty();
}

// Text alone is a string, else a list of parts; the template writes a placeholder for each picture.
Json content_json(const Message& message, const std::string& where) {
  if (std::none_of(message.content.begin(), message.content.end(), is_picture)) {
    return checked(text_of(message), where);
  }
  if (message.role != "user") {
    refuse(where, "a picture in a message of the role " + message.role + ", expected the role user");
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

Json calls_json(const Message& message, const std::string& where) {
  Json calls = Json::array();
  for (std::size_t i = 0; i < message.tool_calls.size(); ++i) {
    const ToolCall& call = message.tool_calls[i];
    const std::string place = where + "[" + std::to_string(i) + "]";
    Json out = {
        {"type", "function"},
        {"function",
         {{"name", checked(call.name, place + ".name")}, {"arguments", checked(call.arguments, place)}}}};
    if (!call.id.empty()) out["id"] = checked(call.id, place + ".id");
    calls.push_back(std::move(out));
  }
  return calls;
}

Json message_json(const Message& message, const std::string& where) {
  constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool"};
  if (std::find(std::begin(kRoles), std::end(kRoles), message.role) == std::end(kRoles)) {
    std::string shown;
    append_replacing_invalid(shown, message.role);
    refuse(where + ".role",
           "the role is \"" + shown + "\", expected system, developer, user, assistant or tool");
  }
  if (message.role != "assistant" && (!message.tool_calls.empty() || !message.reasoning.empty())) {
    refuse(where,
           "calls or reasoning in a message of the role " + message.role + ", expected the role assistant");
  }
  if (message.role != "tool" && !message.tool_call_id.empty()) {
    refuse(where + ".tool_call_id", "found with the role " + message.role + ", expected the role tool");
  }
  Json out = {{"role", message.role}, {"content", content_json(message, where + ".content")}};
  if (!message.reasoning.empty()) {
    out["reasoning_content"] = checked(message.reasoning, where + ".reasoning");
  }
  if (!message.tool_calls.empty()) out["tool_calls"] = calls_json(message, where + ".tool_calls");
  if (!message.tool_call_id.empty()) {
    out["tool_call_id"] = checked(message.tool_call_id, where + ".tool_call_id");
  }
  if (!message.name.empty()) out["name"] = checked(message.name, where + ".name");
  return out;
}

Json parsed(const std::string& text, const std::string& where) {
  Json value = Json::parse(checked(text, where), nullptr, false);
  if (value.is_discarded()) refuse(where, "the text is no JSON");
  require_shallow(value, where);
  return value;
}

const Json* function_of(const Json& tool) {
  if (!tool.is_object()) return nullptr;
  const auto function = tool.find("function");
  if (function == tool.end() || !function->is_object()) return nullptr;
  const auto name = function->find("name");
  const bool named =
      name != function->end() && name->is_string() && !name->get_ref<const std::string&>().empty();
  return named ? &*function : nullptr;
}

}  // namespace

Json messages_json(const GenerateRequest& request) {
  Json messages = Json::array();
  for (std::size_t i = 0; i < request.messages.size(); ++i) {
    messages.push_back(message_json(request.messages[i], "messages[" + std::to_string(i) + "]"));
  }
  return messages;
}

Json tools_json(const GenerateRequest& request) {
  Json tools = request.tools.empty() ? Json() : parsed(request.tools, "tools");
  if (!tools.is_null() && !tools.is_array()) {
    refuse("tools", std::string("expected an array, found ") + tools.type_name());
  }
  bool named_found = false;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const Json* const function = function_of(tools[i]);
    if (!function) {
      refuse("tools[" + std::to_string(i) + "]",
             "expected {\"type\": \"function\", \"function\": {\"name\": …}}");
    }
    named_found = named_found || (*function)["name"] == request.tool_choice.name;
  }
  const ToolChoice::Kind choice = request.tool_choice.kind;
  if (tools.empty() && (choice == ToolChoice::Kind::kRequired || choice == ToolChoice::Kind::kNamed)) {
    refuse("tool_choice", "a call is required, but the request has no tools");
  }
  if (choice == ToolChoice::Kind::kNamed && !named_found) {
    refuse("tool_choice", "the tool \"" + request.tool_choice.name + "\" is not among the tools");
  }
  return tools.empty() || choice == ToolChoice::Kind::kNone ? Json() : tools;
}

Json template_arguments_json(const GenerateRequest& request) {
  if (request.template_arguments.empty()) return Json::object();
  return parsed(request.template_arguments, "template_arguments");
}

}  // namespace exa
