#include "kernels/quant.h"

#include <cstring>

namespace exa {
namespace {

using u8 = std::uint8_t;

const u8* bytes_at(const std::byte* p, std::size_t offset) {
  return reinterpret_cast<const u8*>(p) + offset;
}

std::uint16_t read_u16(const u8* p) {
  return static_cast<std::uint16_t>(p[0] | p[1] << 8);
}
std::uint32_t read_u32(const u8* p) {
  return static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 |
         static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24;
}
float read_f16(const u8* p) {
  return f16_to_f32(read_u16(p));
}
float as_float(int value) {
  return static_cast<float>(value);
}

constexpr float kNonLinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void q4_0(const u8* b, float* out) {
  const float d = read_f16(b);
  for (int j = 0; j < 16; ++j) {
    out[j] = as_float((b[2 + j] & 15) - 8) * d;
    out[j + 16] = as_float((b[2 + j] >> 4) - 8) * d;
  }
}

void q4_1(const u8* b, float* out) {
  const float d = read_f16(b);
  const float m = read_f16(b + 2);
  for (int j = 0; j < 16; ++j) {
    out[j] = as_float(b[4 + j] & 15) * d + m;
    out[j + 16] = as_float(b[4 + j] >> 4) * d + m;
  }
}

// Fifth bits of weights j and j + 16, in place at 0x10.
int fifth_bit(std::uint32_t high, int k) {
  return static_cast<int>(high >> k & 1) << 4;
}

void q5_0(const u8* b, float* out) {
  const float d = read_f16(b);
  const std::uint32_t high = read_u32(b + 2);
  for (int j = 0; j < 16; ++j) {
    out[j] = as_float(((b[6 + j] & 15) | fifth_bit(high, j)) - 16) * d;
    out[j + 16] = as_float(((b[6 + j] >> 4) | fifth_bit(high, j + 16)) - 16) * d;
  }
}

void q5_1(const u8* b, float* out) {
  const float d = read_f16(b);
  const float m = read_f16(b + 2);
  const std::uint32_t high = read_u32(b + 4);
  for (int j = 0; j < 16; ++j) {
    out[j] = as_float((b[8 + j] & 15) | fifth_bit(high, j)) * d + m;
    out[j + 16] = as_float((b[8 + j] >> 4) | fifth_bit(high, j + 16)) * d + m;
  }
}

void q8_0(const u8* b, float* out) {
  const float d = read_f16(b);
  for (int j = 0; j < 32; ++j) out[j] = as_float(static_cast<std::int8_t>(b[2 + j])) * d;
}

void iq4_nl(const u8* b, float* out) {
  const float d = read_f16(b);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * kNonLinear[b[2 + j] & 15];
    out[j + 16] = d * kNonLinear[b[2 + j] >> 4];
  }
}

void q2_k(const u8* b, float* out) {
  const float d = read_f16(b + 80);
  const float dmin = read_f16(b + 82);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * as_float(b[group] & 15);
    const float min = dmin * as_float(b[group] >> 4);
    const u8* q = b + 16 + 32 * (group / 8) + 16 * (group % 2);
    const int shift = 2 * (group % 8 / 2);
    for (int l = 0; l < 16; ++l) *out++ = scale * as_float(q[l] >> shift & 3) - min;
  }
}

void q3_k(const u8* b, float* out) {
  const u8* high = b;
  const u8* packed_scales = b + 96;
  const float d = read_f16(b + 108);
  for (int group = 0; group < 16; ++group) {
    const int low4 = group < 8 ? packed_scales[group] & 15 : packed_scales[group - 8] >> 4;
    const int high2 = packed_scales[8 + group % 4] >> 2 * (group / 4) & 3;
    const float scale = d * as_float((low4 | high2 << 4) - 32);
    const int offset = 16 * (group % 2);
    const u8* q = b + 32 + 32 * (group / 8) + offset;
    const int shift = 2 * (group % 8 / 2);
    for (int l = 0; l < 16; ++l) {
      const int third = high[offset + l] >> (group / 2) & 1;
      *out++ = scale * as_float((q[l] >> shift & 3) - (third != 0 ? 0 : 4));
    }
  }
}

struct ScaleMin {
  int scale, min;
};

// The 6-bit scale and minimum of 32-block j of Q4_K and Q5_K, from 12 bytes.
ScaleMin scale_min(const u8* s, int j) {
  if (j < 4) return {s[j] & 63, s[j + 4] & 63};
  return {(s[j + 4] & 15) | (s[j - 4] >> 6) << 4, s[j + 4] >> 4 | (s[j] >> 6) << 4};
}

void q4_k(const u8* b, float* out) {
  const float d = read_f16(b);
  const float dmin = read_f16(b + 2);
  for (int j = 0; j < 8; ++j) {
    const ScaleMin s = scale_min(b + 4, j);
    const float scale = d * as_float(s.scale);
    const float min = dmin * as_float(s.min);
    const u8* q = b + 16 + 32 * (j / 2);
    for (int l = 0; l < 32; ++l) *out++ = scale * as_float(q[l] >> 4 * (j % 2) & 15) - min;
  }
}

void q5_k(const u8* b, float* out) {
  const float d = read_f16(b);
  const float dmin = read_f16(b + 2);
  for (int j = 0; j < 8; ++j) {
    const ScaleMin s = scale_min(b + 4, j);
    const float scale = d * as_float(s.scale);
    const float min = dmin * as_float(s.min);
    const u8* q = b + 48 + 32 * (j / 2);
    for (int l = 0; l < 32; ++l) {
      const int code = (q[l] >> 4 * (j % 2) & 15) | (b[16 + l] >> j & 1) << 4;
      *out++ = scale * as_float(code) - min;
    }
  }
}

void q6_k(const u8* b, float* out) {
  const float d = read_f16(b + 208);
  for (int j = 0; j < 8; ++j) {
    const u8* low = b + 64 * (j / 4) + 32 * (j % 2);
    const u8* high = b + 128 + 32 * (j / 4);
    const int nibble = 4 * (j % 4 / 2);
    const int pair = 2 * (j % 4);
    for (int l = 0; l < 32; ++l) {
      const float scale = d * as_float(static_cast<std::int8_t>(b[192 + 2 * j + l / 16]));
      const int code = (low[l] >> nibble & 15) | (high[l] >> pair & 3) << 4;
      *out++ = scale * as_float(code - 32);
    }
  }
}

void iq4_xs(const u8* b, float* out) {
  const float d = read_f16(b);
  const int high = read_u16(b + 2);
  for (int j = 0; j < 8; ++j) {
    const int code = (b[4 + j / 2] >> 4 * (j % 2) & 15) | (high >> 2 * j & 3) << 4;
    const float scale = d * as_float(code - 32);
    const u8* q = b + 8 + 16 * j;
    for (int l = 0; l < 16; ++l) {
      out[l] = scale * kNonLinear[q[l] & 15];
      out[l + 16] = scale * kNonLinear[q[l] >> 4];
    }
    out += 32;
  }
}

using DecodeBlock = void (*)(const u8* block, float* out);

DecodeBlock block_decoder(DType type) {
  switch (type) {
    case DType::kQ4_0:
      return q4_0;
    case DType::kQ4_1:
      return q4_1;
    case DType::kQ5_0:
      return q5_0;
    case DType::kQ5_1:
      return q5_1;
    case DType::kQ8_0:
      return q8_0;
    case DType::kQ2_K:
      return q2_k;
    case DType::kQ3_K:
      return q3_k;
    case DType::kQ4_K:
      return q4_k;
    case DType::kQ5_K:
      return q5_k;
    case DType::kQ6_K:
      return q6_k;
    case DType::kIQ4_NL:
      return iq4_nl;
    case DType::kIQ4_XS:
      return iq4_xs;
    default:
      return nullptr;
  }
}

}  // namespace

float f16_to_f32(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = half >> 10 & 31;
  const std::uint32_t mantissa = half & 0x3ff;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000 | mantissa << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

std::uint16_t f32_to_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000;
  const std::uint32_t magnitude = bits & 0x7fffffff;
  std::uint32_t half;
  if (magnitude > 0x7f800000) {
    half = 0x7e00 | (magnitude >> 13 & 0x1ff);
  } else if (magnitude >= 0x477ff000) {  // 65520 and above round to infinity
    half = 0x7c00;
  } else if (magnitude >= 0x38800000) {  // normal halves
    const std::uint32_t rebased = magnitude - (112U << 23);
    half = (rebased + 0xfff + (rebased >> 13 & 1)) >> 13;
  } else if (magnitude >= 0x33000000) {  // subnormal halves: multiples of 2^-24
    const std::uint32_t shift = 126 - (magnitude >> 23);
    const std::uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
    const std::uint32_t kept = mantissa >> shift;
    const std::uint32_t rest = mantissa & ((1U << shift) - 1);
    const std::uint32_t middle = 1U << (shift - 1);
    half = kept + (rest > middle || (rest == middle && (kept & 1) != 0) ? 1 : 0);
  } else {
    half = 0;
  }
  return static_cast<std::uint16_t>(sign | half);
}

std::uint16_t f32_to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

bool can_decode(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || block_decoder(type) != nullptr;
}

void decode_row(DType type, const std::byte* blocks, std::size_t n_elements, float* out) {
  switch (type) {
    case DType::kF32:
      std::memcpy(out, blocks, n_elements * sizeof(float));
      return;
    case DType::kF16:
      for (std::size_t i = 0; i < n_elements; ++i) out[i] = read_f16(bytes_at(blocks, 2 * i));
      return;
    case DType::kBF16:
      for (std::size_t i = 0; i < n_elements; ++i) out[i] = bf16_to_f32(read_u16(bytes_at(blocks, 2 * i)));
      return;
    default:
      break;
  }
  const DecodeBlock decode = block_decoder(type);
  if (decode == nullptr) return;
  const DTypeTraits& t = traits(type);
  for (std::size_t i = 0; i + t.block_size <= n_elements; i += t.block_size) {
    decode(bytes_at(blocks, i / t.block_size * t.block_bytes), out + i);
  }
}

}  // namespace exa
