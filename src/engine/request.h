// A request made ready to run: all that can fail because of what it says is worked out before it waits for
// the model.
//
// Ownership and threads: a Preparer borrows tokenizer and sight, owns template and grammars, and prepares
// requests of several threads at once. A Prepared is a value.
// Source: Engine::generate's errors (exaone/engine.h).
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "chat/prompt.h"
#include "engine/answer_writer.h"
#include "engine/constraints.h"
#include "engine/sight.h"
#include "engine/token_cache.h"
#include "exaone/engine.h"
#include "formats/checkpoint.h"
#include "model/config.h"
#include "text/tokenizer.h"

namespace exa {

struct Prepared {
  std::vector<TokenId> ids;             // the prompt, at least one
  std::vector<TokenKey> keys;           // one a token
  std::vector<PlacedPicture> pictures;  // as far as headers tell
  bool begins_turn = true;              // later prompts of the conversation go back to where this one ends
  WriterOptions answer;
};

class Preparer {
 public:
  // sight: null where the model cannot see. Errors: those of the checkpoint's template and of
  // read_stated_sampling.
  Preparer(const Checkpoint& checkpoint, const Tokenizer& tokenizer, const Sight* sight);

  bool can_chat() const { return can_chat_; }  // the checkpoint has a chat template
  bool thinks_by_default() const;
  // As Engine::defaults.
  SamplingOptions defaults(bool thinking) const;

  // context_tokens: what prompt and answer share. Errors: Engine::generate's, but those of memory and of
  // pictures' contents.
  Prepared prepare(const GenerateRequest& request, std::int64_t context_tokens);

 private:
  Prompt build_prompt(const GenerateRequest& request, const nlohmann::ordered_json& tools) const;
  std::vector<Picture> look_at(const GenerateRequest& request) const;

  const Tokenizer* tokenizer_;
  const Sight* sight_;
  StatedSampling stated_;
  bool can_chat_;
  ThinkingTags tags_;
  PromptBuilder prompts_;
  Constraints constraints_;
};

}  // namespace exa
