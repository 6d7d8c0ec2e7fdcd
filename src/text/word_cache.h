// Remembers the tokens of short pieces while one text is encoded: natural text repeats its words.
//
// Ownership and threads: belongs to one encode call.
// Source: measurements in docs/performance.md.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "text/hash.h"
#include "text/tokenizer.h"

namespace exa {

// Whether a word starts at bytes[i], i > 0, for the encoder that takes a piece word by word.
inline bool starts_word(std::string_view bytes, std::size_t i) {
  return bytes[i] == ' ' && bytes[i - 1] != ' ';
}

// Two kinds of entry: the tokens of a whole piece, and those of a word inside a piece, which are not final.
enum class WordKind : std::uint8_t { kPiece, kPart };

class WordCache {
 public:
  explicit WordCache(std::size_t text_bytes) {
    // A short text repeats too little to pay for clearing the table.
    if (text_bytes >= kMinTextBytes) words_.resize(std::min(kMaxWords, std::bit_floor(text_bytes / 16)));
  }

  bool takes(std::string_view piece) const { return !words_.empty() && piece.size() <= kMaxWordBytes; }

  // Appends the remembered tokens; false where the piece is not there.
  bool append(std::string_view piece, WordKind kind, std::vector<TokenId>& out) {
    const std::uint64_t hash = hash_bytes(piece);
    latest_ = &words_[hash & (words_.size() - 1)];
    // The lowest bit tells the kinds apart, so that they never stand for each other.
    latest_tag_ = static_cast<std::uint32_t>(hash >> 32 & ~std::uint64_t{1}) | (kind == WordKind::kPart);
    if (latest_->n_bytes != piece.size() || latest_->tag != latest_tag_ ||
        std::memcmp(latest_->bytes, piece.data(), piece.size()) != 0) {
      return false;
    }
    out.insert(out.end(), latest_->ids, latest_->ids + latest_->n_ids);
    return true;
  }

  // Stores the tokens of the piece that append() has just missed, in the place of another.
  void store(std::string_view piece, std::span<const TokenId> ids) {
    if (ids.size() > kMaxIds) return;
    latest_->tag = latest_tag_;
    latest_->n_bytes = static_cast<std::uint8_t>(piece.size());
    latest_->n_ids = static_cast<std::uint8_t>(ids.size());
    std::memcpy(latest_->bytes, piece.data(), piece.size());
    std::copy(ids.begin(), ids.end(), latest_->ids);
  }

 private:
  static constexpr std::size_t kMinTextBytes = 2048;
  static constexpr std::size_t kMaxWords = 16384;
  static constexpr std::size_t kMaxWordBytes = 26;
  static constexpr std::size_t kMaxIds = 8;

  struct Word {
    std::uint32_t tag;
    std::uint8_t n_bytes;  // 0: empty
    std::uint8_t n_ids;
    char bytes[kMaxWordBytes];
    TokenId ids[kMaxIds];
  };
  static_assert(sizeof(Word) == 64);

  std::vector<Word> words_;
  Word* latest_ = nullptr;
  std::uint32_t latest_tag_ = 0;
};

}  // namespace exa
