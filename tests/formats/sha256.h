// SHA-256 of a file's bytes, for comparing tensors with published sums.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace exa::test {

// 64 lower-case hex digits.
std::string sha256(std::span<const std::byte> bytes);

}  // namespace exa::test
