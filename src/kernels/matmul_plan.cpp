#include "kernels/matmul_plan.h"

#include <algorithm>

namespace exa {

MatmulPlan::MatmulPlan(const MatmulKernels& kernels, PromptSpeed prompts,
                       std::span<const MatmulTarget> targets, std::int64_t n_tokens, std::int64_t n_prompt)
    : kernels_(kernels),
      prompts_(prompts),
      n_tokens_(n_tokens),
      n_prompt_(n_prompt),
      first_quantized_(n_tokens),
      first_chunked_(n_tokens) {
  for (const MatmulTarget& target : targets) {
    const Rows its = rows(target);
    if (its.form == Form::kInt8) first_quantized_ = std::min(first_quantized_, its.n_prompt);
    if (its.form == Form::kChunks) first_chunked_ = std::min(first_chunked_, its.n_prompt);
    if (kernels.prepare_prompt != nullptr) n_prepared_ = std::max(n_prepared_, its.n_prompt);
    weight_bytes_ += static_cast<std::size_t>(target.weight->n_row_blocks()) * target.weight->row_block_bytes;
    scratch_bytes_ = std::max(scratch_bytes_, matmul_scratch_bytes(*target.weight));
  }
}

MatmulPlan::Rows MatmulPlan::rows(const MatmulTarget& target) const {
  const DType type = target.weight->type;
  Rows its = {
      .n_prompt = kernels_.has_prompt_path(type) ? n_prompt_ : 0, .fast = false, .form = Form::kFloats};
  its.fast = prompts_ == PromptSpeed::kFast && kernels_.has_fast_prompt_path != nullptr &&
             !target.has_outliers && kernels_.has_fast_prompt_path(type);
  if (uses_int8_activations(type)) {
    its.form = Form::kInt8;
  } else if (kernels_.reads_chunks != nullptr && kernels_.reads_chunks(type, n_tokens_ - its.n_prompt)) {
    its.form = Form::kChunks;
  }
  return its;
}

}  // namespace exa
