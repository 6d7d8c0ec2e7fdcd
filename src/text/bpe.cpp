#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/error.h"

namespace exa {
namespace {

constexpr int kIdBits = 21;
constexpr std::uint64_t kEmptySlot = ~std::uint64_t{0};
constexpr std::uint32_t kNowhere = 0xFFFFFFFF;

std::uint64_t pair_key(TokenId left, TokenId right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << kIdBits | static_cast<std::uint32_t>(right);
}

std::size_t slot_of(std::uint64_t key, int shift) {
  return static_cast<std::size_t>(key * 0x9E3779B97F4A7C15u >> shift);
}

// encode_short keeps a pair's rank and place in one 32-bit word, so that the smallest word is the next merge.
constexpr int kPlaceBits = 32 - kIdBits;
constexpr std::size_t kMaxShortPiece = (std::size_t{1} << kPlaceBits) - 1;
constexpr std::size_t kBlock = 64;

std::uint32_t smallest(const std::uint32_t* words, std::size_t n) {
  std::uint32_t best = kNowhere;
  for (std::size_t i = 0; i < n; ++i) best = std::min(best, words[i]);
  return best;
}

}  // namespace

Bpe::Bpe(std::span<const TokenId, 256> byte_ids, std::span<const Merge> merges) {
  if (merges.size() >= static_cast<std::size_t>(kEndOfIds) - 1)
    throw Error(ErrorKind::kInternal, "too many merges");
  std::copy(byte_ids.begin(), byte_ids.end(), byte_ids_.begin());
  const std::size_t n_slots = std::bit_ceil(std::max<std::size_t>(64, merges.size() * 2));
  shift_ = 64 - std::countr_zero(n_slots);
  slots_.assign(n_slots, kEmptySlot);
  result_of_rank_.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    for (const TokenId id : {merge.left, merge.right, merge.result}) {
      if (id < 0 || id >= kEndOfIds) throw Error(ErrorKind::kInternal, "merge of an id out of range");
    }
    const std::uint64_t key = pair_key(merge.left, merge.right);
    std::size_t slot = slot_of(key, shift_);
    while (slots_[slot] != kEmptySlot) {
      if (slots_[slot] >> kIdBits == key) {
        throw Error(ErrorKind::kBadInput, "merges " + std::to_string(slots_[slot] & (kEndOfIds - 1)) +
                                              " and " + std::to_string(rank) + " join the same pair");
      }
      slot = (slot + 1) & (n_slots - 1);
    }
    slots_[slot] = key << kIdBits | rank;
    result_of_rank_.push_back(merge.result);
  }
  byte_pair_rank_.resize(256 * 256);
  for (std::size_t first = 0; first < 256; ++first) {
    for (std::size_t second = 0; second < 256; ++second) {
      byte_pair_rank_[first << 8 | second] = rank_of(byte_ids_[first], byte_ids_[second]);
    }
  }
}

inline std::uint32_t Bpe::rank_of(TokenId left, TokenId right) const {
  const std::uint64_t key = pair_key(left, right);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = slot_of(key, shift_);; slot = (slot + 1) & mask) {
    const std::uint64_t entry = slots_[slot];
    if (entry >> kIdBits == key) return static_cast<std::uint32_t>(entry & (kEndOfIds - 1));
    if (entry == kEmptySlot) return kNoRank;
  }
}

void Bpe::encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const {
  if (piece.size() <= kMaxShortPiece) {
    encode_short(piece, out);
  } else {
    encode_long(piece, scratch, out);
  }
}

void Bpe::encode_short(std::string_view piece, std::vector<TokenId>& out) const {
  const std::size_t n = piece.size();
  if (n == 0) return;
  const auto byte = [piece](std::size_t i) { return std::size_t{static_cast<unsigned char>(piece[i])}; };
  // words[i]: rank << kPlaceBits | i for the pair whose left symbol starts at byte i; kNowhere where none can
  // merge. Symbols stay at their first byte: ends[i] is where the one at i ends, starts[e] where the one that
  // ends at e starts.
  std::uint32_t words[kMaxShortPiece + 1];
  TokenId ids[kMaxShortPiece + 1];
  std::uint16_t ends[kMaxShortPiece + 1];
  std::uint16_t starts[kMaxShortPiece + 2];
  std::uint32_t block_best[(kMaxShortPiece + 1) / kBlock];

  const auto word = [](std::uint32_t rank, std::size_t place) {
    return rank == kNoRank ? kNowhere : rank << kPlaceBits | static_cast<std::uint32_t>(place);
  };
  for (std::size_t i = 0; i < n; ++i) {
    ids[i] = byte_ids_[byte(i)];
    ends[i] = static_cast<std::uint16_t>(i + 1);
    starts[i + 1] = static_cast<std::uint16_t>(i);
    words[i] = i + 1 < n ? word(byte_pair_rank_[byte(i) << 8 | byte(i + 1)], i) : kNowhere;
  }
  const std::size_t n_blocks = (n + kBlock - 1) / kBlock;
  if (n_blocks > 1) {
    std::fill(words + n, words + n_blocks * kBlock, kNowhere);
    for (std::size_t b = 0; b < n_blocks; ++b) block_best[b] = smallest(words + b * kBlock, kBlock);
  }

  const auto set_word = [&](std::size_t place, std::uint32_t value) {
    words[place] = value;
    if (n_blocks > 1) block_best[place / kBlock] = smallest(words + place / kBlock * kBlock, kBlock);
  };
  while (true) {
    const std::uint32_t best = n_blocks > 1 ? smallest(block_best, n_blocks) : smallest(words, n);
    if (best == kNowhere) break;
    const std::size_t left = best & ((1u << kPlaceBits) - 1);
    const std::size_t right = ends[left];
    const std::size_t end = ends[right];
    ids[left] = result_of_rank_[best >> kPlaceBits];
    ends[left] = static_cast<std::uint16_t>(end);
    starts[end] = static_cast<std::uint16_t>(left);
    set_word(right, kNowhere);
    set_word(left, end < n ? word(rank_of(ids[left], ids[end]), left) : kNowhere);
    if (left > 0) {
      const std::size_t before = starts[left];
      set_word(before, word(rank_of(ids[before], ids[left]), before));
    }
  }
  for (std::size_t i = 0; i < n; i = ends[i]) out.push_back(ids[i]);
}

void Bpe::encode_long(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const {
  const std::size_t n = piece.size();
  if (n >= kNowhere)
    throw Error(ErrorKind::kBadInput,
                "a piece of text has " + std::to_string(n) + " bytes, expected fewer than 2^32 - 1");
  auto& symbols = scratch.symbols_;
  auto& heap = scratch.heap_;
  symbols.resize(n);
  heap.clear();
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t first = static_cast<unsigned char>(piece[i]);
    const bool last = i + 1 == n;
    const std::uint32_t rank =
        last ? kNoRank : byte_pair_rank_[first << 8 | static_cast<unsigned char>(piece[i + 1])];
    symbols[i] = {byte_ids_[first], i == 0 ? kNowhere : static_cast<std::uint32_t>(i - 1),
                  last ? kNowhere : static_cast<std::uint32_t>(i + 1), rank};
    if (rank != kNoRank) heap.push_back(std::uint64_t{rank} << 32 | i);
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto update = [&](std::uint32_t place) {
    auto& symbol = symbols[place];
    symbol.rank = symbol.next == kNowhere ? kNoRank : rank_of(symbol.id, symbols[symbol.next].id);
    if (symbol.rank == kNoRank) return;
    heap.push_back(std::uint64_t{symbol.rank} << 32 | place);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    const std::uint64_t best = heap.front();
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    const auto place = static_cast<std::uint32_t>(best);
    auto& left = symbols[place];
    // An entry whose pair has changed since is stale: its symbol now carries another rank.
    if (left.rank != best >> 32) continue;
    auto& right = symbols[left.next];
    left.id = result_of_rank_[left.rank];
    right.rank = kNoRank;
    left.next = right.next;
    if (left.next != kNowhere) symbols[left.next].previous = place;
    update(place);
    if (left.previous != kNowhere) update(left.previous);
  }
  for (std::uint32_t i = 0; i != kNowhere; i = symbols[i].next) out.push_back(symbols[i].id);
}

}  // namespace exa
