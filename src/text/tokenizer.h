// Text to token ids and back, equal to Hugging Face's tokenizer for every EXAONE generation.
//
// Byte-level BPE: added tokens are cut out first, then Unicode normalisation (none, NFC, NFKC), then a splitter
// (three hand-written pre-tokenizers), then merges by rank in O(n log n).
// Ownership and threads: immutable after loading; encode and decode may be called from several threads at once.
// StreamDecoder belongs to one stream.
// Source: tokenizer.json (Hugging Face tokenizers), GGUF keys tokenizer.ggml.*, exaone-models specification 5.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"

namespace exa {

using TokenId = std::int32_t;

// Where a stretch of prompt text comes from: decides which added tokens may match in it.
enum class TextOrigin : std::uint8_t {
  kTemplate,  // literal template text: every added token
  kData,      // what a user, a tool or the model wrote: only whitespace runs, no control tokens, no tags
};

struct TextSpan {
  std::size_t begin;  // byte offsets into the joined text, half-open; spans are sorted and cover the text
  std::size_t end;
  TextOrigin origin;
};

enum class TokenKind : std::uint8_t { kNormal, kControl, kUserDefined, kUnused };

class Tokenizer {
 public:
  // From GGUF metadata or the folder's tokenizer.json (a folder without one: vocab.json + merges.txt +
  // tokenizer_config.json). Errors: kBadInput (key or JSON path, expected, found), kUnsupported (not a byte-level
  // BPE of a known kind), kBadInput "no tokenizer in …".
  static Tokenizer from_checkpoint(const Checkpoint& checkpoint);
  static Tokenizer from_json_file(const std::filesystem::path& tokenizer_json);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // The ids Hugging Face gives for the whole text with add_special_tokens=False. An added token matches only if the
  // bytes it covers all lie in spans whose origin admits it. Errors: kBadInput for invalid UTF-8 (byte offset).
  std::vector<TokenId> encode(std::string_view text, std::span<const TextSpan> spans) const;
  // One span. parse_special = false is TextOrigin::kData.
  std::vector<TokenId> encode(std::string_view text, bool parse_special) const;

  // The bytes of one token: may be part of a UTF-8 sequence. Errors: kBadInput for an id outside the vocabulary.
  std::string_view token_bytes(TokenId id) const;
  TokenKind kind(TokenId id) const;
  // The concatenated bytes; invalid UTF-8 sequences become U+FFFD as Hugging Face's decode does.
  std::string decode(std::span<const TokenId> ids) const;

  std::size_t vocab_size() const;
  // Id of an added or ordinary token by its literal text; nothing where there is none.
  std::optional<TokenId> find(std::string_view literal) const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  // Ids that end a generation (exaone-models specification 5.5): eos, "[EOS]", "<|endoftext|>" / fim_pad by text.
  std::span<const TokenId> end_of_generation() const;
  bool ends_generation(TokenId id) const;
  // For `inspect`: "gpt2 · exaone4 · none" (model, splitter, normaliser), counts a kind.
  std::string description() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Turns token ids into text piece by piece: a piece never ends inside a UTF-8 sequence.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  // The text that became complete with this token; may be empty.
  std::string push(TokenId id);
  // What is still held back, broken sequences as U+FFFD; leaves the decoder empty.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
};

}  // namespace exa
