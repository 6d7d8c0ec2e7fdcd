#include "grammar/token_masks.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "grammar/tags.h"

namespace exa {
namespace {

constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();

constexpr std::size_t kMostTokenBytes = 256;  // EXAONE's longest has 103

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t") == std::string_view::npos;
}

// What a token is inside a grammar; empty where it has no place in one.
std::string_view symbols_in(const Tokenizer& tokenizer, TokenId id) {
  if (tokenizer.ends_generation(id)) return {};
  const std::string_view bytes = tokenizer.token_bytes(id);
  if (bytes.size() > kMostTokenBytes) return {};
  const auto is_text = [](char c) { return static_cast<unsigned char>(c) < grammar::kFirstTag; };
  switch (tokenizer.kind(id)) {
    case TokenKind::kNormal:
      return std::all_of(bytes.begin(), bytes.end(), is_text) ? bytes : std::string_view();
    case TokenKind::kUserDefined:
      if (bytes == grammar::kToolCallBegin) return grammar::kToolCallBeginSymbol;
      if (bytes == grammar::kToolCallEnd) return grammar::kToolCallEndSymbol;
      return is_blank(bytes) ? bytes : std::string_view();
    case TokenKind::kControl:
    case TokenKind::kUnused:
      break;
  }
  return {};
}

}  // namespace

TokenMasks::TokenMasks(const Tokenizer& tokenizer) : vocab_size_(tokenizer.vocab_size()) {
  const auto ends = tokenizer.end_of_generation();
  ends_.assign(ends.begin(), ends.end());
  std::vector<std::pair<std::string_view, TokenId>> tokens;
  for (std::size_t i = 0; i < vocab_size_; ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string_view symbols = symbols_in(tokenizer, id);
    if (!symbols.empty()) tokens.emplace_back(symbols, id);
  }
  std::sort(tokens.begin(), tokens.end());
  rank_of_.assign(vocab_size_, kNoRank);
  std::size_t n_tags = 0;
  std::vector<std::uint32_t> path{0};
  nodes_.push_back({0, 0, 0, 0});
  std::string_view before;
  for (const auto& [symbols, id] : tokens) {
    const auto rank = static_cast<std::uint32_t>(ids_.size());
    rank_of_[static_cast<std::size_t>(id)] = rank;
    ids_.push_back(id);
    begins_.push_back(static_cast<std::uint32_t>(text_.size()));
    text_ += symbols;
    longest_ = std::max(longest_, symbols.size());
    n_tags += static_cast<unsigned char>(symbols[0]) >= grammar::kFirstTag;
    const auto shared = static_cast<std::size_t>(
        std::mismatch(before.begin(), before.end(), symbols.begin(), symbols.end()).first - before.begin());
    const auto next_node = [this] { return static_cast<std::uint32_t>(nodes_.size()); };
    for (; path.size() > shared + 1; path.pop_back()) nodes_[path.back()].after = next_node();
    for (std::size_t i = shared; i < symbols.size(); ++i) {
      path.push_back(next_node());
      nodes_.push_back({0, rank, static_cast<std::uint16_t>(i + 1), static_cast<std::uint8_t>(symbols[i])});
    }
    before = symbols;
  }
  begins_.push_back(static_cast<std::uint32_t>(text_.size()));
  for (const std::uint32_t node : path) nodes_[node].after = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({0, static_cast<std::uint32_t>(ids_.size()), 0, 0});
  has_tool_tags_ = n_tags == 2;
}

bool TokenMasks::is_end(TokenId id) const {
  return std::find(ends_.begin(), ends_.end(), id) != ends_.end();
}

std::string_view TokenMasks::symbols(TokenId id) const {
  const auto i = static_cast<std::size_t>(id);
  if (id < 0 || i >= vocab_size_ || rank_of_[i] == kNoRank) return {};
  return symbols_of(rank_of_[i]);
}

}  // namespace exa
