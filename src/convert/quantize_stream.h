// Streams a plan's tensors through the encoders into a GGUF file, a stretch of rows at a time.
//
// Ownership and threads: quantize_tensors starts its own threads and joins them. Stretches of a tensor are
// encoded by several threads and appended in order, so a large last tensor keeps all of them busy.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "convert/gguf_writer.h"
#include "convert/imatrix_file.h"
#include "convert/tensor_plan.h"

namespace exa {

struct QuantizeStream {
  const std::vector<PlannedTensor>& tensors;
  GgufWriter& writer;                       // its tensors are the plan's in the plan's order
  const std::vector<std::string>& lines;    // what the progress says of each tensor
  const std::vector<std::string>& origins;  // where each tensor comes from, for errors
  const ImatrixFile* imatrix = nullptr;     // or none
};

// Errors: the first one of any thread; the others stop. kBadInput for numbers that the tensor's type cannot
// hold.
void quantize_tensors(const QuantizeStream& stream, int n_threads);

}  // namespace exa
