#include "model/arch/vision_parts.h"

namespace exa {

std::int64_t vision_extent(VisionExtent which, const VisionConfig& config) {
  switch (which) {
    case VisionExtent::kHidden:
      return config.hidden;
    case VisionExtent::kQkv:
      return (config.n_heads + 2 * config.n_kv_heads) * config.head_dim;
    case VisionExtent::kFfn:
      return config.ffn_width;
    case VisionExtent::kCell:
      return config.hidden * config.patches_a_cell();
    case VisionExtent::kOut:
      return config.out_hidden;
    case VisionExtent::kNone:
      break;
  }
  return 1;
}

std::string vision_name(const VisionPart& part, std::int64_t block, bool gguf) {
  std::string prefix(gguf ? "" : kVisionPrefix);
  if (block >= 0) prefix += (gguf ? "v.blk." : "blocks.") + std::to_string(block) + ".";
  return prefix + std::string(gguf ? part.gguf : part.huggingface);
}

std::string gguf_patch_kernel(std::int64_t frame) {
  return frame == 0 ? "v.patch_embd.weight" : "v.patch_embd.weight." + std::to_string(frame);
}

}  // namespace exa
