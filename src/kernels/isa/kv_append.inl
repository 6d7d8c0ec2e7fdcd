// Storing keys and values in the cache's blocks (AttentionKernels::append), written once over 16 lanes.
//
// Needs, before it in the same anonymous namespace: attention_body.inl. Ownership and threads: as attention.h.
// Source: the block layout of kernels/kv_block.h.

inline std::uint16_t bf16_bits(float value) {
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  const std::uint32_t quiet = (bits >> 16) | 0x40U;
  return static_cast<std::uint16_t>((bits & 0x7FFFFFFFU) > 0x7F800000U ? quiet : rounded);
}

// Bytes of 16 elements, and the scale that they lost; NaN where one of the row is no number.
struct Q8Row {
  float inverse;
  float scale;
};
inline Q8Row q8_scale(const float* x, int n) {
  Lanes largest = broadcast(0.0F);
  Lanes finite = broadcast(0.0F);
  for (int d = 0; d < n; d += kWidth) {
    const Lanes v = load(x + d);
    largest = greater(largest, minus(minus_abs(v)));
    finite = fma(v, broadcast(0.0F), finite);
  }
  const float most = maximum(largest);
  return {most > 0.0F ? 127.0F / most : 0.0F, most / 127.0F + sum(finite)};
}

// 16 elements of a row as the type stores them.
inline void encode(KvType type, const float* x, float inverse, std::byte* to) {
  switch (type) {
    case KvType::kF32:
      __builtin_memcpy(to, x, 64);
      return;
    case KvType::kF16:
      store_halves(to, load(x));
      return;
    case KvType::kBF16:
      for (int i = 0; i < kWidth; ++i) {
        const std::uint16_t half = bf16_bits(x[i]);
        __builtin_memcpy(to + i * 2, &half, 2);
      }
      return;
    case KvType::kQ8: {
      float rounded[kWidth];
      store(rounded, add(mul(load(x), broadcast(inverse)), broadcast(kRounder)));
      for (int i = 0; i < kWidth; ++i)
        to[i] = static_cast<std::byte>(__builtin_bit_cast(std::uint32_t, rounded[i]));
      return;
    }
  }
}

template <int Bytes, int Step>
void scatter(const std::byte* from, std::byte* to, std::int64_t to_stride) {
  for (int i = 0; i < kWidth / Step; ++i) __builtin_memcpy(to + i * to_stride, from + i * Bytes, Bytes);
}

inline void append(const KvRows& rows, std::byte* block_head) {
  const std::int64_t element = static_cast<std::int64_t>(kv_element_bytes(rows.type));
  const int step = rows.type == KvType::kBF16 || rows.type == KvType::kQ8 ? 2 : 1;
  const std::int64_t lane_bytes = element * step;
  const std::int64_t group_bytes = std::int64_t{kWidth} * rows.head_dim * element;
  std::byte* const values = block_head + 2 * group_bytes;
  auto* const scales = reinterpret_cast<float*>(block_head + 4 * group_bytes);
  std::byte encoded[64];
  for (int i = 0; i < rows.n_rows; ++i) {
    const int slot = rows.first_slot + i;
    const float* k = rows.k + i * rows.k_stride;
    const float* v = rows.v + i * rows.v_stride;
    Q8Row of_key = {};
    Q8Row of_value = {};
    if (rows.type == KvType::kQ8) {
      of_key = q8_scale(k, rows.head_dim);
      of_value = q8_scale(v, rows.head_dim);
      // A value that is no number makes its weight none.
      scales[slot] = of_key.scale + 0.0F * of_value.scale;
      scales[kBlock + slot] = of_value.scale - of_value.scale == 0.0F ? of_value.scale : 0.0F;
    }
    std::byte* const key_lane = block_head + slot / kWidth * group_bytes + slot % kWidth * lane_bytes;
    std::byte* const value_line =
        values + slot / step * (std::int64_t{rows.head_dim} * lane_bytes) + slot % step * element;
    for (int d = 0; d < rows.head_dim; d += kWidth) {
      std::byte* const key = key_lane + d / step * (kWidth * lane_bytes);
      encode(rows.type, k + d, of_key.inverse, encoded);
      switch (rows.type) {
        case KvType::kF32:
          scatter<4, 1>(encoded, key, 64);
          break;
        case KvType::kF16:
          scatter<2, 1>(encoded, key, 32);
          break;
        case KvType::kBF16:
          scatter<4, 2>(encoded, key, 64);
          break;
        case KvType::kQ8:
          scatter<2, 2>(encoded, key, 32);
          break;
      }
      std::byte* const value = value_line + d * lane_bytes;
      encode(rows.type, v + d, of_value.inverse, encoded);
      switch (rows.type) {
        case KvType::kF32:
          __builtin_memcpy(value, encoded, 64);
          break;
        case KvType::kF16:
          __builtin_memcpy(value, encoded, 32);
          break;
        case KvType::kBF16:
          scatter<2, 1>(encoded, value, 4);
          break;
        case KvType::kQ8:
          scatter<1, 1>(encoded, value, 2);
          break;
      }
    }
  }
}
