#include "chat/tools.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "chat/expected.h"
#include "exaone/messages.h"
#include "json/read.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostTools = 1024;
constexpr std::string_view kSchemaKeys[] = {"parameters", "input_schema", "inputSchema"};
// What else an object may say of a function without being its schema.
constexpr std::string_view kOtherObjects[] = {"outputSchema",  "output_schema", "annotations", "_meta",
                                              "cache_control", "returns",       "return"};

template <std::size_t N>
bool is_one_of(std::string_view key, const std::string_view (&keys)[N]) {
  return std::find(std::begin(keys), std::end(keys), key) != std::end(keys);
}

// {"name", …} with its schema under "parameters".
Json plain_function(const Json& function, const std::string& where) {
  const auto name = function.find("name");
  if (name == function.end() || !name->is_string() || name->get_ref<const std::string&>().empty()) {
    throw Error(ErrorKind::kBadInput,
                "expected a function with a name, found " +
                    (name == function.end() ? std::string("none") : shown_value(*name)),
                where);
  }
  const Json* schema = nullptr;
  std::string schema_key, unknown;
  Json::object_t out;
  for (const auto& [key, value] : function.items()) {
    if (!is_one_of(key, kSchemaKeys)) {
      if (value.is_object() && !is_one_of(key, kOtherObjects) && unknown.empty()) unknown = key;
      out.emplace_back(key, value);
      continue;
    }
    if (value.is_null()) continue;
    if (!value.is_object() && !value.is_boolean()) {
      throw Error(ErrorKind::kBadInput, "expected a JSON schema, found " + shown_value(value),
                  where + "." + key);
    }
    if (schema && *schema != value) {
      throw Error(ErrorKind::kBadInput, "expected one schema, found another under \"" + schema_key + "\"",
                  where + "." + key);
    }
    if (!schema) out.emplace_back("parameters", value);
    schema = &value;
    schema_key = key;
  }
  if (!schema && !unknown.empty()) {
    throw Error(ErrorKind::kUnsupported,
                "no schema but an object under \"" + printable(unknown) +
                    "\", expected the schema under \"parameters\", \"input_schema\" or \"inputSchema\"",
                where);
  }
  return Json(std::move(out));
}

Json plain_tool(const Json& tool, const std::string& where) {
  if (!tool.is_object()) {
    throw Error(ErrorKind::kBadInput,
                "expected {\"type\": \"function\", \"function\": {\"name\": …}}, found " + shown_value(tool),
                where);
  }
  const auto function = tool.find("function");
  const auto type = tool.find("type");
  if (type != tool.end() && !type->is_null() && *type != "function" &&
      (function != tool.end() || *type != "custom" || !tool.contains("input_schema"))) {
    throw Error(ErrorKind::kUnsupported,
                "a tool of the type " + shown_value(*type) + ", expected \"function\"", where);
  }
  if (function == tool.end()) {
    Json inner = tool;
    inner.erase("type");
    return {{"type", "function"}, {"function", plain_function(inner, where)}};
  }
  if (!function->is_object()) {
    throw Error(ErrorKind::kBadInput, "expected an object, found " + shown_value(*function),
                where + ".function");
  }
  // What stands beside the function and belongs into it.
  for (const std::string_view key : kSchemaKeys) {
    if (tool.contains(std::string(key))) {
      throw Error(ErrorKind::kUnsupported, "expected the schema inside \"function\", found it beside",
                  where + "." + std::string(key));
    }
  }
  Json::object_t out;
  for (const auto& [key, value] : tool.items()) {
    out.emplace_back(key, key == "function" ? plain_function(value, where + ".function") : value);
  }
  Json whole(std::move(out));
  if (!whole.contains("type")) whole["type"] = "function";
  return whole;
}

}  // namespace

Json plain_tools(Json tools, const std::string& name) {
  if (tools.is_object() && tools.contains("tools")) {
    Json inner = std::move(tools["tools"]);
    tools = std::move(inner);
  }
  if (tools.is_object()) tools = Json::array({std::move(tools)});
  if (!tools.is_array()) {
    throw Error(ErrorKind::kBadInput, "expected an array of tools, found " + std::string(tools.type_name()),
                name);
  }
  if (tools.size() > kMostTools) {
    throw Error(
        ErrorKind::kBadInput,
        "expected at most " + std::to_string(kMostTools) + " tools, found " + std::to_string(tools.size()),
        name);
  }
  for (std::size_t i = 0; i < tools.size(); ++i) {
    tools[i] = plain_tool(tools[i], name + "[" + std::to_string(i) + "]");
  }
  return tools;
}

std::string read_tools(std::string_view json, const std::string& name) {
  return plain_tools(read_json(json, name), name).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string tool_names(std::string_view tools) {
  std::string names;
  for (const Json& tool : read_json(tools, "tools")) {
    names += (names.empty() ? "" : ", ") + tool.at("function").at("name").get<std::string>();
  }
  return names;
}

}  // namespace exa
