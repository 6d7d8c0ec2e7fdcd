#include <algorithm>
#include <string>

#include "base/error.h"
#include "text/loaded_tokenizer.h"
#include "text/utf8.h"
#include "text/word_cache.h"

namespace exa {
namespace {

std::string in_quotes(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

std::size_t vocabulary_size(const TokenizerParts& parts) {
  std::size_t size = parts.min_vocabulary;
  const auto see = [&](TokenId id) {
    if (id < 0 || id >= TokenizerParts::kMaxVocabulary) {
      throw Error(ErrorKind::kBadInput, "expected ids from 0 to 2097151, found " + std::to_string(id),
                  parts.where);
    }
    size = std::max(size, static_cast<std::size_t>(id) + 1);
  };
  for (const auto& token : parts.ordinary) see(token.id);
  for (const auto& token : parts.added) see(token.id);
  return size;
}

bool is_run_of(std::string_view text, char c) {
  return std::all_of(text.begin(), text.end(), [c](char other) { return other == c; });
}

void check_added(const TokenizerParts& parts) {
  for (const auto& token : parts.added) {
    const std::string where = parts.where + ", added token " + std::to_string(token.id);
    if (token.text.empty() || token.text.size() > AddedTokens::kMaxTokenBytes) {
      throw Error(ErrorKind::kBadInput,
                  "expected 1 to 1024 bytes, found " + std::to_string(token.text.size()), where);
    }
    if (find_invalid_utf8(token.text) != std::string_view::npos) {
      throw Error(ErrorKind::kBadInput, "expected UTF-8, found other bytes", where);
    }
  }
}

// What the text must say for the token to match; the token decodes to it too.
std::string matched_text(const TokenizerParts::Added& token, const TokenizerParts& parts) {
  std::string normal;
  if (token.normalized && normalize(token.text, parts.normalization, normal)) return normal;
  return token.text;
}

Vocabulary read_vocabulary(const TokenizerParts& parts) {
  Vocabulary vocabulary(vocabulary_size(parts));
  std::vector<const TokenizerParts::Added*> added_of(vocabulary.size(), nullptr);
  std::vector<bool> seen(vocabulary.size(), false);
  for (const auto& token : parts.added) {
    auto& slot = added_of[static_cast<std::size_t>(token.id)];
    if (slot) {
      throw Error(ErrorKind::kBadInput,
                  "expected one added token for id " + std::to_string(token.id) + ", found " +
                      in_quotes(slot->text) + " and " + in_quotes(token.text),
                  parts.where);
    }
    slot = &token;
  }
  std::string bytes;
  for (const auto& token : parts.ordinary) {
    const auto index = static_cast<std::size_t>(token.id);
    const std::string_view printable = parts.text(token.printable);
    if (seen[index]) {
      throw Error(ErrorKind::kBadInput,
                  "expected one token for id " + std::to_string(token.id) +
                      ", found another: " + in_quotes(printable),
                  parts.where);
    }
    seen[index] = true;
    if (added_of[index]) {
      if (added_of[index]->text == printable) continue;
      throw Error(ErrorKind::kBadInput,
                  "expected one text for id " + std::to_string(token.id) + ", found " + in_quotes(printable) +
                      " in the vocabulary and " + in_quotes(added_of[index]->text) +
                      " among the added tokens",
                  parts.where);
    }
    bytes.clear();
    const bool spelled = append_alphabet_bytes(bytes, printable);
    // A token that no bytes spell cannot come from text; it still decodes to what it says.
    if (!spelled) bytes = printable;
    if (!vocabulary.add(token.id, bytes, TokenKind::kNormal, spelled)) {
      throw Error(ErrorKind::kBadInput,
                  "expected each token once, found " + in_quotes(printable) + " with ids " +
                      std::to_string(*vocabulary.find(bytes)) + " and " + std::to_string(token.id),
                  parts.where);
    }
  }
  for (const auto& token : parts.added) {
    bytes.clear();
    if (append_alphabet_bytes(bytes, token.text)) {
      if (const auto other = vocabulary.find(bytes)) {
        throw Error(ErrorKind::kBadInput,
                    "expected one id for " + in_quotes(token.text) + ", found " + std::to_string(*other) +
                        " in the vocabulary and " + std::to_string(token.id) + " among the added tokens",
                    parts.where);
      }
    }
    vocabulary.add(token.id, matched_text(token, parts),
                   token.control ? TokenKind::kControl : TokenKind::kUserDefined, false);
  }
  return vocabulary;
}

// Whether the token spans the start of a word.
bool joins_words(std::string_view bytes) {
  for (std::size_t i = 1; i < bytes.size(); ++i) {
    if (starts_word(bytes, i)) return true;
  }
  return false;
}

Bpe read_merges(const TokenizerParts& parts, const Vocabulary& vocabulary) {
  std::array<TokenId, 256> byte_ids{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const auto id = vocabulary.find(std::string_view(&c, 1));
    if (!id) {
      throw Error(ErrorKind::kBadInput,
                  "expected a token for each of the 256 bytes, found none for byte " + std::to_string(byte),
                  parts.where);
    }
    byte_ids[byte] = *id;
  }
  if (parts.merges.size() >= static_cast<std::size_t>(TokenizerParts::kMaxVocabulary) - 1) {
    throw Error(ErrorKind::kBadInput,
                "expected fewer than 2097151 merges, found " + std::to_string(parts.merges.size()),
                parts.where);
  }
  std::vector<Bpe::Merge> merges;
  merges.reserve(parts.merges.size());
  std::string bytes;
  std::size_t first_joining = parts.merges.size();
  TokenId guess = -1;
  for (const auto& merge : parts.merges) {
    const auto fail = [&](std::string_view token) {
      throw Error(ErrorKind::kBadInput,
                  "expected merges of tokens in the vocabulary, found " + in_quotes(token),
                  parts.where + ", merge " + std::to_string(merges.size()));
    };
    bytes.clear();
    const bool left_spelled = append_alphabet_bytes(bytes, parts.text(merge.left));
    const std::size_t left_size = bytes.size();
    const auto left = left_spelled ? vocabulary.find(bytes) : std::nullopt;
    if (!left) fail(parts.text(merge.left));
    const bool right_spelled = append_alphabet_bytes(bytes, parts.text(merge.right));
    const auto right =
        right_spelled ? vocabulary.find(std::string_view(bytes).substr(left_size)) : std::nullopt;
    if (!right) fail(parts.text(merge.right));
    // Results usually follow each other in id, which saves the look-up.
    if (!vocabulary.contains(guess) || vocabulary.kind(guess) != TokenKind::kNormal ||
        vocabulary.bytes(guess) != bytes) {
      const auto found = vocabulary.find(bytes);
      if (!found) fail(std::string(parts.text(merge.left)) + std::string(parts.text(merge.right)));
      guess = *found;
    }
    if (first_joining > merges.size() && joins_words(bytes)) first_joining = merges.size();
    merges.push_back({*left, *right, guess});
    ++guess;
  }
  try {
    return Bpe(byte_ids, merges, first_joining);
  } catch (const Error& error) {
    throw Error(error.kind(), error.message(), parts.where);
  }
}

}  // namespace

LoadedTokenizer LoadedTokenizer::assemble(const TokenizerParts& parts) {
  check_added(parts);
  Vocabulary vocabulary = read_vocabulary(parts);
  Bpe bpe = read_merges(parts, vocabulary);
  LoadedTokenizer loaded{std::move(vocabulary),
                         std::move(bpe),
                         parts.splitter,
                         parts.normalization,
                         parts.ignore_merges,
                         {},
                         {},
                         {},
                         {},
                         {}};
  for (const auto& token : parts.added) {
    const bool everywhere = !token.control && (is_run_of(token.text, ' ') || is_run_of(token.text, '\t'));
    AddedTokens& set = token.normalized ? loaded.normalized_added : loaded.raw_added;
    if (!set.add(matched_text(token, parts), token.id, everywhere)) {
      throw Error(ErrorKind::kBadInput,
                  "expected each added token once, found " + in_quotes(token.text) + " again", parts.where);
    }
  }

  const auto control = [&](std::string_view text) -> std::optional<TokenId> {
    const auto found = std::find_if(parts.added.begin(), parts.added.end(), [text](const auto& token) {
      return token.control && token.text == text;
    });
    if (found == parts.added.end()) return std::nullopt;
    return found->id;
  };
  const auto known = [&](TokenId id, const char* what) {
    if (!loaded.vocabulary.contains(id)) {
      throw Error(ErrorKind::kBadInput,
                  "expected the id of the " + std::string(what) + " token below " +
                      std::to_string(loaded.vocabulary.size()) + ", found " + std::to_string(id),
                  parts.where);
    }
    return id;
  };
  loaded.bos = parts.bos ? known(*parts.bos, "bos") : control(parts.bos_text);
  if (!parts.eos.empty()) {
    loaded.eos = known(parts.eos.front(), "eos");
  } else {
    for (const std::string_view text : {std::string_view(parts.eos_text), std::string_view("[|endofturn|]"),
                                        std::string_view("<|endofturn|>")}) {
      if (!loaded.eos) loaded.eos = control(text);
    }
  }
  auto& ends = loaded.end_of_generation;
  if (loaded.eos) ends.push_back(*loaded.eos);
  for (const TokenId id : parts.eos) ends.push_back(known(id, "eos"));
  for (const char* text : {"[EOS]", "<|endoftext|>", "<|fim_pad|>"}) {
    if (const auto id = control(text)) ends.push_back(*id);
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  return loaded;
}

}  // namespace exa
