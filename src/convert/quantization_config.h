// Which linear layers of a checkpoint are stored packed, and how: config.json's quantization_config.
//
// Ownership and threads: a value.
// Source: the quantization_config of the published FP8 and AWQ checkpoints; compressed-tensors' and
// transformers' meaning of targets, ignore and modules_to_not_convert; exaone-models specification 7.7.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"

namespace exa {

enum class LinearStorage : std::uint8_t {
  kPlain,       // weight
  kFp8Channel,  // weight F8_E4M3, weight_scale one a row
  kFp8Block,    // weight F8_E4M3, weight_scale_inv one a block
  kInt4Group,   // weight_packed, weight_scale, weight_shape
  kAwqGemm,     // qweight, qzeros, scales
};

struct QuantizationConfig {
  LinearStorage packed = LinearStorage::kPlain;
  std::uint64_t group = 0;  // columns that share a scale (int4, AWQ)
  std::uint64_t block_rows = 0, block_cols = 0;
  std::vector<std::string> ignored;  // module names, or "re:" and an expression of literals and ".*"
  bool ignore_by_part = false;       // an entry that occurs anywhere in the name ignores it

  // How the layer of this name (without ".weight") is stored.
  LinearStorage of(std::string_view module) const;
};

// Errors: kUnsupported for a method, format, width or group this program does not decode; kBadInput (key,
// expected, found).
QuantizationConfig read_quantization_config(const Checkpoint& checkpoint);

// "re:" entries: literals, "\\." and ".*", anchored at the front as compressed-tensors anchors them.
bool matches_module(std::string_view entry, std::string_view module);

}  // namespace exa
