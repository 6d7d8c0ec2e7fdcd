// An engine over one of the tiny models, and questions to it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "engine/tiny_models.h"
#include "exaone/engine.h"

namespace exa {

inline std::unique_ptr<Engine> load(const std::string& name, int n_threads = 2, std::int64_t context_tokens = 512) {
  EngineOptions options;
  options.model = tiny_model(name);
  options.n_threads = n_threads;
  options.context_tokens = context_tokens;
  return Engine::load(options);
}

inline GenerateRequest question(const std::string& text, std::int64_t max_tokens, double temperature = 0) {
  GenerateRequest request;
  request.messages = {{"user", text}};
  request.max_tokens = max_tokens;
  request.sampling.temperature = temperature;
  request.sampling.presence_penalty = 0;
  request.sampling.seed = 11;
  return request;
}

inline std::string all_text(const Answer& answer) {
  return answer.reasoning + "|" + answer.content;
}

inline Error failure(Engine& engine, const GenerateRequest& request) {
  try {
    engine.generate(request, {});
  } catch (const Error& error) {
    return error;
  }
  return {ErrorKind::kInternal, "nothing was thrown"};
}

}  // namespace exa
