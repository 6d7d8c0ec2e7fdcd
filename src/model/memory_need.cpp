#include "model/memory_need.h"

#include "model/decoder.h"
#include "model/kv_cache.h"
#include "model/vision.h"
#include "model/vision_weights.h"
#include "model/weights.h"

namespace exa {

MemoryNeed memory_need(const Checkpoint& checkpoint, const ModelConfig& config,
                       const std::optional<VisionSource>& vision, const Backend& backend, KvType kv_type,
                       std::int64_t context_tokens) {
  MemoryNeed need;
  need.context_tokens = context_tokens;
  need.weight_bytes = weight_bytes(checkpoint, config, backend);
  need.activation_bytes = Decoder::activation_bytes(config, kStepRows);
  need.kv_bytes = KvCache::bytes_for(config, kv_type, kStepRows, context_tokens);
  if (vision) {
    need.vision_weight_bytes = vision_weight_bytes(vision->checkpoint, vision->config, backend);
    need.vision_activation_bytes = VisionTower::activation_bytes(vision->config);
  }
  return need;
}

}  // namespace exa
