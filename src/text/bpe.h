// Byte-level byte-pair encoding of one piece: the pair with the lowest rank merges first, the leftmost of
// equals.
//
// A piece may be a clause of many words (EXAONE 4.5), yet the merges that join words come late in the
// ranking: all merges before the first of them can be done word by word, which a cache of words makes cheap,
// and the rest goes on from there. That gives the same tokens as long as no merge makes a token that an
// earlier one takes; where a vocabulary breaks that rule, whole pieces are encoded at once. Ownership and
// threads: Bpe is immutable; each thread brings its own Scratch. Source: Sennrich et al. 2016; the order of
// merges is that of Hugging Face's tokenizers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace exa {

class Bpe {
 public:
  struct Merge {
    TokenId left, right, result;
  };

  // Ids and ranks fit into 21 bits each, so that a pair and its rank are one word.
  static constexpr TokenId kEndOfIds = TokenId{1} << 21;

  // byte_ids[b] is the token of the single byte b; merges in rank order. Ids lie in [0, kEndOfIds), there are
  // fewer than kEndOfIds - 1 merges (kInternal otherwise). first_joining: the lowest rank whose result spans
  // the start of a word (a space after another byte), merges.size() where none does. Errors: kBadInput for
  // two merges of a pair.
  Bpe(std::span<const TokenId, 256> byte_ids, std::span<const Merge> merges, std::size_t first_joining);

  // Working memory that grows to the longest piece and is used again.
  class Scratch {
    friend class Bpe;
    struct Link {
      std::uint32_t previous, next;  // kNowhere at the ends
    };
    std::vector<TokenId> ids_;
    std::vector<std::uint32_t> ranks_;  // of the pair of each symbol with the next
    std::vector<Link> links_;
    std::vector<std::uint64_t> heap_;
  };

  // Appends the tokens of `piece`. Pieces have fewer than 2^32 - 1 bytes (kBadInput otherwise). O(n log n).
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const;

  // Whether encode() equals encode_word() on each word and join_words() on what they append.
  bool splits_words() const { return words_end_ > 0; }
  void encode_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;
  void join_words(std::span<const TokenId> tokens, Scratch& scratch, std::vector<TokenId>& out) const;

 private:
  static constexpr std::uint32_t kNoRank = 0xFFFFFFFF;

  std::uint32_t rank_of(TokenId left, TokenId right) const;
  // Merges below rank `end` only.
  void encode_below(std::string_view piece, std::uint32_t end, Scratch& scratch,
                    std::vector<TokenId>& out) const;
  // From the symbols and ranks in scratch.
  void merge(std::uint32_t end, Scratch& scratch, std::vector<TokenId>& out) const;
  void merge_short(std::uint32_t end, Scratch& scratch, std::vector<TokenId>& out) const;
  void merge_long(std::uint32_t end, Scratch& scratch, std::vector<TokenId>& out) const;

  std::array<TokenId, 256> byte_ids_;
  std::vector<std::uint32_t> byte_pair_rank_;  // [first byte, second byte]
  std::vector<std::uint64_t> slots_;           // left, right, rank, 21 bits each; open addressing
  int shift_ = 0;                              // hash bits to drop
  std::vector<TokenId> result_of_rank_;
  std::uint32_t words_end_ = 0;  // merges below this rank stay inside words; 0: do not split
};

}  // namespace exa
