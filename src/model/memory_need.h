// What running a model takes of memory, told from its headers alone: an engine sizes its context with it
// before anything is loaded, and inspect says the same numbers.
//
// Ownership and threads: values and pure functions.
// Source: exaone-models specification 2.7 (cache sizes), 4.2 (the tower's activations).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "model/config.h"
#include "model/vision_config.h"

namespace exa {

// Rows of a step at most: a chunk of a prompt.
inline constexpr std::int64_t kStepRows = 512;

struct MemoryNeed {
  std::int64_t context_tokens = 0;
  std::size_t weight_bytes = 0;             // the text decoder's matrices as they are packed
  std::size_t activation_bytes = 0;         // of a step, with one row of logits
  std::size_t vision_weight_bytes = 0;      // the tower's matrices; it is loaded with the first picture
  std::size_t vision_activation_bytes = 0;  // of pictures that it encodes together, at most
  std::size_t kv_bytes = 0;                 // keys and values at context_tokens

  // All but keys and values.
  std::size_t fixed_bytes() const {
    return weight_bytes + activation_bytes + vision_weight_bytes + vision_activation_bytes;
  }
  std::size_t total_bytes() const { return fixed_bytes() + kv_bytes; }
};

// A tower and the file it is in.
struct VisionSource {
  const Checkpoint& checkpoint;
  const VisionConfig& config;
};

// vision: none where pictures are not taken. Errors: those of family_of, kUnsupported and kMemory of
// Backend::packed_bytes.
MemoryNeed memory_need(const Checkpoint& checkpoint, const ModelConfig& config,
                       const std::optional<VisionSource>& vision, const Backend& backend, KvType kv_type,
                       std::int64_t context_tokens);

}  // namespace exa
