#include "text/tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "text/encoder.h"
#include "text/loaded_tokenizer.h"
#include "text/utf8.h"

namespace exa {
namespace {

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{256} << 20;

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::from_json_file(const std::filesystem::path& tokenizer_json) {
  TokenizerParts parts =
      read_tokenizer_json(read_text_file(tokenizer_json, kMaxFileBytes), tokenizer_json.string());
  const auto config = tokenizer_json.parent_path() / "tokenizer_config.json";
  if (std::filesystem::exists(config)) {
    read_tokenizer_config(read_text_file(config, kMaxFileBytes), config.string(), false, parts);
  }
  return Tokenizer(std::make_unique<Impl>(Impl{LoadedTokenizer::assemble(parts)}));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, std::span<const TextSpan> spans) const {
  if (const std::size_t bad = find_invalid_utf8(text); bad != std::string_view::npos) {
    throw Error(ErrorKind::kBadInput, "expected UTF-8, found an ill-formed sequence",
                "text, byte " + std::to_string(bad));
  }
  std::vector<TextRange> admitted;
  std::size_t covered = 0;
  for (const TextSpan& span : spans) {
    if (span.begin != covered || span.end < span.begin || span.end > text.size()) {
      throw Error(ErrorKind::kInternal, "expected spans that cover the text in order, found one from " +
                                            std::to_string(span.begin) + " to " + std::to_string(span.end) +
                                            " after byte " + std::to_string(covered));
    }
    covered = span.end;
    if (span.origin != TextOrigin::kTemplate || span.begin == span.end) continue;
    if (!admitted.empty() && admitted.back().end == span.begin) {
      admitted.back().end = span.end;
    } else {
      admitted.push_back({span.begin, span.end});
    }
  }
  if (covered != text.size()) {
    throw Error(ErrorKind::kInternal, "expected spans up to byte " + std::to_string(text.size()) +
                                          ", found " + std::to_string(covered));
  }
  return encode_text(impl_->loaded, text, admitted);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool parse_special) const {
  const TextSpan whole{0, text.size(), parse_special ? TextOrigin::kTemplate : TextOrigin::kData};
  return encode(text, std::span(&whole, 1));
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  if (!impl_->loaded.vocabulary.contains(id)) {
    throw Error(ErrorKind::kBadInput, "expected a token id from 0 to " + std::to_string(vocab_size() - 1) +
                                          ", found " + std::to_string(id));
  }
  return impl_->loaded.vocabulary.bytes(id);
}

TokenKind Tokenizer::kind(TokenId id) const {
  token_bytes(id);
  return impl_->loaded.vocabulary.kind(id);
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string bytes;
  for (const TokenId id : ids) bytes += token_bytes(id);
  if (find_invalid_utf8(bytes) == std::string_view::npos) return bytes;
  std::string text;
  append_replacing_invalid(text, bytes);
  return text;
}

std::size_t Tokenizer::vocab_size() const {
  return impl_->loaded.vocabulary.size();
}

std::optional<TokenId> Tokenizer::find(std::string_view literal) const {
  const LoadedTokenizer& loaded = impl_->loaded;
  for (const AddedTokens* added : {&loaded.raw_added, &loaded.normalized_added}) {
    if (const auto id = added->find_whole(literal)) return id;
  }
  return loaded.vocabulary.find(literal);
}

std::optional<TokenId> Tokenizer::bos() const {
  return impl_->loaded.bos;
}
std::optional<TokenId> Tokenizer::eos() const {
  return impl_->loaded.eos;
}
std::span<const TokenId> Tokenizer::end_of_generation() const {
  return impl_->loaded.end_of_generation;
}

bool Tokenizer::ends_generation(TokenId id) const {
  const auto& ends = impl_->loaded.end_of_generation;
  return std::find(ends.begin(), ends.end(), id) != ends.end();
}

std::string Tokenizer::description() const {
  const LoadedTokenizer& loaded = impl_->loaded;
  std::size_t counts[4] = {};
  for (std::size_t id = 0; id < loaded.vocabulary.size(); ++id) {
    ++counts[static_cast<std::size_t>(loaded.vocabulary.kind(static_cast<TokenId>(id)))];
  }
  const auto count = [&counts](TokenKind kind) {
    return std::to_string(counts[static_cast<std::size_t>(kind)]);
  };
  return "gpt2 · " + std::string(name(loaded.splitter)) + " · " + std::string(name(loaded.normalization)) +
         " (" + count(TokenKind::kNormal) + " normal, " + count(TokenKind::kControl) + " control, " +
         count(TokenKind::kUserDefined) + " user-defined, " + count(TokenKind::kUnused) + " unused)";
}

std::string StreamDecoder::push(TokenId id) {
  pending_ += tokenizer_->token_bytes(id);
  const std::size_t complete = pending_.size() - incomplete_tail(pending_);
  std::string text;
  append_replacing_invalid(text, std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text;
  append_replacing_invalid(text, pending_);
  pending_.clear();
  return text;
}

}  // namespace exa
