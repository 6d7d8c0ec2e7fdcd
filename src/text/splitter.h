// The pre-tokenizers: cut text into the pieces inside which merges happen, exactly as the published regular
// expressions do, without a regex engine.
//
// Ownership and threads: immutable; piece_end is a pure function of its arguments.
// Source: exaone-models specification 5.2 and 5.3; the expressions are listed at SplitterKind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "text/unicode.h"

namespace exa {

enum class SplitterKind : std::uint8_t {
  kExaone,     // EXAONE 3.x: every \p{N} alone, then kExaone4 on each stretch between
  kExaone4,    // EXAONE 4.0: kGpt2Expression
  kExaoneMoe,  // EXAONE 4.5, K-EXAONE: kSuperwordExpression, whole clauses are one piece
};

inline constexpr std::string_view kGpt2Expression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kSuperwordExpression =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";

// The name GGUF gives it in tokenizer.ggml.pre: "exaone", "exaone4", "exaone-moe".
std::string_view name(SplitterKind kind);
std::optional<SplitterKind> splitter_from_name(std::string_view name);

class Splitter {
 public:
  explicit Splitter(SplitterKind kind) : kind_(kind) {}

  // End of the piece that starts at `begin` < text.size(); text is valid UTF-8 and begin a character's first
  // byte. Every byte belongs to a piece.
  std::size_t piece_end(std::string_view text, std::size_t begin) const;

 private:
  SplitterKind kind_;
  const CharTable* table_ = &CharTable::get();
};

}  // namespace exa
