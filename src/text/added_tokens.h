// Tokens that are cut out of the text before anything else looks at it: the leftmost, of those the longest.
//
// Ownership and threads: immutable after the last add(); find() may be called from several threads at once.
// Source: Hugging Face tokenizers' added vocabulary; exaone-models specification 5.1 and 11.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace exa {

// A half-open stretch of text.
struct TextRange {
  std::size_t begin;
  std::size_t end;
};

// The stretches that admit every added token, sorted and apart from each other; elsewhere only white-space
// runs may match. One pass over the text each.
class Admission {
 public:
  explicit Admission(std::span<const TextRange> everything) : ranges_(everything) {}

  // End of the stretch that holds i, or i itself where none does. Calls come with growing i.
  std::size_t end_of(std::size_t i) {
    while (next_ < ranges_.size() && ranges_[next_].end <= i) ++next_;
    return next_ < ranges_.size() && ranges_[next_].begin <= i ? ranges_[next_].end : i;
  }

 private:
  std::span<const TextRange> ranges_;
  std::size_t next_ = 0;
};

class AddedTokens {
 public:
  static constexpr std::size_t kMaxTokenBytes = 1024;  // bounds the work at one place of hostile text

  // text: 1 to kMaxTokenBytes bytes. everywhere: also in data (a white-space run). False where the text is
  // there already.
  bool add(std::string_view text, TokenId id, bool everywhere);
  bool empty() const { return nodes_.size() == 1; }

  // The token with exactly this text.
  std::optional<TokenId> find_whole(std::string_view text) const;

  struct Match {
    std::size_t begin, end;
    TokenId id;
  };
  // The first match that starts at or after `from`; false where there is none.
  bool find(std::string_view text, std::size_t from, Admission& admission, Match& match) const;

 private:
  static constexpr std::uint32_t kNone = 0;  // the root is nobody's child

  struct Node {
    std::uint32_t first_child = kNone;
    std::uint32_t next_sibling = kNone;
    TokenId id = -1;  // of the token that ends here
    unsigned char byte = 0;
    bool everywhere = false;
  };
  std::uint32_t child(std::uint32_t node, unsigned char byte) const;

  std::vector<Node> nodes_{Node{}};
  std::array<bool, 256> starts_{};                          // first bytes of tokens
  std::array<bool, 256> single_{};                          // tokens of one byte
  std::vector<bool> pairs_ = std::vector<bool>(256 * 256);  // first two bytes of tokens
};

}  // namespace exa
