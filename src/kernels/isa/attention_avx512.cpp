#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/attention.h"
#include "kernels/isa/attention_units.h"

// False for the _mm512_undefined_* of g++ 12's own headers.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace exa {
namespace {

#include "kernels/isa/lanes_avx512.inl"

constexpr int kPairs = 8;
constexpr int kLines = 2;

#include "kernels/isa/attention_body.inl"
#include "kernels/isa/kv_append.inl"

constexpr AttentionKernels kKernels = {
    append, {attend<Bf16Form>, attend<F32Form>, attend<F16Form>, attend<Q8Form>}, merge, finish};

}  // namespace

const AttentionKernels& attention_kernels_avx512() {
  return kKernels;
}

}  // namespace exa
