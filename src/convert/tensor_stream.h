// Streams a plan's tensors into a GGUF file: one tensor in flight a thread, a chunk of rows at a time.
//
// Ownership and threads: stream_tensors starts its own threads and joins them.
#pragma once

#include <vector>

#include "base/dtype.h"
#include "convert/gguf_writer.h"
#include "convert/tensor_plan.h"

namespace exa {

// The type a tensor gets in a file of the given type (F32, F16, BF16 or Q8_0).
DType stored_type(const PlannedTensor& tensor, DType file_type);
// Names, types and shapes for a GgufWriter.
std::vector<GgufTensor> stored_tensors(const std::vector<PlannedTensor>& tensors, DType file_type);

// Fills all of the writer's tensors, which are the plan's in the plan's order. Errors: the first one of any
// thread; the others stop.
void stream_tensors(const std::vector<PlannedTensor>& tensors, GgufWriter& writer, int n_threads);

}  // namespace exa
