#include "cli/measure/prompt_backend.h"

#include "base/error.h"
#include "engine/prompt_path.h"

namespace exa {

std::unique_ptr<Backend> make_backend(ThreadPool& pool, PromptPath path) {
  if (path == PromptPath::kFast && !has_fast_prompts()) {
    throw Error(ErrorKind::kUnsupported, "this machine has no such path: expected a processor with AMX",
                "--fast-prefill");
  }
  return make_cpu_backend(pool, prompt_speed(path));
}

}  // namespace exa
