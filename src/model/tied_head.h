// What a Hugging Face folder's tensors say about tying, beside what its config says.
//
// Ownership and threads: a pure function that reads tensors.
// Source: transformers' tie_weights: a head that is stored beside the embedding and differs from it is kept,
// whatever tie_word_embeddings says.
#pragma once

#include "formats/checkpoint.h"

namespace exa {

// True where both tensors hold the same numbers in the same shape, in whatever float types. Reads both, as
// far as they agree. Errors: as Checkpoint::read.
bool hold_same_numbers(const Checkpoint& checkpoint, const TensorInfo& a, const TensorInfo& b);

}  // namespace exa
