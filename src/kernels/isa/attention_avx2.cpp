#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa/attention.h"
#include "kernels/isa/attention_units.h"

namespace exa {
namespace {

#include "kernels/isa/lanes_avx2.inl"

constexpr int kPairs = 4;
constexpr int kLines = 1;

#include "kernels/isa/attention_body.inl"
#include "kernels/isa/kv_append.inl"

constexpr AttentionKernels kKernels = {
    append, {attend<Bf16Form>, attend<F32Form>, attend<F16Form>, attend<Q8Form>}, merge, finish};

}  // namespace

const AttentionKernels& attention_kernels_avx2() {
  return kKernels;
}

}  // namespace exa
