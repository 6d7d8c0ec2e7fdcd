// A conversation as JSON: what `run --messages` and `/load` read, what `/save` writes.
//
// Ownership and threads: pure functions, but for the files.
// Source: OpenAI's chat messages; content is text or an array of text parts, arguments are JSON text or a
// value.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "exaone/engine.h"

namespace exa {

// text: an array of messages, or an object with it under "messages". where: names the source in errors.
// Errors: kBadInput naming the message; kUnsupported for pictures.
std::vector<Message> messages_from_json(std::string_view text, const std::string& where);

// {"messages": […]}, readable, with a newline at the end.
std::string messages_to_json(const std::vector<Message>& messages);

// {"id": …, "type": "function", "function": {"name": …, "arguments": …}} in one line.
std::string call_to_json(const ToolCall& call);

// The declarations of a tools file as GenerateRequest::tools wants them: an array; one declaration alone, or
// functions without their {"type": "function"} around them, are put into shape. where: names the file in
// errors. Errors: kBadInput.
std::string tools_from_json(std::string_view text, const std::string& where);

// "get_weather, get_time": the names in a result of tools_from_json.
std::string tool_names(std::string_view tools);

// A whole text file that a person names. Errors: kIo; kBadInput beyond 64 MiB or where it is not UTF-8.
std::string read_utf8_file(const std::filesystem::path& path);

}  // namespace exa
