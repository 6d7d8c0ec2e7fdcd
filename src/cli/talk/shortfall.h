// What a person has to be told of an answer that is less than it seems: cut, or thoughts alone.
//
// Ownership and threads: a pure function.
#pragma once

#include <string>

#include "exaone/engine.h"

namespace exa {

// "cut after 20 tokens, all of them thinking; -n allows more", "the model only thought and gave no answer";
// empty for a whole answer. more: how the person allows more tokens, "-n allows more".
std::string shortfall(const Answer& answer, const GenerateRequest& request, const ModelInfo& info,
                      const std::string& more);

// Errors: kIncomplete where the answer lacks what the request demanded of it.
void require_satisfied(const Answer& answer, const GenerateRequest& request, const std::string& shortfall);

}  // namespace exa
