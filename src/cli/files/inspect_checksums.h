// The output of `exaone inspect --checksums`: sums of files and tensors, and where numbers are none.
//
// Ownership and threads: pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "convert/checksums.h"

namespace exa {

nlohmann::ordered_json to_json(const ModelSums& sums);
// A line a file and a tensor, then one that counts what is wrong.
std::string to_text(const ModelSums& sums);
// Names the first tensor whose bytes lack the CRC32C their file states; empty where there is none.
std::string first_damaged(const ModelSums& sums);

}  // namespace exa
