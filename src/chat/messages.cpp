#include "exaone/messages.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "chat/expected.h"
#include "chat/message_table.h"
#include "json/read.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;
using Picture = std::shared_ptr<const std::string>;

constexpr std::uint64_t kMostPictureBytes = 10'000'000;

// Null where the key is absent or null.
const Json* find(const Json& object, std::string_view key) {
  const auto found = object.find(std::string(key));
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const std::string& require_string(const Json& object, std::string_view key, const std::string& where) {
  const Json* const value = find(object, key);
  if (!value || !value->is_string()) {
    fail_expected(where + "." + std::string(key), "a string", value ? shown_value(*value) : "none");
  }
  return value->get_ref<const std::string&>();
}

class Reader {
 public:
  explicit Reader(const MessagesSource& source) : source_(source) {}

  Message message(const Json& object, const std::string& where) const {
    if (!object.is_object()) fail_expected(where, "a message object", object.type_name());
    Message message;
    const Json* const role = find(object, "role");
    const MessageRole* const known =
        role && role->is_string() ? find_role(role->get_ref<const std::string&>()) : nullptr;
    if (!known) fail_expected(where + ".role", std::string(kRoleNames), role ? shown_value(*role) : "none");
    message.role = known->name;
    if (const Json* const value = find(object, "content")) {
      message.content = content(*value, where + ".content");
    } else if (known->in_template != "assistant") {
      fail_expected(where + ".content", "a string or an array of parts", "none");
    }
    for (const MessageField& field : kTextFields) {
      for (const std::string_view name : field.names) {
        if (name.empty() || !(message.*field.member).empty() || !find(object, name)) continue;
        message.*field.member = require_string(object, name, where);
      }
    }
    if (const Json* const value = find(object, "tool_calls")) {
      message.tool_calls = calls(*value, where + ".tool_calls");
    } else if (const Json* const call = find(object, "function_call")) {
      message.tool_calls = calls(Json::array({*call}), where + ".function_call");
    }
    return message;
  }

 private:
  std::vector<ContentPart> content(const Json& value, const std::string& where) const {
    if (value.is_string()) return {{value.get<std::string>(), nullptr}};
    if (!value.is_array()) fail_expected(where, "a string or an array of parts", value.type_name());
    std::vector<ContentPart> parts;
    if (value.empty()) parts.push_back({"", nullptr});
    for (std::size_t i = 0; i < value.size(); ++i) {
      parts.push_back(part(value[i], where + "[" + std::to_string(i) + "]"));
    }
    return parts;
  }

  ContentPart part(const Json& value, const std::string& where) const {
    if (value.is_string()) return {value.get<std::string>(), nullptr};
    if (!value.is_object()) fail_expected(where, "a content part", value.type_name());
    const Json* const type = find(value, "type");
    const std::string kind = type && type->is_string() ? type->get<std::string>() : "";
    if (kind == "text" || kind == "input_text" || kind == "output_text") {
      return {require_string(value, "text", where), nullptr};
    }
    if (kind == "refusal") return {require_string(value, "refusal", where), nullptr};
    if (kind == "image_url" || kind == "input_image" || kind == "image") return {"", picture(value, where)};
    if (kind == "video") {
      const Json* const list = find(value, "video");
      if (!list || !list->is_array() || list->empty()) {
        fail_expected(where + ".video", "an array of pictures", list ? shown_value(*list) : "none");
      }
      ContentPart video;
      for (std::size_t i = 0; i < list->size(); ++i) {
        const std::string place = where + ".video[" + std::to_string(i) + "]";
        if (!(*list)[i].is_string())
          fail_expected(place, "a picture's data URI or path", shown_value((*list)[i]));
        video.frames.push_back(picture_at((*list)[i].get_ref<const std::string&>(), place));
      }
      return video;
    }
    fail_expected(where + ".type", "text, image_url, image or video", type ? shown_value(*type) : "none");
  }

  // {"image_url": {"url": …}} or {"image_url": …} (OpenAI), {"source": {"data": …}} (Anthropic), {"image":
  // …},
  // {"url": …}, {"path": …}, {"base64": …} (transformers).
  Picture picture(const Json& part, const std::string& where) const {
    for (const char* const key : {"image_url", "image", "url", "path", "source"}) {
      const Json* const value = find(part, key);
      if (!value) continue;
      const std::string place = where + "." + key;
      if (value->is_string()) return picture_at(value->get_ref<const std::string&>(), place);
      if (!value->is_object())
        fail_expected(place, "a data URI, a path or an object with one", shown_value(*value));
      if (find(*value, "data")) return decoded(require_string(*value, "data", place), place + ".data");
      return picture_at(require_string(*value, "url", place), place + ".url");
    }
    if (find(part, "base64")) return decoded(require_string(part, "base64", where), where + ".base64");
    fail_expected(where, "a picture under image_url", "none");
  }

  Picture decoded(std::string_view base64, const std::string& where) const {
    std::optional<std::string> bytes = from_base64(base64);
    if (!bytes || bytes->empty()) fail_expected(where, "a picture in base64", "something else");
    return std::make_shared<const std::string>(std::move(*bytes));
  }

  Picture picture_at(const std::string& address, const std::string& where) const {
    if (address.starts_with("data:")) {
      const std::size_t comma = address.find(',');
      const std::string_view head = std::string_view(address).substr(0, comma);
      if (comma == std::string::npos || !head.ends_with(";base64")) {
        fail_expected(where, "data:image/…;base64,…", '"' + printable(head) + '"');
      }
      return decoded(std::string_view(address).substr(comma + 1), where);
    }
    if (source_.folder.empty() || address.find("://") != std::string::npos) {
      throw Error(ErrorKind::kUnsupported,
                  "a picture at \"" + printable(address) + "\", expected a data URI" +
                      (source_.folder.empty() ? "" : " or a path from the file's folder"),
                  where);
    }
    return std::make_shared<const std::string>(read_text_file(source_.folder / address, kMostPictureBytes));
  }

  std::vector<ToolCall> calls(const Json& list, const std::string& where) const {
    if (!list.is_array()) fail_expected(where, "an array", list.type_name());
    std::vector<ToolCall> calls;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Json& entry = list[i];
      const std::string place = where + "[" + std::to_string(i) + "]";
      if (!entry.is_object()) fail_expected(place, "an object", shown_value(entry));
      const Json* const function = find(entry, "function");
      const Json& named = function ? *function : entry;
      const std::string inner = place + ".function";
      if (!named.is_object()) fail_expected(inner, "an object", named.type_name());
      ToolCall call;
      if (find(entry, "id")) call.id = require_string(entry, "id", place);
      call.name = require_string(named, "name", inner);
      const Json* arguments = find(named, "arguments");
      if (!arguments) arguments = find(named, "parameters");
      call.arguments = !arguments               ? "{}"
                       : arguments->is_string() ? arguments->get<std::string>()
                                                : arguments->dump();
      calls.push_back(std::move(call));
    }
    return calls;
  }

  const MessagesSource& source_;
};

std::string data_uri(const std::string& file) {
  const bool jpeg = file.starts_with("\xff\xd8"), gif = file.starts_with("GIF8");
  const bool webp = file.starts_with("RIFF") && file.compare(8, 4, "WEBP") == 0;
  const char* const type = jpeg ? "jpeg" : gif ? "gif" : webp ? "webp" : "png";
  return "data:image/" + std::string(type) + ";base64," + to_base64(file);
}

Json content_json(const Message& message) {
  bool has_pictures = false;
  for (const ContentPart& part : message.content) {
    has_pictures = has_pictures || part.image || !part.frames.empty();
  }
  if (!has_pictures) return text_of(message);
  Json parts = Json::array();
  for (const ContentPart& part : message.content) {
    if (part.image) {
      parts.push_back({{"type", "image_url"}, {"image_url", {{"url", data_uri(*part.image)}}}});
    } else if (!part.frames.empty()) {
      Json frames = Json::array();
      for (const Picture& frame : part.frames) frames.push_back(data_uri(*frame));
      parts.push_back({{"type", "video"}, {"video", std::move(frames)}});
    } else {
      parts.push_back({{"type", "text"}, {"text", part.text}});
    }
  }
  return parts;
}

Json call_json(const ToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

Json to_json(const Message& message) {
  Json object = {{"role", message.role}, {"content", content_json(message)}};
  for (const MessageField& field : kTextFields) {
    const std::string& text = message.*field.member;
    if (!text.empty()) object[std::string(field.names[0])] = text;
  }
  for (const ToolCall& call : message.tool_calls) object["tool_calls"].push_back(call_json(call));
  return object;
}

}  // namespace

std::string text_of(const Message& message) {
  std::string text;
  for (const ContentPart& part : message.content) text += part.text;
  return text;
}

std::vector<Message> read_messages(std::string_view json, const MessagesSource& source) {
  const std::string place = source.name + (source.name.empty() ? "" : ": ") + "messages";
  const Json whole = read_json(json, place);
  const Json* const wrapped = whole.is_object() ? find(whole, "messages") : nullptr;
  const Json& list = wrapped ? *wrapped : whole;
  if (!list.is_array()) fail_expected(place, "an array of messages", shown_value(list));
  const Reader reader(source);
  std::vector<Message> messages;
  messages.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    messages.push_back(reader.message(list[i], place + "[" + std::to_string(i) + "]"));
  }
  return messages;
}

std::string write_messages(const std::vector<Message>& messages) {
  Json list = Json::array();
  for (const Message& message : messages) list.push_back(to_json(message));
  return Json{{"messages", std::move(list)}}.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string write_tool_call(const ToolCall& call) {
  return call_json(call).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace exa
