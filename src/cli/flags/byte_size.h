// Sizes as users write them: "4G", "512M", "4096".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace exa {

// K, M, G, T are powers of 1000. Errors: kUsage naming the option, for anything that is not a
// whole number above 0 with at most one such letter.
std::uint64_t parse_byte_size(std::string_view text, const std::string& option);

}  // namespace exa
