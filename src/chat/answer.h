// What the model writes, told apart as it comes: reasoning, content, tool calls with their arguments.
//
// Every decision is taken character by character, so where the text is cut between pushes changes nothing.
// Tags are never part of what comes out, whitespace around the parts is dropped, a character is never torn.
//  - Reasoning ends at "</think>". The prompt's tail says whether the answer starts inside it. A "<think>" at
//    the very start and a "</think>" before any content are dropped; without an end all is reasoning.
//  - "<tool_call>" JSON "</tool_call>" is a call. A call without a name, or broken before kCommitBytes of its
//    arguments came, is content, tags included; beyond that size arguments go out as they come.
//  - Calls inside reasoning count only where the answer ends with them: what goes on thinking, or answers
//    behind "</think>", only mused about calling.
//  - Stop texts are looked for in content alone.
// Ownership and threads: a parser belongs to one answer. Source: exaone-models specification 6.5; product
// specification, rows 20 to 26 and 51.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "chat/call_scan.h"
#include "chat/tags.h"

namespace exa {

struct AnswerOptions {
  bool in_reasoning = false;       // the prompt ends inside an open think block
  bool continues_content = false;  // the prompt ends inside the content: whitespace in front counts
  bool verbatim = false;           // no tags, nothing is dropped: all is content
  ThinkingTags thinking;           // what stands around the model's thoughts
  bool calls = false;              // the request offers tools; otherwise <tool_call> is text
  std::vector<std::string> stop;   // not empty, valid UTF-8
};

struct AnswerPiece {
  enum class Kind {
    kReasoning,
    kContent,
    kCall,       // a call begins; text is the function's name
    kArguments,  // JSON text of the arguments of call `index`
  };
  Kind kind;
  int index;  // of the call: 0, 1, …
  std::string text;
};

class AnswerParser {
 public:
  // Arguments as long as this go out before they are whole.
  static constexpr std::size_t kCommitBytes = 128;

  explicit AnswerParser(AnswerOptions options);

  // Both append to pieces() what became certain.
  void push(std::string_view text);
  // The end of the answer: what waited for more is decided with what there is.
  void finish();

  // What came since the last clear_pieces(); neighbours of one kind are one piece.
  const std::vector<AnswerPiece>& pieces() const { return pieces_; }
  void clear_pieces() { pieces_.clear(); }

  // The end of the reasoning has not come yet.
  bool in_reasoning() const { return part_ == Part::kReasoning && !held_think_end_; }
  // A stop text came: which one, and nothing more will come out. Empty until then.
  const std::string& stopped_by() const { return stopped_by_; }
  // The text, tags included, of calls that went out and then broke or were cut short; their indices.
  struct BrokenCall {
    int index;
    std::string text;
  };
  const std::vector<BrokenCall>& broken_calls() const { return broken_; }

 private:
  enum class Part { kReasoning, kContent };
  enum class Block {
    kNone,
    kOpen,   // behind <tool_call>
    kAfter,  // behind calls inside reasoning, which nothing but whitespace and </think> followed
  };

  void take(char c);
  void take_text(char c);
  void take_block(char c);
  void take_after(char c);
  void take_all(const std::string& text);
  bool may_be_tag(std::string_view text) const;
  bool take_tag();
  void release_tag();

  void put(char c);  // into the current part
  void put_all(std::string_view text);
  void put_content(char c);
  void emit_character(char c);
  void flush_stop();
  void emit(AnswerPiece::Kind kind, std::string_view text, int index = 0);

  void open_block();
  void close_block(std::size_t body_bytes);
  void refuse_block();
  void stream_arguments();
  void finish_block();
  void let_calls_out();
  bool read_calls(std::string_view body);
  void add_call(std::string name, std::string_view arguments);
  void give_up_held();

  struct Call {
    std::string name;
    std::string arguments;
  };

  AnswerOptions options_;
  Part part_;
  Block block_state_ = Block::kNone;
  bool answer_started_ = false;  // a character that is not whitespace came
  bool part_started_ = false;    // the same for the current part
  std::string spaces_;           // whitespace after text, part of it if more text comes
  std::string tag_;              // the beginning of a tag
  std::string character_;        // the beginning of a UTF-8 sequence
  std::string waiting_;          // content that may be the beginning of a stop text
  std::string stopped_by_;

  // The block under way.
  std::string block_;         // all behind <tool_call>
  CallScan scan_;             // of block_, but for the beginning of an end tag
  std::size_t end_tag_ = 0;   // characters of </tool_call> that came, outside of the JSON's strings
  bool block_bad_ = false;    // it is no JSON: the next end tag ends it
  bool committed_ = false;    // the call went out
  std::size_t streamed_ = 0;  // bytes of its arguments that went out

  // Calls inside reasoning.
  std::string held_;  // everything since their first <tool_call>
  std::vector<Call> held_calls_;
  bool held_think_end_ = false;  // </think> came behind them

  int n_calls_ = 0;
  std::vector<BrokenCall> broken_;
  std::vector<AnswerPiece> pieces_;
};

}  // namespace exa
