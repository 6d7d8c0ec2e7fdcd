// Logits of chosen positions of a given text: the text goes through the decoder chunk by chunk, nothing is
// sampled.
//
// Ownership and threads: borrows the decoder; one thread.
// Source: what `exaone logits` and `exaone verify` compare with Hugging Face's forward pass.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "model/decoder.h"

namespace exa {

// Called for each wanted position in ascending order: index into `positions`, logits [vocab].
using OnLogits = std::function<void(std::size_t index, std::span<const float> logits)>;

// Appends ids to the cache (which may hold earlier ones) in chunks of `chunk` rows.
// positions: indices into ids, ascending; so are the rows of given, whose ids are placeholders. Errors:
// kBadInput for an id outside the vocabulary or a position outside ids.
void score(Decoder& decoder, KvCache& cache, std::span<const std::int32_t> ids,
           std::span<const std::int32_t> positions, std::int64_t chunk, const OnLogits& on_logits,
           Role role = Role::kPrompt, std::span<const GivenRow> given = {});

}  // namespace exa
