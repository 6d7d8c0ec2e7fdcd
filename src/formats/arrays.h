// Arrays of reference data as vectors of one element type, for subcommands that compare with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace exa {

// Errors: kBadInput naming the file and array where it is absent or of another type.
std::vector<std::int32_t> read_i32(const Checkpoint& file, const std::string& array);
std::vector<float> read_f32(const Checkpoint& file, const std::string& array);

// Index of the largest, the first of equals; 0 for none.
std::size_t argmax(std::span<const float> row);

}  // namespace exa
