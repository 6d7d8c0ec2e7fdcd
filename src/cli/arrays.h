// Arrays of a safetensors file as vectors of one element type, for subcommands that take reference data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace exa {

// Errors: kBadInput naming the file and array where it is absent or of another type.
std::vector<std::int32_t> read_i32(const Checkpoint& file, const std::string& array);
std::vector<float> read_f32(const Checkpoint& file, const std::string& array);

}  // namespace exa
