// Which sampling values a request gets: its own where set, else what the checkpoint states, else the model
// card's.
//
// Ownership and threads: values and pure functions.
// Source: generation_config.json and model cards of EXAONE 4.0 and 4.5; exaone-models specification 1.3
// and 11.
#pragma once

#include <cstdint>

#include "engine/sampler.h"
#include "exaone/engine.h"
#include "model/config.h"
#include "text/tokenizer.h"

namespace exa {

// How the model cards differ.
enum class SamplingCard { kExaone40, kExaone45 };

// 4.5 is told by its end-of-turn token: architecture names are shared (both are "exaone4" in GGUF),
// vocabularies are cut or extended, templates are replaced, but the turn's end is spelled "[|endofturn|]"
// by 4.0 and "<|endofturn|>" since.
SamplingCard sampling_card(const Tokenizer& tokenizer);

// All fields set but seed. stated.do_sample = false is temperature 0.
SamplingOptions sampling_defaults(SamplingCard card, const StatedSampling& stated, bool thinking);

// Errors: kUsage naming the field, its range and the value found; for logit_bias also an id outside [0,
// vocab).
void check_sampling(const SamplingOptions& options, std::int64_t vocab);

// Field by field from `request`, else from `defaults`. An unset seed is drawn from the clock.
SamplingValues effective_sampling(const SamplingOptions& request, const SamplingOptions& defaults);

}  // namespace exa
