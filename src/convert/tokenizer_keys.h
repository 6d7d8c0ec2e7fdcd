// The keys tokenizer.* of a GGUF file from a Hugging Face folder's tokenizer files.
//
// Ownership and threads: a free function.
// Source: exaone-models specification 5.1, 5.4.
#pragma once

#include <cstdint>

#include "convert/gguf_metadata.h"
#include "formats/checkpoint.h"

namespace exa {

// From tokenizer.json, else vocab.json with merges.txt; special ids from tokenizer_config.json, else
// config.json. vocab: the embedding's rows; ids nobody names become "[PADn]". Errors: kBadInput for a missing
// or broken tokenizer, or ids past vocab; kUnsupported for a tokenizer that is not the family's.
void add_tokenizer_keys(const Checkpoint& checkpoint, std::int64_t vocab, GgufMetadata& metadata);

}  // namespace exa
