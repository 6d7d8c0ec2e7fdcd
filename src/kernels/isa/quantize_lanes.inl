// 16 numbers side by side, in vector registers of kWidth numbers each.
//
// Every operation rounds once and nothing is fused, so that all instruction sets give the same bits.
// Needs, before it in the same anonymous namespace: kWidth. Ownership and threads: values.
// Source: GCC's vector extensions.

using Part = float __attribute__((vector_size(4 * kWidth)));
using IntPart = std::int32_t __attribute__((vector_size(4 * kWidth)));
using BytePart = std::int8_t __attribute__((vector_size(kWidth)));
// For memory of any alignment.
using LoosePart = float __attribute__((vector_size(4 * kWidth), aligned(4), may_alias));
constexpr int kLanes = 16;
constexpr int kParts = kLanes / kWidth;

struct Lanes {
  Part part[kParts];
};
struct IntLanes {
  IntPart part[kParts];
};

inline Lanes broadcast(float x) {
  Lanes out;
  for (int i = 0; i < kParts; ++i) out.part[i] = x - Part{};
  return out;
}
inline Lanes load(const float* p) {
  Lanes out;
  for (int i = 0; i < kParts; ++i) out.part[i] = *reinterpret_cast<const LoosePart*>(p + i * kWidth);
  return out;
}
inline void store(float* p, const Lanes& x) {
  for (int i = 0; i < kParts; ++i) *reinterpret_cast<LoosePart*>(p + i * kWidth) = x.part[i];
}
inline Lanes operator+(Lanes x, const Lanes& y) {
  for (int i = 0; i < kParts; ++i) x.part[i] += y.part[i];
  return x;
}
inline Lanes operator-(Lanes x, const Lanes& y) {
  for (int i = 0; i < kParts; ++i) x.part[i] -= y.part[i];
  return x;
}
inline Lanes operator*(Lanes x, const Lanes& y) {
  for (int i = 0; i < kParts; ++i) x.part[i] *= y.part[i];
  return x;
}
inline Lanes operator/(Lanes x, const Lanes& y) {
  for (int i = 0; i < kParts; ++i) x.part[i] /= y.part[i];
  return x;
}

// yes where x > y, else no; a comparison with NaN does not hold.
inline Lanes where_greater(const Lanes& x, const Lanes& y, const Lanes& yes, const Lanes& no) {
  Lanes out;
  for (int i = 0; i < kParts; ++i) out.part[i] = x.part[i] > y.part[i] ? yes.part[i] : no.part[i];
  return out;
}
inline Part part_max(Part x, Part y) {
#if defined(__AVX512F__)
  return _mm512_max_ps(x, y);
#elif defined(__AVX2__)
  return _mm256_max_ps(x, y);
#else
  return _mm_max_ps(x, y);
#endif
}
inline Part part_min(Part x, Part y) {
#if defined(__AVX512F__)
  return _mm512_min_ps(x, y);
#elif defined(__AVX2__)
  return _mm256_min_ps(x, y);
#else
  return _mm_min_ps(x, y);
#endif
}
// x where x > y, else y: of a NaN and a number, y.
inline Lanes larger(Lanes x, const Lanes& y) {
  for (int i = 0; i < kParts; ++i) x.part[i] = part_max(x.part[i], y.part[i]);
  return x;
}
inline Lanes smaller(Lanes x, const Lanes& y) {
  for (int i = 0; i < kParts; ++i) x.part[i] = part_min(x.part[i], y.part[i]);
  return x;
}
inline Lanes clamp(const Lanes& x, float low, float high) {
  return smaller(larger(x, broadcast(low)), broadcast(high));
}
inline Lanes magnitude(Lanes x) {
  for (int i = 0; i < kParts; ++i) {
    IntPart bits;
    __builtin_memcpy(&bits, &x.part[i], sizeof(bits));
    bits &= 0x7fffffff;
    __builtin_memcpy(&x.part[i], &bits, sizeof(bits));
  }
  return x;
}
// The nearest integer, half to even; |x| < 2^22.
inline Lanes nearest(const Lanes& x) {
  const Lanes rounder = broadcast(12582912.0F);
  return x + rounder - rounder;
}
inline IntLanes truncated(const Lanes& x) {
  IntLanes out;
  for (int i = 0; i < kParts; ++i) out.part[i] = __builtin_convertvector(x.part[i], IntPart);
  return out;
}
inline Lanes as_float(const IntLanes& x) {
  Lanes out;
  for (int i = 0; i < kParts; ++i) out.part[i] = __builtin_convertvector(x.part[i], Part);
  return out;
}
// The low bytes of 16 integers.
inline void store_bytes(std::uint8_t* p, const IntLanes& x) {
  for (int i = 0; i < kParts; ++i) {
    const BytePart bytes = __builtin_convertvector(x.part[i], BytePart);
    __builtin_memcpy(p + i * kWidth, &bytes, sizeof(bytes));
  }
}
inline IntPart lane_numbers() {
  IntPart out;
  for (int i = 0; i < kWidth; ++i) out[i] = i;
  return out;
}
// The largest of the 16.
inline float maximum(const Lanes& x) {
  Part all = x.part[0];
  for (int i = 1; i < kParts; ++i) all = part_max(all, x.part[i]);
  for (int step = kWidth / 2; step > 0; step /= 2) {
    all = part_max(all, __builtin_shuffle(all, lane_numbers() ^ step));
  }
  return all[0];
}
