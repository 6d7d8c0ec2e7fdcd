// The tensors of EXAONE 4.5's vision tower as data: their names in both formats and their shapes. Running and
// converting walk the same table.
//
// Ownership and threads: constants.
// Source: exaone-models specification 4.5.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/vision_config.h"
#include "model/vision_weights.h"

namespace exa {

enum class VisionExtent : std::uint8_t {
  kNone,    // of rows: a norm, whose weight is a vector [cols] without a bias
  kHidden,  // also n_heads · head_dim
  kQkv,     // (n_heads + 2 n_kv_heads) · head_dim
  kFfn,
  kCell,  // hidden · patches_a_cell
  kOut,
};
std::int64_t vision_extent(VisionExtent which, const VisionConfig& config);

// A linear layer's weight [rows, cols] and bias [rows], or a norm's weight. Names lack ".weight" and ".bias".
struct VisionPart {
  std::string_view gguf;
  std::string_view huggingface;
  VisionExtent rows = VisionExtent::kNone;
  VisionExtent cols = VisionExtent::kHidden;
  VisionLinear VisionBlock::*linear = nullptr;
  std::vector<float> VisionBlock::*norm = nullptr;
};

// Of a block, in file order; GGUF names go on after "v.blk.3.", Hugging Face names after
// "model.visual.blocks.3.".
inline constexpr VisionPart kVisionBlockParts[] = {
    {.gguf = "ln1", .huggingface = "norm1", .norm = &VisionBlock::attention_norm},
    {"attn_qkv", "attn.qkv", VisionExtent::kQkv, VisionExtent::kHidden, &VisionBlock::qkv},
    {"attn_out", "attn.proj", VisionExtent::kHidden, VisionExtent::kHidden, &VisionBlock::o},
    {.gguf = "ln2", .huggingface = "norm2", .norm = &VisionBlock::ffn_norm},
    {"ffn_gate", "mlp.gate_proj", VisionExtent::kFfn, VisionExtent::kHidden, &VisionBlock::gate},
    {"ffn_up", "mlp.up_proj", VisionExtent::kFfn, VisionExtent::kHidden, &VisionBlock::up},
    {"ffn_down", "mlp.down_proj", VisionExtent::kHidden, VisionExtent::kFfn, &VisionBlock::down},
};
// Behind the blocks; Hugging Face names go on after "model.visual.".
inline constexpr VisionPart kMergerNormPart = {.gguf = "v.post_ln", .huggingface = "merger.ln_q"};
inline constexpr VisionPart kMergerInPart = {"mm.0", "merger.mlp.0", VisionExtent::kCell,
                                             VisionExtent::kCell};
inline constexpr VisionPart kMergerOutPart = {"mm.2", "merger.mlp.2", VisionExtent::kOut,
                                              VisionExtent::kCell};
// Before them. A folder's kernel is [hidden, channels, frames, px, px] under this name; a GGUF file has one
// [hidden, channels, px, px] a frame of the pair.
inline constexpr std::string_view kPatchKernel = "patch_embed.proj.weight";

inline constexpr std::string_view kVisionPrefix = "model.visual.";
// block < 0: of the whole tower.
std::string vision_name(const VisionPart& part, std::int64_t block, bool gguf);
std::string gguf_patch_kernel(std::int64_t frame);

}  // namespace exa
