// 16 fp32 lanes in plain C++, and their operations: what ops_body.inl and attention_body.inl are written
// over.
//
// Included inside a unit's anonymous namespace, needs nothing before it. Ownership and threads: values.
// Source: kernels specification 3.10 (no shared inline code between instruction sets).

struct Lanes {
  float v[16];
};

template <typename F>
inline Lanes each(F f) {
  Lanes out;
  for (int i = 0; i < 16; ++i) out.v[i] = f(i);
  return out;
}

inline Lanes broadcast(float x) {
  return each([&](int) { return x; });
}
inline Lanes load(const float* p) {
  return each([&](int i) { return p[i]; });
}
inline Lanes load_some(const float* p, int n) {
  return each([&](int i) { return i < n ? p[i] : 0.0F; });
}
inline void store_some(float* p, const Lanes& a, int n) {
  for (int i = 0; i < n; ++i) p[i] = a.v[i];
}
inline void store(float* p, const Lanes& a) {
  store_some(p, a, 16);
}
inline Lanes add(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] + b.v[i]; });
}
inline Lanes sub(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] - b.v[i]; });
}
inline Lanes mul(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] * b.v[i]; });
}
inline Lanes div(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] / b.v[i]; });
}
inline Lanes fma(const Lanes& a, const Lanes& b, const Lanes& c) {
  return each([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
inline Lanes minus(const Lanes& a) {
  return each([&](int i) { return -a.v[i]; });
}
inline Lanes minus_abs(const Lanes& a) {
  return each([&](int i) { return -__builtin_fabsf(a.v[i]); });
}
// a where a > b, else b: a NaN of b stays.
inline Lanes greater(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline Lanes where_less(const Lanes& x, float limit, const Lanes& yes, const Lanes& no) {
  return each([&](int i) { return x.v[i] < limit ? yes.v[i] : no.v[i]; });
}
inline Lanes zero_where_less(const Lanes& x, float limit, const Lanes& otherwise) {
  return each([&](int i) { return x.v[i] < limit ? 0.0F : otherwise.v[i]; });
}
inline Lanes keep_range(const Lanes& a, int begin, int end, float otherwise) {
  return each([&](int i) { return i >= begin && i < end ? a.v[i] : otherwise; });
}
// a's exponent plus the integer in the low bits of `shifted`.
inline Lanes add_to_exponent(const Lanes& a, const Lanes& shifted) {
  return each([&](int i) {
    return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, a.v[i]) +
                                         (__builtin_bit_cast(std::uint32_t, shifted.v[i]) << 23));
  });
}
inline std::uint32_t dword(const std::byte* line, int i) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, line + i * 4, 4);
  return bits;
}
inline Lanes low_halves(const std::byte* line) {
  return each([&](int i) { return __builtin_bit_cast(float, dword(line, i) << 16); });
}
inline Lanes high_halves(const std::byte* line) {
  return each([&](int i) { return __builtin_bit_cast(float, dword(line, i) & 0xFFFF0000U); });
}
inline float sum(Lanes a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
  }
  return a.v[0];
}
inline float maximum(Lanes a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
  }
  return a.v[0];
}

// 16 sums of exact integers.
struct Ints {
  std::uint32_t v[16];
};
inline Ints zero_ints() {
  return {};
}
inline Lanes to_floats(const Ints& a) {
  return each([&](int i) { return static_cast<float>(static_cast<std::int32_t>(a.v[i])); });
}
inline std::int32_t word(const void* from, int i) {
  std::int16_t value;
  __builtin_memcpy(&value, static_cast<const std::byte*>(from) + i * 2, 2);
  return value;
}
// 32 words.
struct Words {
  std::int16_t v[32];
};
// 32 bytes, widened.
inline Words load_bytes(const std::byte* p) {
  Words out;
  for (int i = 0; i < 32; ++i) out.v[i] = static_cast<std::int8_t>(p[i]);
  return out;
}
// sums[i] += a's words 0 and 1 times b's words 2 i and 2 i + 1.
inline Ints add_word_products(Ints sums, const void* two_words, const Words& b) {
  for (int i = 0; i < 16; ++i) {
    sums.v[i] +=
        static_cast<std::uint32_t>(word(two_words, 0) * b.v[2 * i] + word(two_words, 1) * b.v[2 * i + 1]);
  }
  return sums;
}
// Rounded half to even; any word where that is beyond +-32767.
inline void store_words(void* to, const Lanes& a) {
  for (int i = 0; i < 16; ++i) {
    const float bounded = a.v[i] > -32768.0F && a.v[i] < 32767.5F ? a.v[i] : 0.0F;
    const auto value = static_cast<std::int16_t>(__builtin_rintf(bounded));
    __builtin_memcpy(static_cast<std::byte*>(to) + i * 2, &value, 2);
  }
}
inline Lanes load_halves(const std::byte* p) {
  return each([&](int i) {
    const auto bits = static_cast<std::uint32_t>(static_cast<std::uint16_t>(word(p, i)));
    const std::uint32_t sign = (bits & 0x8000U) << 16;
    const std::uint32_t magnitude = bits & 0x7FFFU;
    if (magnitude >= 0x7C00U) {
      const std::uint32_t payload = (magnitude & 0x3FFU) << 13;
      return __builtin_bit_cast(float, sign | 0x7F800000U | payload | (payload != 0 ? 0x400000U : 0U));
    }
    const float value = magnitude < 0x400U ? static_cast<float>(magnitude) * 0x1p-24F
                                           : __builtin_bit_cast(float, (magnitude << 13) + (112U << 23));
    return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, value) | sign);
  });
}
inline std::uint16_t half_bits(float x) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t half;
  if (magnitude > 0x7F800000U) {
    half = 0x7E00U;
  } else if (magnitude >= 0x477FF000U) {  // rounds to 65536 or more
    half = 0x7C00U;
  } else if (magnitude < 0x38800000U) {
    // The sum's ulp is that of the smallest half.
    const float rounded = __builtin_bit_cast(float, magnitude) + 0.5F;
    half = __builtin_bit_cast(std::uint32_t, rounded) - 0x3F000000U;
  } else {
    half = (magnitude - (112U << 23) + 0xFFFU + ((magnitude >> 13) & 1U)) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}
inline void store_halves(std::byte* to, const Lanes& a) {
  for (int i = 0; i < 16; ++i) {
    const std::uint16_t half = half_bits(a.v[i]);
    __builtin_memcpy(to + i * 2, &half, 2);
  }
}
inline Lanes round_bf16(const Lanes& a) {
  return each([&](int i) {
    const auto bits = __builtin_bit_cast(std::uint32_t, a.v[i]);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return a.v[i];
    return __builtin_bit_cast(float, (bits + 0x7FFFU + ((bits >> 16) & 1U)) & 0xFFFF0000U);
  });
}
// sums[i] = round(round(sums[i] + p[2 i + 1]) + p[2 i]) for p of 32 floats.
inline Lanes add_neighbours(const float* p, const Lanes& sums) {
  return each([&](int i) { return (sums.v[i] + p[2 * i + 1]) + p[2 * i]; });
}
