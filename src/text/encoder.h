// The walk from text to ids: added tokens, normalisation, pieces, merges.
//
// Ownership and threads: a pure function of immutable data.
// Source: the pipeline of Hugging Face's tokenizers; exaone-models specification 5 and 11.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"
#include "text/loaded_tokenizer.h"

namespace exa {

// The ids of valid UTF-8. Inside `admitted` (sorted, apart) every added token may match, elsewhere
// white-space runs.
std::vector<TokenId> encode_text(const LoadedTokenizer& tokenizer, std::string_view text,
                                 std::span<const TextRange> admitted);

}  // namespace exa
