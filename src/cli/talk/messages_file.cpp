#include "cli/talk/messages_file.h"

#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/terminal/streams.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kMostMessageBytes = std::uint64_t{64} << 20;

[[noreturn]] void refuse(const std::string& where, const std::string& message) {
  throw Error(ErrorKind::kBadInput, message, where);
}

std::string string_at(const Json& object, const char* key, const std::string& where) {
  const auto value = object.find(key);
  if (value == object.end() || value->is_null()) return {};
  if (!value->is_string())
    refuse(where + "." + key, std::string("expected a string, found ") + value->type_name());
  return value->get<std::string>();
}

std::vector<ContentPart> content_of(const Json& message, const std::string& where) {
  const auto content = message.find("content");
  if (content == message.end() || content->is_null()) return {};
  std::vector<ContentPart> parts;
  if (content->is_string()) {
    parts.emplace_back().text = content->get<std::string>();
    return parts;
  }
  if (!content->is_array()) {
    refuse(where + ".content", std::string("expected a string or an array, found ") + content->type_name());
  }
  for (std::size_t i = 0; i < content->size(); ++i) {
    const Json& part = (*content)[i];
    const std::string place = where + ".content[" + std::to_string(i) + "]";
    if (!part.is_object()) refuse(place, std::string("expected an object, found ") + part.type_name());
    const std::string type = string_at(part, "type", place);
    if (type != "text") {
      throw Error(ErrorKind::kUnsupported, "a part of the type \"" + type + "\", expected \"text\"", place);
    }
    parts.emplace_back().text = string_at(part, "text", place);
  }
  return parts;
}

std::vector<ToolCall> calls_of(const Json& message, const std::string& where) {
  std::vector<ToolCall> calls;
  const auto list = message.find("tool_calls");
  if (list == message.end() || list->is_null()) return calls;
  if (!list->is_array())
    refuse(where + ".tool_calls", std::string("expected an array, found ") + list->type_name());
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Json& entry = (*list)[i];
    const std::string place = where + ".tool_calls[" + std::to_string(i) + "]";
    if (!entry.is_object()) refuse(place, std::string("expected an object, found ") + entry.type_name());
    const auto function = entry.find("function");
    const Json& named = function != entry.end() ? *function : entry;
    if (!named.is_object()) refuse(place + ".function", "expected an object");
    const auto arguments = named.find("arguments");
    std::string text = "{}";
    if (arguments != named.end())
      text = arguments->is_string() ? arguments->get<std::string>() : arguments->dump();
    calls.push_back(
        {string_at(entry, "id", place), string_at(named, "name", place + ".function"), std::move(text)});
  }
  return calls;
}

Message message_of(const Json& object, const std::string& where) {
  if (!object.is_object()) refuse(where, std::string("expected a message, found ") + object.type_name());
  Message message;
  message.role = string_at(object, "role", where);
  if (message.role == "function") message.role = "tool";
  message.content = content_of(object, where);
  for (const char* const key : {"reasoning_content", "reasoning", "thinking"}) {
    if (message.reasoning.empty()) message.reasoning = string_at(object, key, where);
  }
  message.tool_calls = calls_of(object, where);
  message.tool_call_id = string_at(object, "tool_call_id", where);
  message.name = string_at(object, "name", where);
  return message;
}

Json call_json(const ToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

Json to_json(const Message& message) {
  Json object = {{"role", message.role}, {"content", text_of(message)}};
  if (!message.reasoning.empty()) object["reasoning_content"] = message.reasoning;
  for (const ToolCall& call : message.tool_calls) object["tool_calls"].push_back(call_json(call));
  if (!message.tool_call_id.empty()) object["tool_call_id"] = message.tool_call_id;
  if (!message.name.empty()) object["name"] = message.name;
  return object;
}

Json parsed(std::string_view text, const std::string& where) {
  // Depth is refused before a value is built: destroying a deep one would recurse.
  bool too_deep = false;
  const auto shallow = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > 128;
    return !too_deep;
  };
  Json whole = Json::parse(text, shallow, false);
  if (too_deep) refuse(where, "nested deeper than 128 arrays and objects");
  if (whole.is_discarded()) refuse(where, "the text is no JSON");
  return whole;
}

}  // namespace

std::vector<Message> messages_from_json(std::string_view text, const std::string& where) {
  const Json whole = parsed(text, where);
  const bool wrapped = whole.is_object() && whole.contains("messages");
  const Json& list = wrapped ? whole["messages"] : whole;
  if (!list.is_array())
    refuse(where, std::string("expected an array of messages, found ") + list.type_name());
  std::vector<Message> messages;
  for (std::size_t i = 0; i < list.size(); ++i) {
    messages.push_back(message_of(list[i], where + ": messages[" + std::to_string(i) + "]"));
  }
  return messages;
}

std::string call_to_json(const ToolCall& call) {
  return call_json(call).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string tools_from_json(std::string_view text, const std::string& where) {
  Json tools = parsed(text, where);
  if (tools.is_object() && tools.contains("tools")) {
    Json inner = tools["tools"];
    tools = std::move(inner);
  }
  if (tools.is_object()) tools = Json::array({std::move(tools)});
  if (!tools.is_array()) refuse(where, std::string("expected an array of tools, found ") + tools.type_name());
  for (Json& tool : tools) {
    if (tool.is_object() && !tool.contains("function") && tool.contains("name")) {
      Json function = std::move(tool);
      tool = {{"type", "function"}, {"function", std::move(function)}};
    }
    const bool named = tool.is_object() && tool.contains("function") && tool["function"].is_object() &&
                       tool["function"].contains("name") && tool["function"]["name"].is_string();
    if (!named) refuse(where, "expected functions with a name, found " + tool.dump().substr(0, 60));
  }
  return tools.dump();
}

std::string tool_names(std::string_view tools) {
  std::string names;
  for (const Json& tool : parsed(tools, "tools")) {
    names += (names.empty() ? "" : ", ") + tool["function"]["name"].get<std::string>();
  }
  return names;
}

std::string messages_to_json(const std::vector<Message>& messages) {
  Json list = Json::array();
  for (const Message& message : messages) list.push_back(to_json(message));
  return Json{{"messages", std::move(list)}}.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string read_utf8_file(const std::filesystem::path& path) {
  std::string text = read_text_file(path, kMostMessageBytes);
  require_utf8(text, path.string());
  return text;
}

}  // namespace exa
