#include "convert/encode_rows.h"

#include <cmath>
#include <cstring>

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

void encode_q8_0(const float* values, std::size_t n, std::byte* out) {
  for (std::size_t block = 0; block < n; block += kQ8Block) {
    float largest = 0;
    for (std::size_t i = 0; i < kQ8Block; ++i) largest = std::fmax(largest, std::fabs(values[block + i]));
    const float scale = largest / 127.0f;
    const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
    const std::uint16_t half = f32_to_f16(scale);
    std::memcpy(out, &half, 2);
    out += 2;
    for (std::size_t i = 0; i < kQ8Block; ++i) {
      const float rounded = std::round(values[block + i] * inverse);
      // Numbers that are none have no place in the scale.
      *out++ = static_cast<std::byte>(static_cast<std::int8_t>(std::isfinite(rounded) ? rounded : 0.0f));
    }
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
