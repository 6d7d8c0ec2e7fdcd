// Conversations and tools, as values and as the JSON that clients write.
//
// Ownership and threads: values and pure functions, but for the pictures that a file names. Source: OpenAI's
// chat messages and tools; the parts of Anthropic's, of the Model Context Protocol's tools and of
// transformers' templates that say the same in other words.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace exa {

// A call of a function that the model asks for.
struct ToolCall {
  std::string id;         // names the call among the conversation's; the result carries it
  std::string name;       // of the function
  std::string arguments;  // JSON text: an object mostly, the model may write any value
};

// A piece of a message: text, a picture, or a video.
struct ContentPart {
  std::string text;                          // UTF-8; unused where there is a picture
  std::shared_ptr<const std::string> image;  // an encoded file's bytes (PNG, JPEG, WebP); null: none
  std::vector<std::shared_ptr<const std::string>> frames = {};  // a video: its frames in time
};

struct Message {
  Message() = default;
  Message(std::string its_role, std::string text) : role(std::move(its_role)) {
    content.push_back({std::move(text), nullptr});
  }

  std::string role;                  // system, developer (becomes system), user, assistant, tool
  std::vector<ContentPart> content;  // in reading order; may be empty for an assistant that calls tools
  std::string reasoning;             // assistant: what it thought; the template decides what it repeats
  std::vector<ToolCall> tool_calls;  // assistant
  std::string tool_call_id;          // tool: the call that this message answers
  std::string name;                  // tool: the function, where the caller says so
};

// The text of all parts, joined.
std::string text_of(const Message& message);

// Where the JSON of messages comes from.
struct MessagesSource {
  std::string name;              // begins the `where` of errors: a file's name; empty: none
  std::filesystem::path folder;  // of the files that pictures may name; empty: data URIs only
};

// json: an array of messages, or an object with it under "messages". content: a string, or parts of the types
// text, image_url, image and video (frames) and their names in other APIs; arguments: JSON text or a value.
// Errors: kBadInput naming the message, field, expected and found; kUnsupported for pictures from the
// network; kIo for a picture's file.
std::vector<Message> read_messages(std::string_view json, const MessagesSource& source);

// {"messages": […]} that read_messages reads back, pictures as data URIs; readable, with a newline at the
// end.
std::string write_messages(const std::vector<Message>& messages);

// {"id": …, "type": "function", "function": {"name": …, "arguments": …}} in one line.
std::string write_tool_call(const ToolCall& call);

// The declarations of tools as GenerateRequest::tools wants them, an array of {"type": "function",
// "function":
// {"name", "description", "parameters", …}}. json: that; an object with it under "tools"; one declaration
// alone; functions without the object around them; a schema under "input_schema" or "inputSchema". name: of
// the source, for errors. Errors: kBadInput naming the tool, expected and found; kUnsupported for tools that
// are no functions, and for a function without a schema but with some object under a key that is not known.
std::string read_tools(std::string_view json, const std::string& name);

// "get_weather, get_time": the names in a result of read_tools.
std::string tool_names(std::string_view tools);

}  // namespace exa
