// The vision tower of EXAONE 4.5: pictures in, rows of the text model's embedding space out.
//
// Ownership and threads: a VisionTower borrows weights and backend; one thread calls it. Activations live as
// long as a call: the residual and the keys and values of all patches, everything else in chunks of rows.
// Source: exaone-models specification 4.2, 4.4; transformers' Exaone4_5 vision classes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "model/vision_input.h"
#include "model/vision_weights.h"

namespace exa {

class VisionTower {
 public:
  VisionTower(const VisionWeights& weights, Backend& backend);

  // Of a pass over as many patches as it takes at most: a group of pictures, or one that is as large as the
  // config lets it be.
  static std::size_t activation_bytes(const VisionConfig& config);

  const VisionConfig& config() const { return weights_.config; }

  // Called after each block with the part done, 0 … 1; may throw to stop.
  using Progress = std::function<void(double fraction)>;

  // For each input its rows [n_vision_tokens, out_hidden], cells row by row, frame pair by frame pair. Inputs
  // never see each other, and their bits do not depend on which others are encoded with them.
  std::vector<std::vector<float>> encode(std::span<const VisionInput> inputs, const Progress& progress = {});

 private:
  const VisionWeights& weights_;
  Backend& backend_;
};

}  // namespace exa
