#include "convert/encode_rows.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "kernels/quant.h"

namespace exa {
namespace {

constexpr std::size_t kQ8Block = 32;

template <typename Narrow>
void encode_halves(const float* values, std::size_t n, std::byte* out, Narrow narrow) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t half = narrow(values[i]);
    std::memcpy(out + 2 * i, &half, 2);
  }
}

// The nearest integer, halves away from zero, as a truncation: the largest float below one half pushes every
// number past its half and no other over.
std::int32_t round_away(float value) {
  constexpr float kBelowHalf = 0x1.fffffep-2f;
  return static_cast<std::int32_t>(value + std::copysign(kBelowHalf, value));
}

void encode_q8_0(const float* values, std::size_t n, std::byte* out) {
  for (; n > 0; n -= kQ8Block, values += kQ8Block) {
    float largest = 0;
    bool finite = true;
    for (std::size_t i = 0; i < kQ8Block; ++i) {
      const float magnitude = std::fabs(values[i]);
      finite &= magnitude <= std::numeric_limits<float>::max();
      largest = magnitude > largest ? magnitude : largest;
    }
    const float scale = largest / 127.0f;
    const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
    const std::uint16_t half = f32_to_f16(scale);
    std::memcpy(out, &half, 2);
    out += 2;
    std::int8_t codes[kQ8Block] = {};
    // Numbers that are none have no place in the scale.
    if (finite && inverse <= std::numeric_limits<float>::max()) {
      for (std::size_t i = 0; i < kQ8Block; ++i) {
        codes[i] = static_cast<std::int8_t>(round_away(values[i] * inverse));
      }
    }
    std::memcpy(out, codes, kQ8Block);
    out += kQ8Block;
  }
}

}  // namespace

void encode_row(DType type, const float* values, std::size_t n, std::byte* out) {
  switch (type) {
    case DType::kF32:
      std::memcpy(out, values, n * sizeof(float));
      return;
    case DType::kF16:
      encode_halves(values, n, out, [](float value) { return f32_to_f16(value); });
      return;
    case DType::kBF16:
      encode_halves(values, n, out, [](float value) { return f32_to_bf16(value); });
      return;
    case DType::kQ8_0:
      encode_q8_0(values, n, out);
      return;
    default:
      throw Error(ErrorKind::kInternal, "no encoder for " + std::string(name(type)), "convert");
  }
}

}  // namespace exa
