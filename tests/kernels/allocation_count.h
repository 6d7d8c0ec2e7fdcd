// How often this program has called operator new, for tests that promise to call it never.
//
// Ownership and threads: one atomic counter.
// Source: C++ replaceable allocation functions.
#pragma once

namespace exa::test {

long allocation_count();

}  // namespace exa::test
