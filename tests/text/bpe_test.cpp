#include "text/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <random>

#include "base/error.h"

namespace exa {
namespace {

// Bytes are their own ids; the result of merge r is 256 + r.
std::array<TokenId, 256> identity() {
  std::array<TokenId, 256> ids{};
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<TokenId>(i);
  return ids;
}

struct RandomMerges {
  std::vector<Bpe::Merge> merges;
  std::vector<std::string> bytes;  // of each id
  std::size_t first_joining;
};

// Merges over a small alphabet with spaces; words first where `joining_late`, as in a superword vocabulary.
RandomMerges random_merges(std::mt19937& random, std::size_t n, bool joining_late) {
  RandomMerges made;
  const std::string alphabet = "abc  ";
  for (int i = 0; i < 256; ++i) made.bytes.emplace_back(1, static_cast<char>(i));
  std::vector<TokenId> usable(alphabet.begin(), alphabet.end());
  std::map<std::string, TokenId> known;
  for (const TokenId id : usable) known[made.bytes[static_cast<std::size_t>(id)]] = id;
  const auto joins = [](const std::string& s) {
    for (std::size_t i = 1; i < s.size(); ++i) {
      if (s[i] == ' ' && s[i - 1] != ' ') return true;
    }
    return false;
  };
  made.first_joining = n;
  while (made.merges.size() < n) {
    const TokenId left = usable[random() % usable.size()];
    const TokenId right = usable[random() % usable.size()];
    const std::string text =
        made.bytes[static_cast<std::size_t>(left)] + made.bytes[static_cast<std::size_t>(right)];
    if (text.size() > 12 || known.contains(text)) continue;
    if (joins(text)) {
      if (joining_late && made.merges.size() < n / 2) continue;
      made.first_joining = std::min(made.first_joining, made.merges.size());
    }
    const auto id = static_cast<TokenId>(made.bytes.size());
    known[text] = id;
    made.merges.push_back({left, right, id});
    made.bytes.push_back(text);
    usable.push_back(id);
  }
  return made;
}

// One merge after the other, each time the lowest rank anywhere and there the leftmost.
std::vector<TokenId> naive(const std::vector<Bpe::Merge>& merges, std::string_view piece) {
  std::vector<TokenId> ids;
  for (const char c : piece) ids.push_back(static_cast<unsigned char>(c));
  for (std::size_t rank = 0; rank < merges.size();) {
    bool found = false;
    for (std::size_t i = 0; i + 1 < ids.size() && !found; ++i) {
      if (ids[i] != merges[rank].left || ids[i + 1] != merges[rank].right) continue;
      ids[i] = merges[rank].result;
      ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      found = true;
    }
    rank = found ? 0 : rank + 1;
  }
  return ids;
}

std::string random_piece(std::mt19937& random, std::size_t length) {
  std::string piece;
  for (std::size_t i = 0; i < length; ++i) piece += "aabbc  "[random() % 7];
  return piece;
}

std::vector<TokenId> by_words(const Bpe& bpe, std::string_view piece, Bpe::Scratch& scratch) {
  std::vector<TokenId> parts;
  for (std::size_t begin = 0; begin < piece.size();) {
    std::size_t end = begin + 1;
    while (end < piece.size() && (piece[end] != ' ' || piece[end - 1] == ' ')) ++end;
    bpe.encode_word(piece.substr(begin, end - begin), scratch, parts);
    begin = end;
  }
  std::vector<TokenId> out;
  bpe.join_words(parts, scratch, out);
  return out;
}

TEST(Bpe, EqualsTheNaiveMerge) {
  std::mt19937 random(3);
  int n_split = 0;
  for (int round = 0; round < 60; ++round) {
    const RandomMerges made = random_merges(random, 20 + random() % 60, round % 2 == 0);
    const Bpe bpe(identity(), made.merges, made.first_joining);
    Bpe::Scratch scratch;
    for (int i = 0; i < 60; ++i) {
      // Lengths on both sides of one block of 64.
      const std::string piece = random_piece(random, 1 + random() % (i % 10 == 0 ? 200 : 30));
      const auto expected = naive(made.merges, piece);
      std::vector<TokenId> ids;
      bpe.encode(piece, scratch, ids);
      ASSERT_EQ(ids, expected) << piece;
      if (!bpe.splits_words()) continue;
      ++n_split;
      ASSERT_EQ(by_words(bpe, piece, scratch), expected) << piece;
    }
  }
  EXPECT_GT(n_split, 500);
}

// Long pieces go through a heap: they must give what the naive merge gives, and what short pieces give.
TEST(Bpe, LongPiecesEqualTheNaiveMerge) {
  std::mt19937 random(4);
  for (int round = 0; round < 8; ++round) {
    const RandomMerges made = random_merges(random, 40, true);
    const Bpe bpe(identity(), made.merges, made.first_joining);
    Bpe::Scratch scratch;
    for (const std::size_t length : {2047u, 2048u, 3000u}) {
      const std::string piece = random_piece(random, length);
      std::vector<TokenId> ids;
      bpe.encode(piece, scratch, ids);
      ASSERT_EQ(ids, naive(made.merges, piece));
      if (bpe.splits_words()) {
        ASSERT_EQ(by_words(bpe, piece, scratch), ids);
      }
    }
  }
}

// A merge that takes a token made only later: encoding by words would give something else.
TEST(Bpe, DoesNotSplitWordsWhereRanksRunBackwards) {
  const std::vector<Bpe::Merge> merges = {{'b', 'b', 256}, {257, ' ', 258}, {'a', 'b', 257}};
  EXPECT_FALSE(Bpe(identity(), merges, 2).splits_words());
  EXPECT_TRUE(Bpe(identity(), std::vector<Bpe::Merge>{merges[0], {'a', 'b', 257}, {257, ' ', 258}}, 2)
                  .splits_words());
}

TEST(Bpe, AMegabyteInOnePiece) {
  const std::vector<Bpe::Merge> merges = {{'a', 'a', 256}, {256, 256, 257}, {257, 257, 258}, {258, 258, 259}};
  const Bpe bpe(identity(), merges, merges.size());
  Bpe::Scratch scratch;
  std::vector<TokenId> ids;
  const std::clock_t start = std::clock();
  bpe.encode(std::string(1 << 20, 'a'), scratch, ids);
  EXPECT_EQ(ids, std::vector<TokenId>((1 << 20) / 16, 259));
  EXPECT_LT(std::clock() - start, 20 * CLOCKS_PER_SEC);
}

TEST(Bpe, RefusesTwoMergesOfOnePair) {
  const std::vector<Bpe::Merge> merges = {{'a', 'b', 256}, {'a', 'b', 257}};
  EXPECT_THROW(Bpe(identity(), merges, 2), Error);
}

}  // namespace
}  // namespace exa
