// Conversations as JSON: every form that is read, what is written, what is refused.
#include "exaone/messages.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/base64.h"
#include "base/error.h"
#include "chat/conversation.h"
#include "chat/message_table.h"

namespace exa {
namespace {

namespace fs = std::filesystem;

std::string bytes_of(const ContentPart& part) {
  return part.image ? *part.image : "no picture";
}

Error error_of(const std::string& json, const MessagesSource& source = {}) {
  try {
    read_messages(json, source);
  } catch (const Error& error) {
    return error;
  }
  return {ErrorKind::kInternal, "no error"};
}

TEST(Messages, RoundTrip) {
  const std::vector<Message> messages = read_messages(
      R"([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
          {"role": "assistant", "content": null, "reasoning": "r",
           "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"x": 1}}}]},
          {"role": "tool", "tool_call_id": "c", "name": "f", "content": "res"},
          {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AP8="}},
                                       {"type": "text", "text": "?"},
                                       {"type": "video", "video": ["data:image/png;base64,AQ==",
                                                                   "data:image/png;base64,Ag=="]}]}])",
      {"m", {}});
  EXPECT_EQ(text_of(messages[0]), "ab");
  EXPECT_EQ(messages[1].tool_calls[0].arguments, R"({"x":1})");
  const std::vector<Message> again = read_messages(write_messages(messages), {"m", {}});
  ASSERT_EQ(again.size(), 4u);
  EXPECT_EQ(text_of(again[0]), "ab");
  EXPECT_EQ(again[1].reasoning, "r");
  EXPECT_EQ(again[1].tool_calls[0].id, "c");
  EXPECT_EQ(again[1].tool_calls[0].arguments, R"({"x":1})");
  EXPECT_EQ(again[2].tool_call_id, "c");
  EXPECT_EQ(again[2].name, "f");
  ASSERT_EQ(again[3].content.size(), 3u);
  EXPECT_EQ(bytes_of(again[3].content[0]), std::string("\0\xff", 2));
  EXPECT_EQ(again[3].content[1].text, "?");
  ASSERT_EQ(again[3].content[2].frames.size(), 2u);
  EXPECT_EQ(*again[3].content[2].frames[1], "\x02");
  EXPECT_EQ(write_messages(again), write_messages(messages));
}

TEST(Messages, EveryRoleOfTheTable) {
  for (const MessageRole& role : kRoles) {
    const std::string json = R"([{"role": ")" + std::string(role.name) + R"(", "content": "x"}])";
    const std::vector<Message> messages = read_messages(json, {});
    EXPECT_EQ(messages[0].role, role.name);
    EXPECT_EQ(template_messages(messages)[0]["role"], role.in_template);
  }
}

TEST(Messages, PicturesInTheWordsOfEachApi) {
  const char* const parts[] = {
      R"({"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H"}})",
      R"({"type": "image_url", "image_url": "data:image/png;base64,UE5H"})",
      R"({"type": "input_image", "image_url": "data:image/png;base64,UE5H"})",
      R"({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "UE5H"}})",
      R"({"type": "image", "image": "data:image/png;base64,UE5H"})",
      R"({"type": "image", "url": "data:image/png;base64,UE5H"})",
      R"({"type": "image", "base64": "UE5H"})",
  };
  for (const char* const part : parts) {
    const auto messages = read_messages(R"([{"role": "user", "content": [)" + std::string(part) + "]}]", {});
    EXPECT_EQ(bytes_of(messages[0].content[0]), "PNG") << part;
  }
}

TEST(Messages, APictureBesideTheFile) {
  const fs::path folder = fs::temp_directory_path() / ("exaone-messages-" + std::to_string(::getpid()));
  fs::create_directories(folder / "in");
  std::ofstream(folder / "in" / "p.png") << "PNG";
  const std::string json = R"([{"role": "user", "content": [{"type": "image", "path": "in/p.png"}]}])";
  EXPECT_EQ(bytes_of(read_messages(json, {"m", folder})[0].content[0]), "PNG");
  EXPECT_EQ(error_of(json).kind(), ErrorKind::kUnsupported);  // no folder: a stranger's text names no files
  fs::remove(folder / "in" / "p.png");
  EXPECT_EQ(error_of(json, {"m", folder}).kind(), ErrorKind::kIo);
  fs::remove_all(folder);
}

TEST(Messages, WhatIsNoPictureIsRefusedWithItsPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type": "image_url", "image_url": {"url": "data:image/png;base64,*"}})",
       "messages[0].content[0].image_url.url"},
      {R"({"type": "image_url", "image_url": {"url": "data:image/png,x"}})",
       "messages[0].content[0].image_url.url"},
      {R"({"type": "image_url", "image_url": {"url": "data:image/png;base64,"}})",
       "messages[0].content[0].image_url.url"},
      {R"({"type": "image_url", "image_url": {"url": "https://a.b/c.png"}})",
       "messages[0].content[0].image_url.url"},
      {R"({"type": "image_url", "image_url": {}})", "messages[0].content[0].image_url.url"},
      {R"({"type": "image_url", "image_url": 5})", "messages[0].content[0].image_url"},
      {R"({"type": "image_url"})", "messages[0].content[0]"},
      {R"({"type": "video", "video": "x.mp4"})", "messages[0].content[0].video"},
      {R"({"type": "video_url", "video_url": {"url": "x"}})", "messages[0].content[0].type"},
  };
  for (const auto& [part, where] : cases) {
    EXPECT_EQ(error_of(R"([{"role": "user", "content": [)" + std::string(part) + "]}]").where(), where)
        << part;
  }
}

TEST(Messages, BrokenTextsAreRefused) {
  for (const char* const broken :
       {"", "5", "{}", "[5]", "[{\"role\": 5}]", "[{\"role\": \"user\", \"content\": 5}]", "[{]",
        "[{\"role\": \"user\", \"role\": \"user\", \"content\": \"x\"}]",
        "[{\"role\": \"user\", \"content\": \"\xff\"}]"}) {
    EXPECT_EQ(error_of(broken, {"m", {}}).kind(), ErrorKind::kBadInput) << broken;
    EXPECT_TRUE(error_of(broken, {"m", {}}).where().starts_with("m: messages")) << broken;
  }
  EXPECT_EQ(error_of(std::string(100000, '[')).kind(), ErrorKind::kBadInput);
}

TEST(Messages, ManyMessages) {
  std::string json = "[";
  for (int i = 0; i < 120'000; ++i) json += R"({"role":"user","content":"x"},)";
  json.back() = ']';
  EXPECT_EQ(read_messages(json, {}).size(), 120'000u);
}

TEST(Tools, EveryShapeBecomesOne) {
  const std::string expected =
      R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}])";
  const char* const shapes[] = {
      R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}])",
      R"({"tools": [{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}]})",
      R"({"name":"f","description":"d","parameters":{"type":"object"}})",
      R"([{"type":"function","name":"f","description":"d","parameters":{"type":"object"}}])",
      R"([{"name":"f","description":"d","input_schema":{"type":"object"}}])",
      R"([{"type":"custom","name":"f","description":"d","input_schema":{"type":"object"}}])",
      R"({"tools": [{"name":"f","description":"d","inputSchema":{"type":"object"}}]})",
      R"([{"type":"function","function":{"name":"f","description":"d","input_schema":{"type":"object"}}}])",
  };
  for (const char* const shape : shapes) EXPECT_EQ(read_tools(shape, "t"), expected) << shape;
  EXPECT_EQ(tool_names(expected), "f");
}

TEST(Tools, NothingIsDroppedInSilence) {
  const std::pair<const char*, const char*> cases[] = {
      {R"([{"name":"f","schema":{"type":"object"}}])", "t[0]"},
      {R"([{"name":"f","parametersJsonSchema":{"type":"object"}}])", "t[0]"},
      {R"([{"type":"function","function":{"name":"f"},"parameters":{"type":"object"}}])", "t[0].parameters"},
      {R"([{"type":"web_search"}])", "t[0]"},
      {R"([{"name":"f","parameters":{"type":"object"},"input_schema":{"type":"array"}}])",
       "t[0].input_schema"},
      {R"([{"name":"f","parameters":"x"}])", "t[0].parameters"},
      {R"([{"name":""}])", "t[0]"},
      {R"([{"description":"d"}])", "t[0]"},
      {R"([5])", "t[0]"},
      {R"("x")", "t"},
  };
  for (const auto& [tools, where] : cases) {
    try {
      read_tools(tools, "t");
      ADD_FAILURE() << tools;
    } catch (const Error& error) {
      EXPECT_EQ(error.where(), where) << tools << ": " << error.what();
    }
  }
}

TEST(Base64, TextAndBack) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes) << i;
    bytes += static_cast<char>(i * 7);
  }
  EXPECT_EQ(to_base64("Ma"), "TWE=");
  EXPECT_EQ(from_base64("TWE"), "Ma");
  EXPECT_EQ(from_base64("T W\nE="), "Ma");
  EXPECT_EQ(from_base64("_-8="), from_base64("/+8="));
  for (const char* const broken : {"T", "TW=E", "*WE=", "TWE==="})
    EXPECT_EQ(from_base64(broken), std::nullopt) << broken;
}

}  // namespace
}  // namespace exa
