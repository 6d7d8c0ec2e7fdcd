#include "cli/talk/chat_session.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "cli/talk/fake_engine.h"
#include "cli/terminal/line_editor.h"
#include "cli/terminal/markdown_view.h"

namespace exa {
namespace {

namespace fs = std::filesystem;

Answer answer(std::string content, std::string reasoning = {}) {
  Answer out;
  out.content = std::move(content);
  out.reasoning = std::move(reasoning);
  return out;
}

Answer calling(std::string name, std::string arguments) {
  Answer out;
  out.tool_calls.push_back({"call_1", std::move(name), std::move(arguments)});
  return out;
}

class ChatSessionTest : public testing::Test {
 protected:
  ChatSessionTest() {
    GenerateRequest request;
    request.messages.push_back({"system", "be brief"});
    request.sampling.seed = 5;
    ChatSettings settings;
    settings.interactive = true;
    settings.tool_program = "/bin/cat";
    session_.emplace(engine_, request, settings);
    folder_ = fs::temp_directory_path() / ("exaone-chat-session-" + std::to_string(getpid()));
    fs::create_directories(folder_);
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
  }
  ~ChatSessionTest() override {
    testing::internal::GetCapturedStdout();
    testing::internal::GetCapturedStderr();
    fs::remove_all(folder_);
  }
  // What the person saw since the last time.
  std::string said() {
    std::string text = testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr();
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    return text;
  }
  std::vector<std::string> conversation() const {
    std::vector<std::string> lines;
    for (const Message& message : session_->request().messages)
      lines.push_back(message.role + ": " + text_of(message));
    return lines;
  }
  std::string file(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }

  FakeEngine engine_;
  std::optional<ChatSession> session_;
  fs::path folder_;
};

using Lines = std::vector<std::string>;

TEST_F(ChatSessionTest, TurnsFollowEachOther) {
  engine_.answers = {answer("first", "thoughts"), answer("second")};
  EXPECT_TRUE(session_->take("one"));
  EXPECT_NE(said().find("first"), std::string::npos);
  EXPECT_TRUE(session_->take("two"));
  EXPECT_EQ(conversation(),
            (Lines{"system: be brief", "user: one", "assistant: first", "user: two", "assistant: second"}));
  EXPECT_EQ(engine_.requests[1].messages.size(), 4u);
  EXPECT_EQ(engine_.requests[1].messages[2].reasoning, "thoughts");
}

TEST_F(ChatSessionTest, UndoAndRegenerate) {
  session_->take("one");
  session_->take("two");
  session_->take("/undo");
  EXPECT_EQ(conversation(), (Lines{"system: be brief", "user: one", "assistant: You said: one"}));
  engine_.answers = {answer("again")};
  session_->take("/regen");
  EXPECT_EQ(conversation(), (Lines{"system: be brief", "user: one", "assistant: again"}));
  EXPECT_EQ(engine_.requests.back().sampling.seed, 6u) << "the same seed draws the same answer";
  session_->take("/undo");
  session_->take("/undo");
  EXPECT_EQ(conversation(), (Lines{"system: be brief"}));
}

TEST_F(ChatSessionTest, SettingsReachTheEngine) {
  session_->take("/set temp 0.25");
  session_->take("/set top-k 7");
  session_->take("/set reasoning_budget 40");
  session_->take("/set stop END");
  session_->take("/think off");
  session_->take("/system 짧게");
  session_->take("q");
  const GenerateRequest& request = engine_.requests.back();
  EXPECT_EQ(request.sampling.temperature, 0.25);
  EXPECT_EQ(request.sampling.top_k, 7);
  EXPECT_EQ(request.reasoning_budget, 40);
  EXPECT_EQ(request.stop, std::vector<std::string>{"END"});
  EXPECT_EQ(request.think, Think::kOff);
  EXPECT_EQ(text_of(request.messages[0]), "짧게");
  session_->take("/set temp default");
  EXPECT_FALSE(session_->request().sampling.temperature);
  said();
  session_->take("/set temp warm");
  EXPECT_NE(said().find("expected a number"), std::string::npos);
  session_->take("/set colour red");
  EXPECT_NE(said().find("there is no setting colour"), std::string::npos);
}

TEST_F(ChatSessionTest, SaveAndLoad) {
  engine_.answers = {answer("하나", "생각")};
  session_->take("질문");
  const std::string path = (folder_ / "saved.json").string();
  session_->take("/save " + path);
  session_->take("/clear");
  EXPECT_EQ(conversation(), (Lines{"system: be brief"}));
  session_->take("/load " + path);
  EXPECT_EQ(conversation(), (Lines{"system: be brief", "user: 질문", "assistant: 하나"}));
  EXPECT_EQ(session_->request().messages[2].reasoning, "생각");
  said();
  session_->take("/load " + file("bad.json", "{\"messages\": 5}"));
  EXPECT_NE(said().find("expected an array"), std::string::npos);
  session_->take("/load " + (folder_ / "none").string());
  EXPECT_NE(said().find("none"), std::string::npos);
  EXPECT_EQ(conversation().size(), 3u);
}

TEST_F(ChatSessionTest, KeysAndValuesAreSavedWhenAsked) {
  session_->take("Hello");
  const std::string path = file("talk.json", "");
  session_->take("/save " + path);
  EXPECT_TRUE(engine_.snapshots.empty());
  session_->take("/save kv " + path);
  session_->take("/clear");
  session_->take("/load kv " + path);
  EXPECT_EQ(engine_.snapshots, (std::vector<std::filesystem::path>{path + ".kv", path + ".kv"}));
  EXPECT_EQ(conversation(), (Lines{"system: be brief", "user: Hello", "assistant: You said: Hello"}));
}

TEST_F(ChatSessionTest, FilesGoWithTheNextQuestion) {
  session_->take("/read " + file("notes.txt", "내용\n"));
  session_->take("요약해 줘");
  EXPECT_EQ(text_of(engine_.requests.back().messages.back()), "notes.txt:\n```\n내용\n```\n\n요약해 줘");
  const fs::path picture = fs::path(EXAONE_SOURCE_DIR) / "tests/data/images/png-grey2.png";
  session_->take("/image " + picture.string());
  session_->take("what?");
  ASSERT_EQ(engine_.requests.back().messages.back().content.size(), 2u);
  EXPECT_EQ(engine_.requests.back().messages.back().content[0].image->size(), fs::file_size(picture));
  said();
  session_->take("/image " + file("a.png", "bytes"));
  EXPECT_NE(said().find("JPEG"), std::string::npos);
  session_->take("and now?");
  EXPECT_EQ(engine_.requests.back().messages.back().content.size(), 1u);
  session_->take("/image " + file("large.png", std::string(10'000'001, 'x')));
  EXPECT_NE(said().find("10000000"), std::string::npos);
  engine_.be_blind();
  session_->take("/image " + picture.string());
  EXPECT_NE(said().find("sees no pictures"), std::string::npos);
}

TEST_F(ChatSessionTest, StatsCountPictures) {
  session_->take("hello");
  said();
  session_->take("/stats");
  EXPECT_EQ(said().find("pictures"), std::string::npos);
  engine_.usage.images = 3;
  engine_.usage.encoded_images = 1;
  engine_.usage.reused_images = 1;
  engine_.usage.image_tokens = 640;
  session_->take("what?");
  said();
  session_->take("/stats");
  EXPECT_NE(said().find("3 pictures (1 encoded, 1 reused), 640 tokens"), std::string::npos);
}

TEST_F(ChatSessionTest, ToolsRunAfterAYesOnly) {
  session_->take("/tools " + file("tools.json", R"([{"name": "get_weather", "parameters": {}}])"));
  EXPECT_NE(said().find("get_weather"), std::string::npos);
  std::vector<std::string> questions;
  auto consent = ChatSession::Consent::kYes;
  session_->confirm = [&](const std::string& question) {
    questions.push_back(question);
    return consent;
  };
  engine_.answers = {calling("get_weather", R"({"city": "서울"})"), answer("맑음")};
  session_->take("날씨?");
  EXPECT_EQ(questions, Lines{"Run /bin/cat get_weather? [y/N] "});
  // /bin/cat takes the name for a file that is not there: the model is told.
  EXPECT_EQ(session_->request().messages[3].role, "tool");
  EXPECT_EQ(session_->request().messages[3].tool_call_id, "call_1");
  EXPECT_NE(text_of(session_->request().messages[3]).find("failed with exit status"), std::string::npos);
  EXPECT_EQ(conversation().back(), "assistant: 맑음");
  consent = ChatSession::Consent::kNo;
  engine_.answers = {calling("get_weather", "{}"), answer("몰라요")};
  session_->take("또?");
  EXPECT_EQ(text_of(session_->request().messages[7]), "The user did not allow this call.");
  EXPECT_EQ(conversation().back(), "assistant: 몰라요");
}

// Ctrl-C at the question: no further question, no further answer, and the conversation can go on.
TEST_F(ChatSessionTest, AStopAtTheQuestionStopsTheCalls) {
  int n_questions = 0;
  session_->confirm = [&](const std::string&) {
    ++n_questions;
    return ChatSession::Consent::kStop;
  };
  Answer both = calling("get_weather", "{}");
  both.tool_calls.push_back({"call_2", "get_time", "{}"});
  engine_.answers = {both, answer("never asked for")};
  session_->take("날씨?");
  EXPECT_EQ(n_questions, 1);
  EXPECT_EQ(engine_.requests.size(), 1u);
  EXPECT_EQ(conversation().size(), 5u);
  EXPECT_EQ(conversation().back(), "tool: The user did not allow this call.");
}

TEST_F(ChatSessionTest, AToolThatCannotBeRunIsAResultToo) {
  ChatSettings settings;
  settings.interactive = true;
  settings.tool_program = "/no/such/program";
  session_.emplace(engine_, GenerateRequest(), settings);
  session_->confirm = [](const std::string&) { return ChatSession::Consent::kYes; };
  engine_.answers = {calling("get_weather", "{}"), answer("몰라요")};
  session_->take("날씨?");
  EXPECT_NE(text_of(session_->request().messages[2]).find("cannot be run"), std::string::npos);
  EXPECT_EQ(conversation().back(), "assistant: 몰라요");
}

TEST_F(ChatSessionTest, HelpFitsIntoEightyColumns) {
  session_->take("/help");
  std::istringstream lines(said());
  for (std::string line; std::getline(lines, line);) EXPECT_LT(text_columns(line), 80u) << line;
}

TEST_F(ChatSessionTest, SaysWhatCutTheAnswer) {
  Answer cut = answer("half");
  cut.reason = FinishReason::kLength;
  engine_.answers = {cut, cut};
  session_->take("/set max_tokens 10");
  session_->take("one");
  EXPECT_NE(said().find("[cut after 10 tokens; /set max_tokens"), std::string::npos);
  session_->take("/set max_tokens 11");
  session_->take("two");
  EXPECT_NE(said().find("the context of 4096 tokens is full"), std::string::npos);
}

TEST_F(ChatSessionTest, ResultsCanBeTyped) {
  ChatSettings settings;
  settings.interactive = true;
  session_.emplace(engine_, GenerateRequest(), settings);
  engine_.answers = {calling("get_weather", "{}"), answer("비")};
  session_->take("날씨?");
  session_->take("/result 비가 온다");
  EXPECT_EQ(conversation(), (Lines{"user: 날씨?", "assistant: ", "tool: 비가 온다", "assistant: 비"}));

  Answer both = calling("get_weather", "{}");
  both.tool_calls.push_back({"call_2", "get_time", "{}"});
  engine_.answers = {both, answer("끝")};
  session_->take("또?");
  session_->take("/result 맑음");
  session_->take("/result 3시");
  EXPECT_EQ(conversation().back(), "assistant: 끝");
  EXPECT_EQ(engine_.requests.back().messages.back().name, "get_time");
}

TEST_F(ChatSessionTest, AFailedQuestionIsNotKept) {
  Answer empty;
  empty.reasoning = "only thoughts";
  empty.reason = FinishReason::kLength;
  engine_.answers = {empty};
  session_->take("q");
  EXPECT_EQ(conversation(), (Lines{"system: be brief"}));
}

TEST_F(ChatSessionTest, CommandsAndPaths) {
  EXPECT_TRUE(session_->take("/nonsense"));
  EXPECT_NE(said().find("There is no command /nonsense"), std::string::npos);
  session_->take("/etc/hosts 는 뭐야?");
  EXPECT_EQ(conversation().size(), 3u);
  session_->take("/help");
  const std::string help = said();
  for (const char* word : {"/think", "/system", "/set", "/show", "/regen", "/undo", "/edit", "/save", "/load",
                           "/read", "/image", "/tools", "/stats", "/help"}) {
    EXPECT_NE(help.find(word), std::string::npos) << word;
  }
  session_->take("/show");
  EXPECT_NE(said().find("EXAONE-fake"), std::string::npos);
  session_->take("/stats");
  EXPECT_NE(said().find("cached"), std::string::npos);
  EXPECT_FALSE(session_->take("/exit"));
}

TEST(MessageLines, SeveralLinesAreOneMessage) {
  MessageLines lines;
  EXPECT_TRUE(lines.add("hello"));
  EXPECT_EQ(lines.take(), "hello");
  EXPECT_FALSE(lines.add("a\\"));
  EXPECT_FALSE(lines.add("b\\"));
  EXPECT_TRUE(lines.add("c"));
  EXPECT_EQ(lines.take(), "a\nb\nc");
  EXPECT_FALSE(lines.add("\"\"\"first"));
  EXPECT_FALSE(lines.add("  second \\"));
  EXPECT_FALSE(lines.add(""));
  EXPECT_TRUE(lines.add("\"\"\""));
  EXPECT_EQ(lines.take(), "first\n  second \\\n");
  EXPECT_TRUE(lines.add("\"\"\"one\"\"\""));
  EXPECT_EQ(lines.take(), "one");
}

TEST(Pastes, LongOnesAreNotesInTheLine) {
  Pastes pastes;
  EXPECT_EQ(pastes.shorten("one line\r"), "one line");
  EXPECT_EQ(pastes.shorten("a\tb\x03"), "a b ");
  const std::string note = pastes.shorten("a\r\nb\nc\n");
  EXPECT_EQ(note, "[paste 1: 3 lines]");
  EXPECT_EQ(pastes.expand("x " + note + " y"), "x a\nb\nc y");
  const std::string other = pastes.shorten("d\ne");
  EXPECT_EQ(pastes.expand(note + other), "a\nb\ncd\ne");
}

}  // namespace
}  // namespace exa
