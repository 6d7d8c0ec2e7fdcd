// Safetensors: one file's header, read strictly, without a hole or an overlap left in the data.
//
// Ownership and threads: a free function. The writer is declared in checkpoint.h.
// Source: the safetensors format notes; format rules 4.1 of the reliability specification.
#pragma once

#include <vector>

#include "base/file.h"
#include "formats/checkpoint.h"

namespace exa {

// Tensors in data order, names unique, spans inside the file; TensorInfo::file is 0.
// Errors: kBadInput (file, tensor, expected, found), kUnsupported (dtype, rank above 5).
std::vector<TensorInfo> read_safetensors_header(const FileReader& file);

}  // namespace exa
