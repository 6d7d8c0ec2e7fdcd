// Byte-level byte-pair encoding of one piece: the pair with the lowest rank merges first, the leftmost of
// equals.
//
// Ownership and threads: Bpe is immutable; each thread brings its own Scratch.
// Source: Sennrich et al. 2016; the order of merges is that of Hugging Face's tokenizers.
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
  // fewer than kEndOfIds - 1 merges (kInternal otherwise). Errors: kBadInput for two merges of the same pair.
  Bpe(std::span<const TokenId, 256> byte_ids, std::span<const Merge> merges);

  // Working memory that grows to the longest piece and is used again.
  class Scratch {
    friend class Bpe;
    struct Symbol {
      TokenId id;
      std::uint32_t previous, next;  // kNowhere at the ends
      std::uint32_t rank;            // of the pair with the next symbol
    };
    std::vector<Symbol> symbols_;
    std::vector<std::uint64_t> heap_;
  };

  // Appends the tokens of `piece`, fewer than 2^32 - 1 bytes. O(n log n).
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const;

 private:
  static constexpr std::uint32_t kNoRank = 0xFFFFFFFF;

  std::uint32_t rank_of(TokenId left, TokenId right) const;
  void encode_short(std::string_view piece, std::vector<TokenId>& out) const;
  void encode_long(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const;

  std::array<TokenId, 256> byte_ids_;
  std::vector<std::uint32_t> byte_pair_rank_;  // [first byte, second byte]
  std::vector<std::uint64_t> slots_;           // left, right, rank, 21 bits each; open addressing
  int shift_ = 0;                              // hash bits to drop
  std::vector<TokenId> result_of_rank_;
};

}  // namespace exa
