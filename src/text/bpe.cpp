#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
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

// merge_short keeps a pair's rank and place in one 32-bit word, so that the smallest word is the next merge.
constexpr int kPlaceBits = 32 - kIdBits;
constexpr std::size_t kMaxShortPiece = (std::size_t{1} << kPlaceBits) - 1;
constexpr std::size_t kBlock = 64;

std::uint32_t smallest(const std::uint32_t* words, std::size_t n) {
  std::uint32_t best = kNowhere;
  for (std::size_t i = 0; i < n; ++i) best = std::min(best, words[i]);
  return best;
}

// Whether every token is made by lower ranks than all merges that take it.
bool results_come_before_uses(std::span<const Bpe::Merge> merges) {
  TokenId last = 0;
  for (const Bpe::Merge& merge : merges) last = std::max({last, merge.left, merge.right, merge.result});
  std::vector<std::uint32_t> made_until(static_cast<std::size_t>(last) + 1, 0);
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    made_until[static_cast<std::size_t>(merges[rank].result)] = static_cast<std::uint32_t>(rank + 1);
  }
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    for (const TokenId id : {merges[rank].left, merges[rank].right}) {
      if (made_until[static_cast<std::size_t>(id)] > rank) return false;
    }
  }
  return true;
}

}  // namespace

Bpe::Bpe(std::span<const TokenId, 256> byte_ids, std::span<const Merge> merges, std::size_t first_joining) {
  if (merges.size() >= static_cast<std::size_t>(kEndOfIds) - 1) {
    throw Error(ErrorKind::kInternal, "too many merges");
  }
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
  if (results_come_before_uses(merges)) words_end_ = static_cast<std::uint32_t>(first_joining);
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
  encode_below(piece, kNoRank, scratch, out);
}

void Bpe::encode_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
  encode_below(word, words_end_, scratch, out);
}

void Bpe::join_words(std::span<const TokenId> tokens, Scratch& scratch, std::vector<TokenId>& out) const {
  scratch.ids_.assign(tokens.begin(), tokens.end());
  scratch.ranks_.resize(tokens.size());
  bool any = false;
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    scratch.ranks_[i] = rank_of(tokens[i], tokens[i + 1]);
    any |= scratch.ranks_[i] != kNoRank;
  }
  if (!any) {
    out.insert(out.end(), tokens.begin(), tokens.end());
    return;
  }
  scratch.ranks_.back() = kNoRank;
  merge(kNoRank, scratch, out);
}

void Bpe::encode_below(std::string_view piece, std::uint32_t end, Scratch& scratch,
                       std::vector<TokenId>& out) const {
  const std::size_t n = piece.size();
  if (n == 0) return;
  if (n >= kNowhere) {
    throw Error(ErrorKind::kBadInput,
                "expected fewer than 2^32 - 1 bytes in one piece, found " + std::to_string(n));
  }
  const auto byte = [piece](std::size_t i) { return std::size_t{static_cast<unsigned char>(piece[i])}; };
  scratch.ids_.resize(n);
  scratch.ranks_.resize(n);
  for (std::size_t i = 0; i + 1 < n; ++i) {
    scratch.ids_[i] = byte_ids_[byte(i)];
    const std::uint32_t rank = byte_pair_rank_[byte(i) << 8 | byte(i + 1)];
    scratch.ranks_[i] = rank < end ? rank : kNoRank;
  }
  scratch.ids_[n - 1] = byte_ids_[byte(n - 1)];
  scratch.ranks_[n - 1] = kNoRank;
  merge(end, scratch, out);
}

void Bpe::merge(std::uint32_t end, Scratch& scratch, std::vector<TokenId>& out) const {
  if (scratch.ids_.size() <= kMaxShortPiece) {
    merge_short(end, scratch, out);
  } else {
    merge_long(end, scratch, out);
  }
}

void Bpe::merge_short(std::uint32_t end_rank, Scratch& scratch, std::vector<TokenId>& out) const {
  const std::size_t n = scratch.ids_.size();
  TokenId* const ids = scratch.ids_.data();
  // words[i]: rank << kPlaceBits | i for the pair whose left symbol starts at i; kNowhere where none can
  // merge. Symbols stay at their first place: ends[i] is where the one at i ends, starts[e] where the one
  // ending at e starts.
  std::uint32_t words[kMaxShortPiece + 1];
  std::uint16_t ends[kMaxShortPiece + 1];
  std::uint16_t starts[kMaxShortPiece + 2];
  std::uint32_t block_best[(kMaxShortPiece + 1) / kBlock];

  const auto word = [](std::uint32_t rank, std::size_t place) {
    return rank == kNoRank ? kNowhere : rank << kPlaceBits | static_cast<std::uint32_t>(place);
  };
  for (std::size_t i = 0; i < n; ++i) {
    ends[i] = static_cast<std::uint16_t>(i + 1);
    starts[i + 1] = static_cast<std::uint16_t>(i);
    words[i] = word(scratch.ranks_[i], i);
  }
  const std::size_t n_blocks = (n + kBlock - 1) / kBlock;
  if (n_blocks > 1) {
    std::fill(words + n, words + n_blocks * kBlock, kNowhere);
    for (std::size_t b = 0; b < n_blocks; ++b) block_best[b] = smallest(words + b * kBlock, kBlock);
  }

  const auto refresh = [&](std::size_t place) {
    if (n_blocks > 1) block_best[place / kBlock] = smallest(words + place / kBlock * kBlock, kBlock);
  };
  const auto pair_word = [&](std::size_t left, std::size_t right) {
    const std::uint32_t rank = rank_of(ids[left], ids[right]);
    return rank < end_rank ? word(rank, left) : kNowhere;
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
    words[right] = kNowhere;
    // The table is larger than the nearer caches: both look-ups should wait for memory at the same time.
    if (left > 0) __builtin_prefetch(&slots_[slot_of(pair_key(ids[starts[left]], ids[left]), shift_)]);
    words[left] = end < n ? pair_word(left, end) : kNowhere;
    refresh(right);
    if (right / kBlock != left / kBlock) refresh(left);
    if (left > 0) {
      const std::size_t before = starts[left];
      words[before] = pair_word(before, left);
      refresh(before);
    }
  }
  for (std::size_t i = 0; i < n; i = ends[i]) out.push_back(ids[i]);
}

void Bpe::merge_long(std::uint32_t end_rank, Scratch& scratch, std::vector<TokenId>& out) const {
  const std::size_t n = scratch.ids_.size();
  auto& ids = scratch.ids_;
  auto& ranks = scratch.ranks_;
  auto& links = scratch.links_;
  auto& heap = scratch.heap_;
  links.resize(n);
  heap.clear();
  for (std::size_t i = 0; i < n; ++i) {
    links[i] = {i == 0 ? kNowhere : static_cast<std::uint32_t>(i - 1),
                i + 1 == n ? kNowhere : static_cast<std::uint32_t>(i + 1)};
    if (ranks[i] != kNoRank) heap.push_back(std::uint64_t{ranks[i]} << 32 | i);
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto update = [&](std::uint32_t place) {
    const std::uint32_t next = links[place].next;
    const std::uint32_t rank = next == kNowhere ? kNoRank : rank_of(ids[place], ids[next]);
    ranks[place] = rank < end_rank ? rank : kNoRank;
    if (ranks[place] == kNoRank) return;
    heap.push_back(std::uint64_t{rank} << 32 | place);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    const std::uint64_t best = heap.front();
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    const auto place = static_cast<std::uint32_t>(best);
    // An entry whose pair has changed since is stale: its symbol now carries another rank.
    if (ranks[place] != best >> 32) continue;
    const std::uint32_t right = links[place].next;
    ids[place] = result_of_rank_[ranks[place]];
    ranks[right] = kNoRank;
    links[place].next = links[right].next;
    if (links[place].next != kNowhere) links[links[place].next].previous = place;
    update(place);
    if (links[place].previous != kNowhere) update(links[place].previous);
  }
  for (std::uint32_t i = 0; i != kNowhere; i = links[i].next) out.push_back(ids[i]);
}

}  // namespace exa
