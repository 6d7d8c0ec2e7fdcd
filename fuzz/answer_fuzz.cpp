// Answers: however the text is cut, the parser says what it says of the whole; what it says is whole
// characters; a finished call's arguments are JSON; and without tools it is what a reader of the finished
// text would say.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "chat/answer.h"
#include "text/utf8.h"

namespace {

using exa::AnswerOptions;
using exa::AnswerParser;
using exa::AnswerPiece;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

struct Parts {
  std::string reasoning;
  std::string content;
  std::vector<std::string> names;
  std::vector<std::string> arguments;
  std::vector<int> broken;
  std::string stop;
  bool operator==(const Parts&) const = default;
};

void collect(AnswerParser& parser, Parts& parts) {
  for (const AnswerPiece& piece : parser.pieces()) {
    require(exa::find_invalid_utf8(piece.text) == std::string_view::npos);
    switch (piece.kind) {
      case AnswerPiece::Kind::kReasoning:
        parts.reasoning += piece.text;
        break;
      case AnswerPiece::Kind::kContent:
        parts.content += piece.text;
        break;
      case AnswerPiece::Kind::kCall:
        require(piece.index == static_cast<int>(parts.names.size()) && !piece.text.empty());
        parts.names.push_back(piece.text);
        parts.arguments.emplace_back();
        break;
      case AnswerPiece::Kind::kArguments:
        require(piece.index + 1 == static_cast<int>(parts.names.size()));
        parts.arguments.back() += piece.text;
        break;
    }
  }
  parser.clear_pieces();
}

// most: the longest push; 0: all at once.
Parts parse(std::string_view text, const AnswerOptions& options, std::size_t most) {
  std::minstd_rand random(static_cast<std::uint32_t>(text.size() + most));
  AnswerParser parser(options);
  Parts parts;
  while (!text.empty()) {
    const std::size_t n = most == 0 ? text.size() : std::min(text.size(), 1 + random() % most);
    parser.push(text.substr(0, n));
    collect(parser, parts);
    text.remove_prefix(n);
  }
  parser.finish();
  collect(parser, parts);
  for (const auto& call : parser.broken_calls()) parts.broken.push_back(call.index);
  parts.stop = parser.stopped_by();
  return parts;
}

std::string_view without_space(std::string_view text, bool front, bool back) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  if (front) text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  if (back) text = text.substr(0, text.find_last_not_of(kSpace) + 1);
  return text;
}

// What the finished text says where there are no tools.
Parts read_whole(std::string_view text, const AnswerOptions& options) {
  constexpr std::string_view kThink = "<think>";
  constexpr std::string_view kThinkEnd = "</think>";
  Parts parts;
  bool reasoning = options.in_reasoning && !options.verbatim;
  const bool as_it_is = options.verbatim || (options.continues_content && !reasoning);
  if (!as_it_is && !options.continues_content) {
    if (without_space(text, true, false).starts_with(kThink)) {
      text = without_space(text, true, false).substr(kThink.size());
      reasoning = true;
    }
  }
  if (reasoning) {
    const std::size_t end = text.find(kThinkEnd);
    const std::string_view thought = text.substr(0, end);
    parts.reasoning = without_space(thought, true, true);
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + kThinkEnd.size());
  }
  if (!as_it_is) {
    text = without_space(text, true, false);
    while (text.starts_with(kThinkEnd)) text = without_space(text.substr(kThinkEnd.size()), true, false);
  }
  std::size_t end = text.size();
  for (std::size_t i = 1; i <= text.size() && parts.stop.empty(); ++i) {
    for (const std::string& stop : options.stop) {
      if (!text.substr(0, i).ends_with(stop)) continue;
      parts.stop = stop;
      end = i - stop.size();
      break;
    }
  }
  parts.content = without_space(text.substr(0, end), false, !options.verbatim);
  return parts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The last byte says how it is read, so that seeds are texts.
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const unsigned flags = size > 0 ? data[size - 1] : 0;
  AnswerOptions options;
  options.in_reasoning = (flags & 1) != 0;
  options.calls = (flags & 2) != 0;
  options.continues_content = (flags & 12) == 4 && !options.in_reasoning;
  options.verbatim = (flags & 12) == 8;
  if ((flags & 16) != 0) options.stop = {"###", "\n\n", "끝"};
  if ((flags & 32) != 0) options.stop.emplace_back("<");
  std::string text;
  exa::append_replacing_invalid(text, bytes.substr(0, size > 0 ? size - 1 : 0));

  const Parts whole = parse(text, options, 0);
  for (const std::size_t most : {1, 3, 12}) require(parse(text, options, most) == whole);
  for (std::size_t i = 0; i < whole.arguments.size(); ++i) {
    const bool broken =
        std::find(whole.broken.begin(), whole.broken.end(), static_cast<int>(i)) != whole.broken.end();
    require(broken || nlohmann::json::accept(whole.arguments[i]));
  }
  if (!options.calls || options.verbatim) require(read_whole(text, options) == whole);
  return 0;
}
