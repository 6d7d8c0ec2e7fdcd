// Counts what the test binary holds on the heap: the oracle of "memory in proportion to the file".
#pragma once

#include <cstddef>

namespace exa::test {

// Bytes that operator new has handed out and not taken back.
std::size_t held_bytes();
// The most held at once since the last reset.
std::size_t peak_bytes();
void reset_peak();

}  // namespace exa::test
