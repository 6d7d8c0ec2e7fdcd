#include "text/encoder.h"

#include <algorithm>
#include <string>

#include "text/word_cache.h"

namespace exa {
namespace {

class Encoder {
 public:
  Encoder(const LoadedTokenizer& tokenizer, std::size_t text_bytes, std::vector<TokenId>& out)
      : tokenizer_(tokenizer), out_(out), splitter_(tokenizer.splitter), cache_(text_bytes) {}

  void encode(std::string_view text, std::span<const TextRange> admitted) {
    Admission admission(admitted);
    AddedTokens::Match match{};
    std::size_t done = 0;
    while (tokenizer_.raw_added.find(text, done, admission, match)) {
      encode_stretch(text, done, match.begin, admitted);
      out_.push_back(match.id);
      done = match.end;
    }
    encode_stretch(text, done, text.size(), admitted);
  }

 private:
  // Raw text between two added tokens: normalised, searched again, cut.
  void encode_stretch(std::string_view text, std::size_t begin, std::size_t end,
                      std::span<const TextRange> admitted) {
    if (begin == end) return;
    std::string_view stretch = text.substr(begin, end - begin);
    const bool search = !tokenizer_.normalized_added.empty();
    const bool changed = normalize(stretch, tokenizer_.normalization, normal_, search ? &chunks_ : nullptr);
    if (changed) stretch = normal_;
    if (!search) {
      encode_pieces(stretch);
      return;
    }
    if (!changed) chunks_.clear();
    map_admitted(admitted, begin, end);
    Admission admission(local_);
    AddedTokens::Match match{};
    std::size_t done = 0;
    while (tokenizer_.normalized_added.find(stretch, done, admission, match)) {
      encode_pieces(stretch.substr(done, match.begin - done));
      out_.push_back(match.id);
      done = match.end;
    }
    encode_pieces(stretch.substr(done));
  }

  // Sets local_ to the admitted ranges of text[begin, end) in places of its normalised form. A changed chunk
  // counts as admitted only if all of its source is.
  void map_admitted(std::span<const TextRange> admitted, std::size_t begin, std::size_t end) {
    local_.clear();
    auto chunk = chunks_.begin();
    // How far the normalised text is ahead of the source, in front of `chunk`.
    std::ptrdiff_t shift = 0;
    const auto place = [&](std::size_t source, bool round_up) {
      while (chunk != chunks_.end() && chunk->source_end <= source) {
        shift = static_cast<std::ptrdiff_t>(chunk->end) - static_cast<std::ptrdiff_t>(chunk->source_end);
        ++chunk;
      }
      if (chunk != chunks_.end() && chunk->source_begin < source) return round_up ? chunk->end : chunk->begin;
      return static_cast<std::size_t>(static_cast<std::ptrdiff_t>(source) + shift);
    };
    auto range = std::lower_bound(admitted.begin(), admitted.end(), begin,
                                  [](const TextRange& r, std::size_t at) { return r.end <= at; });
    for (; range != admitted.end() && range->begin < end; ++range) {
      const std::size_t from = place(std::max(range->begin, begin) - begin, true);
      const std::size_t to = place(std::min(range->end, end) - begin, false);
      if (from < to) local_.push_back({from, to});
    }
  }

  void encode_pieces(std::string_view text) {
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = splitter_.piece_end(text, begin);
      encode_piece(text.substr(begin, end - begin));
      begin = end;
    }
  }

  void encode_piece(std::string_view piece) {
    if (tokenizer_.ignore_merges) {
      if (const auto whole = tokenizer_.vocabulary.find(piece)) {
        out_.push_back(*whole);
        return;
      }
    }
    const std::size_t second = next_word(piece, 0);
    if (second == piece.size() || !tokenizer_.bpe.splits_words()) {
      encode_word(piece, WordKind::kPiece, out_);
      return;
    }
    parts_.clear();
    std::size_t begin = 0;
    for (std::size_t end = second; begin < piece.size(); end = next_word(piece, begin)) {
      encode_word(piece.substr(begin, end - begin), WordKind::kPart, parts_);
      begin = end;
    }
    tokenizer_.bpe.join_words(parts_, scratch_, out_);
  }

  // Where the word after the one that starts at `begin` starts.
  static std::size_t next_word(std::string_view piece, std::size_t begin) {
    std::size_t i = begin + 1;
    while (i < piece.size() && !starts_word(piece, i)) ++i;
    return i;
  }

  void encode_word(std::string_view word, WordKind kind, std::vector<TokenId>& out) {
    const bool remember = cache_.takes(word);
    if (remember && cache_.append(word, kind, out)) return;
    const std::size_t before = out.size();
    if (kind == WordKind::kPart) {
      tokenizer_.bpe.encode_word(word, scratch_, out);
    } else {
      tokenizer_.bpe.encode(word, scratch_, out);
    }
    if (remember) cache_.store(word, std::span(out).subspan(before));
  }

  const LoadedTokenizer& tokenizer_;
  std::vector<TokenId>& out_;
  Splitter splitter_;
  WordCache cache_;
  Bpe::Scratch scratch_;
  std::vector<TokenId> parts_;  // of the words of one piece
  std::string normal_;
  std::vector<NormalizedChunk> chunks_;
  std::vector<TextRange> local_;
};

}  // namespace

std::vector<TokenId> encode_text(const LoadedTokenizer& tokenizer, std::string_view text,
                                 std::span<const TextRange> admitted) {
  std::vector<TokenId> ids;
  ids.reserve(text.size() / 4 + 8);
  Encoder(tokenizer, text.size(), ids).encode(text, admitted);
  return ids;
}

}  // namespace exa
