// What a path of prompts means to the backend and to the decoder.
//
// Ownership and threads: pure functions. Source: PromptPath.
#pragma once

#include "exaone/engine.h"
#include "kernels/backend.h"
#include "model/decoder.h"

namespace exa {

inline PromptSpeed prompt_speed(PromptPath path) {
  return path == PromptPath::kFast ? PromptSpeed::kFast : PromptSpeed::kUsual;
}

inline Role prompt_role(PromptPath path) {
  return path == PromptPath::kDeterministic ? Role::kGenerated : Role::kPrompt;
}

}  // namespace exa
