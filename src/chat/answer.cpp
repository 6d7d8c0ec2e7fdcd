#include "chat/answer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "json/read.h"
#include "text/utf8.h"

namespace exa {
namespace {

constexpr std::string_view kCall = "<tool_call>";
constexpr std::string_view kCallEnd = "</tool_call>";

bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

AnswerParser::AnswerParser(AnswerOptions options)
    : options_(std::move(options)),
      part_(options_.in_reasoning && !options_.verbatim ? Part::kReasoning : Part::kContent) {
  answer_started_ = part_started_ = options_.continues_content || options_.verbatim;
}

void AnswerParser::emit(AnswerPiece::Kind kind, std::string_view text, int index) {
  const bool joins = kind != AnswerPiece::Kind::kCall && !pieces_.empty() && pieces_.back().kind == kind &&
                     pieces_.back().index == index;
  if (joins) {
    pieces_.back().text += text;
  } else {
    pieces_.push_back({kind, index, std::string(text)});
  }
}

void AnswerParser::push(std::string_view text) {
  std::string joined;
  if (!character_.empty()) {
    joined = std::exchange(character_, {}) + std::string(text);
    text = joined;
  }
  const std::size_t tail = incomplete_tail(text);
  const std::string rest(text.substr(text.size() - tail));
  for (const char c : text.substr(0, text.size() - tail)) take(c);
  character_ = rest;
}

void AnswerParser::take(char c) {
  if (!stopped_by_.empty()) return;
  switch (block_state_) {
    case Block::kNone:
      return options_.verbatim ? put(c) : take_text(c);
    case Block::kOpen:
      return take_block(c);
    case Block::kAfter:
      return take_after(c);
  }
}

void AnswerParser::take_all(const std::string& text) {
  for (const char c : text) take(c);
}

bool AnswerParser::may_be_tag(std::string_view text) const {
  if (!answer_started_ && options_.thinking.begin.starts_with(text)) return true;
  if ((part_ == Part::kReasoning || !part_started_) && options_.thinking.end.starts_with(text)) return true;
  return options_.calls && kCall.starts_with(text);
}

void AnswerParser::take_text(char c) {
  tag_ += c;
  if (!may_be_tag(tag_)) {
    tag_.pop_back();
    release_tag();
    // Tags have their only "<" in front: one can begin anew with this character, not inside the old one.
    tag_ = c;
    if (!may_be_tag(tag_)) release_tag();
  } else if (take_tag()) {
    tag_.clear();
  }
}

bool AnswerParser::take_tag() {
  if (tag_ == options_.thinking.begin) {
    part_ = Part::kReasoning;
    answer_started_ = true;
  } else if (tag_ == options_.thinking.end) {
    if (part_ == Part::kReasoning) part_started_ = false;
    part_ = Part::kContent;
    answer_started_ = true;
    spaces_.clear();
  } else if (tag_ == kCall) {
    answer_started_ = true;
    open_block();
  } else {
    return false;
  }
  return true;
}

void AnswerParser::release_tag() {
  put_all(std::exchange(tag_, {}));
}

void AnswerParser::put_all(std::string_view text) {
  for (const char c : text) put(c);
}

void AnswerParser::put(char c) {
  if (is_blank(c) && !part_started_) return;
  answer_started_ = part_started_ = true;
  if (part_ == Part::kContent && !options_.stop.empty()) {
    put_content(c);
  } else {
    emit_character(c);
  }
}

void AnswerParser::put_content(char c) {
  if (!stopped_by_.empty()) return;
  waiting_ += c;
  std::size_t kept = 0;
  for (const std::string& stop : options_.stop) {
    if (waiting_.ends_with(stop)) {
      stopped_by_ = stop;
      waiting_.resize(waiting_.size() - stop.size());
      flush_stop();
      return;
    }
    for (std::size_t n = std::min(stop.size() - 1, waiting_.size()); n > kept; --n) {
      if (waiting_.ends_with(std::string_view(stop).substr(0, n))) {
        kept = n;
        break;
      }
    }
  }
  const std::size_t certain = waiting_.size() - kept;
  for (std::size_t i = 0; i < certain; ++i) emit_character(waiting_[i]);
  waiting_.erase(0, certain);
}

void AnswerParser::flush_stop() {
  for (const char c : std::exchange(waiting_, {})) emit_character(c);
}

void AnswerParser::emit_character(char c) {
  if (is_blank(c) && !options_.verbatim) {
    spaces_ += c;
    return;
  }
  const auto kind = part_ == Part::kReasoning ? AnswerPiece::Kind::kReasoning : AnswerPiece::Kind::kContent;
  if (!spaces_.empty()) emit(kind, std::exchange(spaces_, {}));
  emit(kind, {&c, 1});
}

void AnswerParser::open_block() {
  flush_stop();
  if (part_ == Part::kReasoning) held_ += kCall;
  block_state_ = Block::kOpen;
  block_.clear();
  scan_ = CallScan();
  end_tag_ = 0;
  block_bad_ = committed_ = false;
  streamed_ = 0;
}

void AnswerParser::take_block(char c) {
  block_ += c;
  const bool in_string = !block_bad_ && end_tag_ == 0 && scan_.in_string();
  if (!block_bad_ && !in_string && c == kCallEnd[end_tag_]) {
    if (++end_tag_ == kCallEnd.size()) close_block(block_.size() - kCallEnd.size());
    return;
  }
  if (!block_bad_) {
    if (end_tag_ == 0) scan_.push(c);
    block_bad_ = end_tag_ > 0 || scan_.status() == CallScan::Status::kBad;
    if (!block_bad_) return stream_arguments();
    if (part_ == Part::kReasoning) return refuse_block();
    // The end tag may stand in what looked like a string.
    const std::size_t end = block_.find(kCallEnd);
    if (end == std::string::npos) return;
    const std::string rest = block_.substr(end + kCallEnd.size());
    close_block(end);
    return take_all(rest);
  }
  if (c == '>' && block_.ends_with(kCallEnd)) close_block(block_.size() - kCallEnd.size());
}

void AnswerParser::stream_arguments() {
  if (part_ == Part::kReasoning || !scan_.arguments_begun() || scan_.arguments_are_text()) return;
  const std::size_t begin = scan_.arguments_begin();
  const std::size_t end = scan_.arguments_whole() ? scan_.arguments_end() : block_.size();
  if (!committed_) {
    if (scan_.name().empty() || end - begin < kCommitBytes) return;
    committed_ = true;
    emit(AnswerPiece::Kind::kCall, scan_.name(), n_calls_);
  }
  if (end - begin <= streamed_) return;
  emit(AnswerPiece::Kind::kArguments,
       std::string_view(block_).substr(begin + streamed_, end - begin - streamed_), n_calls_);
  streamed_ = end - begin;
}

// The block is over: body_bytes of it stand before the end tag.
void AnswerParser::close_block(std::size_t body_bytes) {
  block_state_ = Block::kNone;
  const std::string_view body = std::string_view(block_).substr(0, body_bytes);
  if (!block_bad_) scan_.end();
  if (committed_) {
    if (!scan_.arguments_whole()) {
      broken_.push_back({n_calls_, std::string(kCall) + std::string(body) + std::string(kCallEnd)});
    }
    ++n_calls_;
    return;
  }
  if (part_ == Part::kReasoning) {
    held_ += block_;
    if (!read_calls(body)) return give_up_held();
    block_state_ = Block::kAfter;
    return;
  }
  if (read_calls(body)) return let_calls_out();
  put_all(kCall);
  put_all(body);
  put_all(kCallEnd);
}

void AnswerParser::let_calls_out() {
  for (const Call& call : std::exchange(held_calls_, {})) {
    emit(AnswerPiece::Kind::kCall, call.name, n_calls_);
    emit(AnswerPiece::Kind::kArguments, call.arguments, n_calls_);
    ++n_calls_;
  }
}

// Appends the calls of a whole block to held_calls_; false where it holds none.
bool AnswerParser::read_calls(std::string_view body) {
  if (!block_bad_ && !scan_.name().empty() && scan_.arguments_whole()) {
    add_call(scan_.name(),
             body.substr(scan_.arguments_begin(), scan_.arguments_end() - scan_.arguments_begin()));
    return true;
  }
  if (block_bad_ || scan_.status() != CallScan::Status::kWhole) return false;
  using Json = nlohmann::ordered_json;
  std::optional<Json> read;
  try {
    read = read_json_if_any(body, "");
  } catch (const Error&) {  // deeper or larger than any call
  }
  if (!read) return false;
  Json whole = read->is_array() ? std::move(*read) : Json::array({std::move(*read)});
  std::vector<Call> calls;
  for (const Json& entry : whole) {
    const Json* call = &entry;
    if (call->is_object() && call->contains("function") && (*call)["function"].is_object()) {
      call = &(*call)["function"];
    }
    if (!call->is_object() || !call->contains("name") || !(*call)["name"].is_string()) return false;
    auto name = (*call)["name"].get<std::string>();
    if (name.empty()) return false;
    const char* const key = call->contains("arguments") ? "arguments" : "parameters";
    calls.push_back({std::move(name), call->contains(key) ? (*call)[key].dump() : "{}"});
  }
  for (Call& call : calls) add_call(std::move(call.name), call.arguments);
  return !calls.empty();
}

void AnswerParser::add_call(std::string name, std::string_view arguments) {
  std::string text(arguments);
  if (text == "null") text = "{}";
  if (text.starts_with('"')) {
    // An object quoted once too often, as the 4.0 template quotes one that history gives as text.
    const nlohmann::json quoted = nlohmann::json::parse(text, nullptr, false);
    if (quoted.is_string()) {
      auto inner = quoted.get<std::string>();
      if (nlohmann::json::parse(inner, nullptr, false).is_object()) text = std::move(inner);
    }
  }
  held_calls_.push_back({std::move(name), std::move(text)});
}

// The block under way is no call: its tag is text, what stands behind it is read again.
void AnswerParser::refuse_block() {
  const std::string block = std::exchange(block_, {});
  held_.resize(held_.size() - kCall.size());
  give_up_held();
  put_all(kCall);
  take_all(block);
}

void AnswerParser::take_after(char c) {
  if (tag_.empty() && is_blank(c)) {
    held_ += c;
    return;
  }
  tag_ += c;
  if (tag_ == kCall && !held_think_end_) {
    tag_.clear();
    return open_block();
  }
  if (tag_ == options_.thinking.end && !held_think_end_) {
    held_ += std::exchange(tag_, {});
    held_think_end_ = true;
    return;
  }
  if (!held_think_end_ && (kCall.starts_with(tag_) || options_.thinking.end.starts_with(tag_))) return;
  const std::string rest = std::exchange(tag_, {});
  give_up_held();
  take_all(rest);
}

// The calls were thoughts: all that was held is reasoning.
void AnswerParser::give_up_held() {
  const bool reasoning_ended = std::exchange(held_think_end_, false);
  std::string text = std::exchange(held_, {});
  held_calls_.clear();
  block_state_ = Block::kNone;
  if (reasoning_ended) text.resize(text.rfind(options_.thinking.end));
  put_all(text);
  if (!reasoning_ended) return;
  part_ = Part::kContent;
  part_started_ = false;
  spaces_.clear();
}

// The answer ends inside a block: a call whose JSON is whole needs no end tag.
void AnswerParser::finish_block() {
  const std::string_view body = std::string_view(block_).substr(0, block_.size() - end_tag_);
  if (!block_bad_) scan_.end();
  block_state_ = Block::kNone;
  if (committed_) {
    if (!scan_.arguments_whole()) broken_.push_back({n_calls_, std::string(kCall) + block_});
    ++n_calls_;
  } else if (read_calls(body)) {
    held_ += block_;
    block_state_ = part_ == Part::kReasoning ? Block::kAfter : Block::kNone;
  } else if (part_ == Part::kReasoning) {
    refuse_block();
  } else {
    put_all(kCall);
    put_all(block_);
  }
}

void AnswerParser::finish() {
  if (!character_.empty()) {
    std::string replaced;
    append_replacing_invalid(replaced, std::exchange(character_, {}));
    take_all(replaced);
  }
  // Refusing a block may open another one.
  while (stopped_by_.empty() && block_state_ == Block::kOpen) finish_block();
  if (block_state_ == Block::kAfter && !tag_.empty()) {
    const std::string rest = std::exchange(tag_, {});
    give_up_held();
    take_all(rest);
  }
  block_state_ = Block::kNone;
  let_calls_out();
  release_tag();
  flush_stop();
  spaces_.clear();
}

}  // namespace exa
