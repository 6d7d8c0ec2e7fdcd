#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/isa/attention.h"
#include "kernels/isa_under_test.h"
#include "kernels/quant.h"

namespace exa {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::size_t n_of(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

int lanes_together(KvType type) {
  return type == KvType::kBF16 || type == KvType::kQ8 ? 2 : 1;
}

// Where kv_block.h puts element (slot, d) of a head's keys or values, in elements.
std::size_t key_index(KvType type, int head_dim, int slot, int d) {
  const int n = lanes_together(type);
  return static_cast<std::size_t>(slot / 16 * 16 * head_dim + d / n * 16 * n + slot % 16 * n + d % n);
}
std::size_t value_index(KvType type, int head_dim, int slot, int d) {
  const int n = lanes_together(type);
  return static_cast<std::size_t>(32 * head_dim + slot / n * n * head_dim + d * n + slot % n);
}

void put(KvType type, std::vector<std::byte>& block, std::size_t index, float value, float scale) {
  const std::size_t element = kv_element_bytes(type);
  std::byte* const to = block.data() + index * element;
  const std::uint16_t half = type == KvType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
  const auto byte =
      static_cast<std::int8_t>(std::lrint(std::isfinite(scale) ? value * (127.0F / scale) : 0.0F));
  if (type == KvType::kF32) std::memcpy(to, &value, 4);
  if (type == KvType::kF16 || type == KvType::kBF16) std::memcpy(to, &half, 2);
  if (type == KvType::kQ8) std::memcpy(to, &byte, 1);
}

float largest(const float* x, int n) {
  float most = 0;
  for (int i = 0; i < n; ++i) most = std::max(most, std::abs(x[i]));
  return most;
}

// Row 11 and section 6.6, llama.cpp 12033 and 13121: heads of 80 are no multiple of a block of 32.
TEST(AppendKv, PutsEveryElementWhereTheBlockSaysAndTouchesNothingElse) {
  for (const KvType type : {KvType::kBF16, KvType::kF32, KvType::kF16, KvType::kQ8}) {
    for (const int head_dim : {16, 64, 80, 128}) {
      for (const auto& [first, n] : {std::pair{0, 32}, {0, 1}, {31, 1}, {5, 22}, {15, 2}, {17, 3}}) {
        const std::int64_t stride = 3 * head_dim + 1;
        std::vector<float> k = random_floats(n_of(stride * n), 11);
        const std::vector<float> v = random_floats(n_of(stride * n), 12);
        if (type != KvType::kQ8) {
          k[0] = kNan;
          k[1] = kInfinity;
          k[2] = 1.0F + 0x1p-8F;      // halfway, to even: 1
          k[3] = 1.0F + 3 * 0x1p-8F;  // halfway, to even: 1 + 2^-6
          k[4] = 3.4e38F;             // rounds to infinity
          k[5] = 65520.0F;            // rounds to infinity in f16
          k[6] = 65519.0F;
          k[7] = -0x1.004p-24F;
          k[8] = 0x1p-25F;
          k[9] = -0x1.8p-24F;
          k[10] = 0x1.ffcp-15F;
          k[11] = 0x1.ffep-15F;
          k[12] = -0.0F;
        }
        for (const Isa isa : supported_isas()) {
          std::vector<std::byte> block(kv_head_bytes(type, head_dim), std::byte{0x5A});
          std::vector<std::byte> expected = block;
          for (int i = 0; i < n; ++i) {
            const float* const key = k.data() + i * stride;
            const float* const value = v.data() + i * stride;
            const float most_k = largest(key, head_dim);
            const float most_v = largest(value, head_dim);
            for (int d = 0; d < head_dim; ++d) {
              put(type, expected, key_index(type, head_dim, first + i, d), key[d], most_k);
              put(type, expected, value_index(type, head_dim, first + i, d), value[d], most_v);
            }
            if (type != KvType::kQ8) continue;
            const float scales[] = {most_k / 127.0F, most_v / 127.0F};
            std::byte* const to = expected.data() + 64 * head_dim + (first + i) * 4;
            std::memcpy(to, &scales[0], 4);
            std::memcpy(to + 128, &scales[1], 4);
          }
          const KvRows rows = {type, head_dim, first, n, k.data(), stride, v.data(), stride};
          attention_kernels(isa).append(rows, block.data());
          const auto wrong = std::mismatch(block.begin(), block.end(), expected.begin()).first;
          ASSERT_EQ(wrong - block.begin(), block.end() - block.begin())
              << name(isa) << " type " << static_cast<int>(type) << " head_dim " << head_dim << " slots "
              << first << "+" << n;
        }
      }
    }
  }
}

}  // namespace
}  // namespace exa
