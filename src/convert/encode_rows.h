// Plain numbers into the types a conversion writes.
//
// Ownership and threads: pure functions.
// Source: ggml's definition of Q8_0 and its reference rounding.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace exa {

// n values (a multiple of the type's block) as F32, F16, BF16 or Q8_0 into out[row_bytes(type, n)].
// Errors: kInternal for another type.
void encode_row(DType type, const float* values, std::size_t n, std::byte* out);

}  // namespace exa
