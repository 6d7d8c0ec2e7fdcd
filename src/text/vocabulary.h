// The bytes and the kind of every token id, and the way back from the bytes of an ordinary token to its id.
//
// Ownership and threads: one arena holds all bytes; immutable after the last add().
// Source: GPT-2's byte alphabet; exaone-models specification 5.1 and 5.4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace exa {

// Turns the printable spelling of a byte-level token ("Ġthe") into its bytes (" the"), appended to `out`.
// False, with `out` unchanged, where a character is not one of the 256 of the alphabet.
bool append_alphabet_bytes(std::string& out, std::string_view printable);

class Vocabulary {
 public:
  // Ids 0 to size - 1, all kUnused and without bytes.
  explicit Vocabulary(std::size_t size);

  // Gives an id its bytes; each id once. findable: find() may return it; false where another id has these
  // bytes.
  bool add(TokenId id, std::string_view bytes, TokenKind kind, bool findable);

  std::size_t size() const { return entries_.size(); }
  bool contains(TokenId id) const { return id >= 0 && static_cast<std::size_t>(id) < entries_.size(); }
  std::string_view bytes(TokenId id) const {
    const Entry& entry = entries_[static_cast<std::size_t>(id)];
    return std::string_view(arena_).substr(entry.offset, entry.length);
  }
  TokenKind kind(TokenId id) const { return entries_[static_cast<std::size_t>(id)].kind; }
  // The findable token with these bytes.
  std::optional<TokenId> find(std::string_view bytes) const;

 private:
  struct Entry {
    std::uint32_t offset = 0;
    std::uint32_t length : 24 = 0;
    TokenKind kind : 8 = TokenKind::kUnused;
  };
  struct Slot {
    std::uint32_t hash = 0;
    TokenId id = -1;
  };
  std::size_t slot_for(std::string_view bytes, std::uint32_t hash) const;

  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;  // open addressing, at most half full
};

}  // namespace exa
