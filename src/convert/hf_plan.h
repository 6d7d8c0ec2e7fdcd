// Which tensors of a Hugging Face checkpoint become which tensors of a GGUF file, by the tables of model/arch.
//
// Ownership and threads: the plan's tensors borrow the checkpoint; one thread.
// Source: exaone-models specification 2.8, 3.1, 4.5, 7.6.
#pragma once

#include <vector>

#include "convert/hf_config.h"
#include "convert/hf_tensors.h"
#include "convert/tensor_plan.h"

namespace exa {

// rope_freqs, token_embd, the layers, output_norm, output; after them the drafting layers (n_mtp_layers of
// them: 0 leaves them out). names: the folder's. Errors: as HfTensors.
void plan_text(HfTensors& tensors, const HfConfig& config, const TensorNames& names,
               std::vector<PlannedTensor>& plan);

// v.* and mm.* of the vision tower.
void plan_vision(HfTensors& tensors, const VisionConfig& vision, std::vector<PlannedTensor>& plan);

// Divisors of the rotary frequencies, head_dim / 2 of them, in fp32 as the converter everybody uses computes
// them; empty without llama3 scaling.
std::vector<float> rope_factors(const ModelConfig& config);

}  // namespace exa
