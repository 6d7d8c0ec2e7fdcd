#include "chat/conversation.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void fail(const std::string& where, const std::string& expected, const std::string& found) {
  throw Error(ErrorKind::kBadInput, "expected " + expected + ", found " + found, where);
}

// A value in an error: short, and valid UTF-8 whatever it holds.
std::string shown(const Json& value) {
  if (value.is_structured()) return std::string("an ") + value.type_name();
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

std::string template_role(const Json& message, const std::string& where) {
  static constexpr std::string_view kExpected = "system, developer, user, assistant, tool or function";
  const auto role = message.find("role");
  if (role == message.end()) fail(where + ".role", std::string(kExpected), "none");
  if (role->is_string()) {
    const auto& name = role->get_ref<const std::string&>();
    if (name == "developer") return "system";
    if (name == "function") return "tool";
    if (name == "system" || name == "user" || name == "assistant" || name == "tool") return name;
  }
  fail(where + ".role", std::string(kExpected), shown(*role));
}

const std::string& text_of_part(const Json& part, const char* key, const std::string& where) {
  const auto text = part.find(key);
  if (text == part.end() || !text->is_string()) {
    fail(where + "." + key, "a string", text == part.end() ? "none" : shown(*text));
  }
  return text->get_ref<const std::string&>();
}

Json template_part(const Json& part, const std::string& where) {
  if (part.is_string()) return {{"type", "text"}, {"text", part}};
  if (!part.is_object()) fail(where, "a content part", part.type_name());
  const auto type = part.find("type");
  const std::string kind = type != part.end() && type->is_string() ? type->get<std::string>() : "";
  if (kind == "text" || kind == "input_text" || kind == "output_text") {
    return {{"type", "text"}, {"text", text_of_part(part, "text", where)}};
  }
  if (kind == "refusal") return {{"type", "text"}, {"text", text_of_part(part, "refusal", where)}};
  if (kind == "image" || kind == "image_url" || kind == "input_image") return {{"type", "image"}};
  if (kind == "video" || kind == "video_url" || kind == "input_video") return {{"type", "video"}};
  fail(where + ".type", "text, image_url or video_url", type == part.end() ? "none" : shown(*type));
}

Json template_content(const Json& content, const std::string& where) {
  if (content.is_string()) return content;
  if (!content.is_array()) fail(where, "a string or an array of parts", content.type_name());
  Json parts = Json::array();
  std::string joined;
  bool only_text = true;
  for (std::size_t i = 0; i < content.size(); ++i) {
    parts.push_back(template_part(content[i], where + "[" + std::to_string(i) + "]"));
    if (parts.back()["type"] == "text") {
      joined += parts.back()["text"].get_ref<const std::string&>();
    } else {
      only_text = false;
    }
  }
  return only_text ? Json(std::move(joined)) : parts;
}

// A string that is JSON becomes its value, so that |tojson does not quote it a second time; none means {}.
void parse_arguments(Json& function, const std::string& where) {
  const auto arguments = function.find("arguments");
  if (arguments == function.end() || !arguments->is_string()) return;
  const auto& text = arguments->get_ref<const std::string&>();
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    *arguments = Json::object();
    return;
  }
  Json parsed = Json::parse(text, nullptr, false);
  if (parsed.is_discarded()) return;
  require_shallow(parsed, where);
  *arguments = std::move(parsed);
}

Json template_calls(const Json& calls, const std::string& where) {
  if (!calls.is_array()) fail(where, "an array", calls.type_name());
  Json out = calls;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::string place = where + "[" + std::to_string(i) + "]";
    if (!out[i].is_object()) fail(place, "an object", out[i].type_name());
    const auto function = out[i].find("function");
    Json& named = function != out[i].end() ? *function : out[i];
    if (!named.is_object()) fail(place + ".function", "an object", named.type_name());
    const auto name = named.find("name");
    if (name == named.end() || !name->is_string()) {
      fail(place + ".function.name", "a string", name == named.end() ? "none" : shown(*name));
    }
    parse_arguments(named, place + ".function.arguments");
    if (!named.contains("arguments") && !named.contains("parameters")) named["arguments"] = Json::object();
  }
  return out;
}

Json template_message(const Json& message, const std::string& where) {
  if (!message.is_object()) fail(where, "a message object", message.type_name());
  const std::string role = template_role(message, where);
  Json out = Json::object();
  for (const auto& [key, value] : message.items()) {
    if (value.is_null()) continue;
    if (key == "role") {
      out["role"] = role;
    } else if (key == "content") {
      out["content"] = template_content(value, where + ".content");
    } else if (key == "tool_calls") {
      out["tool_calls"] = template_calls(value, where + ".tool_calls");
    } else if (key == "function_call" && !message.contains("tool_calls")) {
      out["tool_calls"] = template_calls(Json::array({{{"type", "function"}, {"function", value}}}),
                                         where + ".function_call");
    } else {
      out[key] = value;
    }
  }
  if (role != "assistant" && !out.contains("content")) {
    fail(where + ".content", "a string or an array of parts", "none");
  }
  if (!out.contains("reasoning_content")) {
    for (const char* const name : {"reasoning", "thinking"}) {
      const auto reasoning = out.find(name);
      if (reasoning == out.end() || !reasoning->is_string()) continue;
      Json text = *reasoning;
      out["reasoning_content"] = std::move(text);
      break;
    }
  } else if (!out["reasoning_content"].is_string()) {
    fail(where + ".reasoning_content", "a string", shown(out["reasoning_content"]));
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
  for (const std::string& id : wanted) {
    std::size_t i = 0;
    while (i < given.size() && (used[i] || given[i] != id)) ++i;
    if (i == given.size()) {
      fail("messages[" + std::to_string(begin - 1) + "].tool_calls", "a tool message for every call",
           "none for " + shown(Json(id)));
    }
    used[i] = true;
    ordered.push_back(messages[begin + i]);
  }
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (used[i]) continue;
    fail("messages[" + std::to_string(begin + i) + "].tool_call_id",
         "the id of a call in messages[" + std::to_string(begin - 1) + "]", shown(Json(given[i])));
  }
  for (std::size_t i = 0; i < ordered.size(); ++i) messages[begin + i] = std::move(ordered[i]);
}

}  // namespace

void require_shallow(const Json& value, const std::string& where) {
  constexpr std::size_t kDeepest = 128;
  std::vector<std::pair<const Json*, std::size_t>> open{{&value, 1}};
  while (!open.empty()) {
    const auto [here, depth] = open.back();
    open.pop_back();
    if (!here->is_structured()) continue;
    if (depth > kDeepest) {
      throw Error(ErrorKind::kBadInput,
                  "nested deeper than " + std::to_string(kDeepest) + " arrays and objects", where);
    }
    for (const Json& child : *here) open.emplace_back(&child, depth + 1);
  }
}

Json template_messages(const Json& messages) {
  require_shallow(messages, "messages");
  if (!messages.is_array()) fail("messages", "an array", messages.type_name());
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
