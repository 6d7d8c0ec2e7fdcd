// Decoders of single blocks, written once over 16 codes in a 128-bit register.
//
// Needs, before it in the same anonymous namespace: emit(out, codes, scale): out[i] = round(codes[i] · scale),
// and emit_plus(out, codes, scale, offset): out[i] = round(round(codes[i] · scale) + offset), both for 16
// signed bytes; and <immintrin.h>, <cstdint> outside of it. Nothing here may come from a header whose inline
// code the baseline shares. Ownership and threads: as decode_rows.h. Source: as decode_rows.h.

using u8 = std::uint8_t;

inline __m128i load_codes(const u8* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline float half_at(const u8* p) {
  std::uint16_t bits;
  __builtin_memcpy(&bits, p, 2);
  return _cvtsh_ss(bits);
}
inline __m128i low_nibbles(__m128i x) {
  return _mm_and_si128(x, _mm_set1_epi8(15));
}
inline __m128i high_nibbles(__m128i x) {
  return low_nibbles(_mm_srli_epi16(x, 4));
}
// Bits `shift` and above of each byte, cut to `mask`.
inline __m128i field(__m128i x, int shift, char mask) {
  return _mm_and_si128(_mm_srl_epi16(x, _mm_cvtsi32_si128(shift)), _mm_set1_epi8(mask));
}
// `value` in byte i where bit i of the two bytes at p is set, else 0.
inline __m128i spread_bits(const u8* p, char value) {
  std::uint16_t bits;
  __builtin_memcpy(&bits, p, 2);
  const __m128i bytes = _mm_shuffle_epi8(_mm_set1_epi16(static_cast<short>(bits)),
                                         _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
  const __m128i bit = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(bytes, bit), bit), _mm_set1_epi8(value));
}
inline __m128i non_linear(__m128i nibbles) {
  const __m128i table =
      _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
  return _mm_shuffle_epi8(table, nibbles);
}

void q4_1(const u8* b, float* out) {
  const float d = half_at(b);
  const float m = half_at(b + 2);
  const __m128i q = load_codes(b + 4);
  emit_plus(out, low_nibbles(q), d, m);
  emit_plus(out + 16, high_nibbles(q), d, m);
}

void q5_0(const u8* b, float* out) {
  const float d = half_at(b);
  const __m128i q = load_codes(b + 6);
  const __m128i zero_point = _mm_set1_epi8(16);
  emit(out, _mm_sub_epi8(_mm_or_si128(low_nibbles(q), spread_bits(b + 2, 16)), zero_point), d);
  emit(out + 16, _mm_sub_epi8(_mm_or_si128(high_nibbles(q), spread_bits(b + 4, 16)), zero_point), d);
}

void q5_1(const u8* b, float* out) {
  const float d = half_at(b);
  const float m = half_at(b + 2);
  const __m128i q = load_codes(b + 8);
  emit_plus(out, _mm_or_si128(low_nibbles(q), spread_bits(b + 4, 16)), d, m);
  emit_plus(out + 16, _mm_or_si128(high_nibbles(q), spread_bits(b + 6, 16)), d, m);
}

void iq4_nl(const u8* b, float* out) {
  const float d = half_at(b);
  const __m128i q = load_codes(b + 2);
  emit(out, non_linear(low_nibbles(q)), d);
  emit(out + 16, non_linear(high_nibbles(q)), d);
}

void iq4_xs(const u8* b, float* out) {
  const float d = half_at(b);
  const int high = b[2] | b[3] << 8;
  for (int j = 0; j < 8; ++j, out += 32) {
    const int code = (b[4 + j / 2] >> 4 * (j % 2) & 15) | (high >> 2 * j & 3) << 4;
    const float scale = d * static_cast<float>(code - 32);
    const __m128i q = load_codes(b + 8 + 16 * j);
    emit(out, non_linear(low_nibbles(q)), scale);
    emit(out + 16, non_linear(high_nibbles(q)), scale);
  }
}

void q2_k(const u8* b, float* out) {
  const float d = half_at(b + 80);
  const float dmin = half_at(b + 82);
  for (int group = 0; group < 16; ++group, out += 16) {
    const float scale = d * static_cast<float>(b[group] & 15);
    const float min = dmin * static_cast<float>(b[group] >> 4);
    const __m128i q = load_codes(b + 16 + 32 * (group / 8) + 16 * (group % 2));
    emit_plus(out, field(q, 2 * (group % 8 / 2), 3), scale, -min);
  }
}

void q3_k(const u8* b, float* out) {
  const u8* packed_scales = b + 96;
  const float d = half_at(b + 108);
  for (int group = 0; group < 16; ++group, out += 16) {
    const int low4 = group < 8 ? packed_scales[group] & 15 : packed_scales[group - 8] >> 4;
    const int high2 = packed_scales[8 + group % 4] >> 2 * (group / 4) & 3;
    const float scale = d * static_cast<float>((low4 | high2 << 4) - 32);
    const int offset = 16 * (group % 2);
    const __m128i q = load_codes(b + 32 + 32 * (group / 8) + offset);
    const __m128i third = _mm_slli_epi16(field(load_codes(b + offset), group / 2, 1), 2);
    const __m128i code = _mm_or_si128(field(q, 2 * (group % 8 / 2), 3), third);
    emit(out, _mm_sub_epi8(code, _mm_set1_epi8(4)), scale);
  }
}

template <void (*kDecode)(const u8*, float*), std::size_t kBlock, std::size_t kBytes>
void decode_blocks(const std::byte* blocks, std::size_t n_elements, float* out) {
  const u8* b = reinterpret_cast<const u8*>(blocks);
  for (std::size_t i = 0; i + kBlock <= n_elements; i += kBlock, b += kBytes) kDecode(b, out + i);
}

void decode(DType type, const std::byte* blocks, std::size_t n_elements, float* out) {
  switch (type) {
    case DType::kQ4_1:
      return decode_blocks<q4_1, 32, 20>(blocks, n_elements, out);
    case DType::kQ5_0:
      return decode_blocks<q5_0, 32, 22>(blocks, n_elements, out);
    case DType::kQ5_1:
      return decode_blocks<q5_1, 32, 24>(blocks, n_elements, out);
    case DType::kIQ4_NL:
      return decode_blocks<iq4_nl, 32, 18>(blocks, n_elements, out);
    case DType::kIQ4_XS:
      return decode_blocks<iq4_xs, 256, 136>(blocks, n_elements, out);
    case DType::kQ2_K:
      return decode_blocks<q2_k, 256, 84>(blocks, n_elements, out);
    case DType::kQ3_K:
      return decode_blocks<q3_k, 256, 110>(blocks, n_elements, out);
    default:
      return decode_row(type, blocks, n_elements, out);
  }
}
