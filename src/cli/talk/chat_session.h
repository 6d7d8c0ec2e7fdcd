// A conversation on a terminal or through a pipe: messages, settings, slash commands, tools.
//
// Ownership and threads: borrows the engine; on the main thread.
// Source: the commands that users of other terminal chats know.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/talk/answer_view.h"
#include "exaone/engine.h"

namespace exa {

struct ChatSettings {
  bool interactive = false;  // a person reads along; a pipe gets the answers alone, errors end it
  bool verbose = false;      // the speed after each answer
  bool raw_markdown = false;
  std::string tool_program;  // carries out calls, after a yes; empty: none
};

class ChatSession {
 public:
  // request: what every question is asked with; its messages are the system prompt, if any.
  ChatSession(Engine& engine, GenerateRequest request, ChatSettings settings);

  enum class Consent { kYes, kNo, kStop };
  // Asks the person; kStop: no, and the model is not asked on. Unset, every question is answered with no.
  std::function<Consent(const std::string& question)> confirm;

  // One message or command. False where it asks to leave. Errors: those of Engine::generate where nobody
  // reads along.
  bool take(const std::string& text);

  const GenerateRequest& request() const { return request_; }

 private:
  struct Command;
  static const std::vector<Command>& commands();

  bool command(std::string_view word, std::string_view rest);
  void ask(Message message);
  void answer();
  bool answer_once();
  Answer stream();
  bool run_tools(const std::vector<ToolCall>& calls);
  std::string run_one_tool(const ToolCall& call) const;
  // For the person: our own words, broken at spaces, and other text as it is.
  void note(const std::string& text, std::size_t indent = 0) const;
  // What is said to a pipe as well: on standard error, of an answer; on standard output, what was asked for.
  void warn(const std::string& text) const;
  // A command cannot do what it says. Errors: kUsage through a pipe, where nobody would read it.
  void refuse(const std::string& text) const;
  void tell(const std::string& text, std::size_t indent = 0) const;
  void quote(const std::string& text) const;
  std::size_t last_question() const;
  Message user_message(std::string text);
  bool thinks() const;

  // The commands; rest is what stands behind the word, trimmed.
  void help(std::string_view rest);
  void think(std::string_view rest);
  void system(std::string_view rest);
  void set(std::string_view rest);
  void show(std::string_view rest);
  void regenerate(std::string_view rest);
  void undo(std::string_view rest);
  void edit(std::string_view rest);
  void save(std::string_view rest);
  void load(std::string_view rest);
  void read(std::string_view rest);
  void image(std::string_view rest);
  void tools(std::string_view rest);
  void result(std::string_view rest);
  void stats(std::string_view rest);
  void clear(std::string_view rest);

  Engine& engine_;
  GenerateRequest request_;
  ChatSettings settings_;
  CancelToken cancel_;
  bool fold_reasoning_ = false;
  bool leave_ = false;
  std::vector<ContentPart> attached_;  // go with the next question
  Usage last_usage_;
  double first_token_seconds_ = 0;
  std::int64_t n_answers_ = 0;
};

// "temp", "0.7" → request.sampling and the like. value "default" unsets. Errors: kUsage for an unknown key or
// a value that is no number.
void set_option(GenerateRequest& request, std::string_view key, std::string_view value);

}  // namespace exa
