// A model's vocabulary as a tree of bytes, so that all tokens that continue a text are found in one walk.
//
// Tokens are byte strings: one may end, or begin, inside a character. Tokens that are text count (ordinary
// ones, and the added runs of spaces and tabs); the tags <tool_call> and </tool_call> count as symbols of
// their own, which only a grammar of tool calls uses; control tokens and other tags never stand inside a
// grammar. Tokens that end a generation are kept apart. Ownership and threads: built once a model (nothing of
// the tokenizer is kept); immutable. Source: exaone-models specification 5.1 and 5.5; Fredkin 1960 (tries).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace exa {

class TokenMasks {
 public:
  explicit TokenMasks(const Tokenizer& tokenizer);

  std::size_t vocab_size() const { return vocab_size_; }
  // 64-bit words of a mask: bit i % 64 of word i / 64 stands for token i.
  std::size_t n_words() const { return (vocab_size_ + 63) / 64; }
  // Ids that end a generation.
  std::span<const TokenId> ends() const { return ends_; }
  bool is_end(TokenId id) const;
  // The symbols of a token inside a grammar; empty for tokens that have no place in one.
  std::string_view symbols(TokenId id) const;
  bool has_tool_tags() const { return has_tool_tags_; }

  // The tree in preorder; node 0 is the root and has no byte. Tokens are numbered by rank: sorted by symbols.
  struct Node {
    std::uint32_t after;        // the next node that is not below this one
    std::uint32_t first_token;  // rank of the first token at or below it
    std::uint16_t depth;        // bytes from the root
    std::uint8_t byte;
  };
  // The last one is behind the tree. Tokens that end at node n: ranks from nodes()[n] to nodes()[n + 1].
  std::span<const Node> nodes() const { return nodes_; }
  std::size_t n_ranks() const { return ids_.size(); }
  TokenId id_of(std::uint32_t rank) const { return ids_[rank]; }
  std::string_view symbols_of(std::uint32_t rank) const {
    return std::string_view(text_).substr(begins_[rank], begins_[rank + 1] - begins_[rank]);
  }
  std::size_t longest() const { return longest_; }

 private:
  std::size_t vocab_size_;
  std::vector<TokenId> ends_;
  bool has_tool_tags_ = false;
  std::size_t longest_ = 0;
  std::vector<Node> nodes_;             // one more at the end, for its first_token
  std::vector<TokenId> ids_;            // [n_ranks]
  std::vector<std::uint32_t> rank_of_;  // [vocab]
  std::vector<std::uint32_t> begins_;   // [n_ranks + 1] into text_
  std::string text_;
};

}  // namespace exa
