#include "text/vocabulary.h"

#include <array>
#include <bit>

#include "base/error.h"
#include "text/hash.h"

namespace exa {
namespace {

// U+0000 to U+0143 -> byte, -1 where the character is not in the alphabet.
constexpr std::size_t kAlphabetEnd = 0x144;

constexpr std::array<std::int16_t, kAlphabetEnd> make_alphabet() {
  std::array<std::int16_t, kAlphabetEnd> bytes{};
  for (auto& byte : bytes) byte = -1;
  std::size_t next = 0x100;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
    bytes[printable ? byte : next++] = static_cast<std::int16_t>(byte);
  }
  return bytes;
}
constexpr auto kAlphabet = make_alphabet();

std::uint32_t short_hash(std::string_view bytes) {
  return static_cast<std::uint32_t>(hash_bytes(bytes) >> 32);
}

}  // namespace

bool append_alphabet_bytes(std::string& out, std::string_view printable) {
  const std::size_t before = out.size();
  for (std::size_t i = 0; i < printable.size();) {
    const auto lead = static_cast<unsigned char>(printable[i]);
    std::size_t c = kAlphabetEnd;
    std::size_t n_bytes = 1;
    if (lead < 0x80) {
      c = lead;
    } else if (lead >= 0xC2 && lead < 0xE0 && i + 1 < printable.size()) {
      c = (lead & 0x1Fu) << 6 | (static_cast<unsigned char>(printable[i + 1]) & 0x3Fu);
      n_bytes = 2;
    }
    const int byte = c < kAlphabetEnd ? kAlphabet[c] : -1;
    if (byte < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(byte));
    i += n_bytes;
  }
  return true;
}

Vocabulary::Vocabulary(std::size_t size) : entries_(size), slots_(std::bit_ceil(size * 2 + 2)) {
  arena_.reserve(size * 8);
}

std::size_t Vocabulary::slot_for(std::string_view wanted, std::uint32_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  while (slots_[slot].id >= 0 && (slots_[slot].hash != hash || bytes(slots_[slot].id) != wanted)) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

bool Vocabulary::add(TokenId id, std::string_view token, TokenKind kind, bool findable) {
  if (token.size() >= std::size_t{1} << 24 || arena_.size() + token.size() > 0xFFFFFFFF) {
    throw Error(ErrorKind::kUnsupported, "token " + std::to_string(id) +
                                             " makes the vocabulary larger than 4 GiB "
                                             "or has 16 MiB itself");
  }
  if (findable) {
    const std::uint32_t hash = short_hash(token);
    Slot& slot = slots_[slot_for(token, hash)];
    if (slot.id >= 0) return false;
    slot = {hash, id};
  }
  Entry& entry = entries_[static_cast<std::size_t>(id)];
  entry.offset = static_cast<std::uint32_t>(arena_.size());
  entry.length = static_cast<std::uint32_t>(token.size()) & 0xFFFFFF;
  entry.kind = kind;
  arena_.append(token);
  return true;
}

std::optional<TokenId> Vocabulary::find(std::string_view wanted) const {
  const Slot& slot = slots_[slot_for(wanted, short_hash(wanted))];
  if (slot.id < 0) return std::nullopt;
  return slot.id;
}

}  // namespace exa
