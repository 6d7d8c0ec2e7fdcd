#include "kernels/isa/decode_rows.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "kernels/isa_under_test.h"
#include "kernels/quant.h"
#include "kernels/random_weights.h"

namespace exa {
namespace {

// Blocks of random bytes reach every code, scale and bit plane, infinite and NaN scales too.
TEST(DecodeRows, VectorCodeGivesTheBitsOfTheScalarCode) {
  std::mt19937 engine(11);
  for (const Isa isa : supported_isas()) {
    if (isa == Isa::kScalar) continue;
    const auto decode = isa == Isa::kAvx2 ? decode_row_avx2 : decode_row_avx512;
    for (const DType type : test::weight_types()) {
      const DTypeTraits& t = traits(type);
      for (const std::size_t n_blocks : {1, 2, 7, 200}) {
        // One byte off, so that no load may count on alignment.
        std::vector<std::byte> blocks(n_blocks * t.block_bytes + 1);
        for (std::byte& b : blocks) b = static_cast<std::byte>(engine());
        const std::size_t n = n_blocks * t.block_size;
        std::vector<float> actual(n + 1, -3.0F);
        std::vector<float> expected(n + 1, -3.0F);
        decode(type, blocks.data() + 1, n, actual.data());
        decode_row(type, blocks.data() + 1, n, expected.data());
        expect_same_bits(actual, expected, std::string(name(type)) + " on " + std::string(name(isa)));
      }
    }
  }
}

}  // namespace
}  // namespace exa
