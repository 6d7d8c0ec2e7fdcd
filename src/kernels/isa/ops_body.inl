// The kernels of ops.h, written once over `Lanes`: 16 fp32 lanes and their operations, which the including
// unit defines for its instruction set together with kPairs and kLines, the register block of attention.
//
// Included inside the unit's anonymous namespace: nothing here may come from a header whose inline code the
// baseline shares. Ownership and threads: as ops.h. Source: as ops.h; kernels specification 3.10 (no shared
// inline code between instruction sets).

constexpr int kWidth = 16;
constexpr int kChunk = 256;
// Scores of one pair; not a power of two, so that the pairs of a register block do not share a cache set.
constexpr int kScoreStride = kChunk + kWidth;
constexpr float kMinusInfinity = -__builtin_inff();
constexpr float kLog2E = 0x1.715476p+0F;
constexpr float kLog2ERest = 0x1.4ae0cp-26F;
// Adding it rounds to an integer, half to even, whose low bits are then the sum's low bits.
constexpr float kRounder = 12582912.0F;

// 2^fraction · 2^n for |fraction| <= 1/2 and `shifted` = kRounder + n.
inline Lanes scaled_power(Lanes fraction, Lanes shifted) {
  Lanes p = broadcast(0x1.444004p-13F);
  p = fma(p, fraction, broadcast(0x1.5f0896p-10F));
  p = fma(p, fraction, broadcast(0x1.3b2a1cp-7F));
  p = fma(p, fraction, broadcast(0x1.c6af6cp-5F));
  p = fma(p, fraction, broadcast(0x1.ebfbe0p-3F));
  p = fma(p, fraction, broadcast(0x1.62e430p-1F));
  p = fma(p, fraction, broadcast(1.0F));
  return add_to_exponent(p, shifted);
}

inline Lanes exp2_lanes(Lanes t) {
  const Lanes shifted = add(t, broadcast(kRounder));
  const Lanes fraction = sub(t, sub(shifted, broadcast(kRounder)));
  return zero_where_less(t, -126.0F, scaled_power(fraction, shifted));
}

inline Lanes silu_lanes(Lanes x) {
  const Lanes a = minus_abs(x);
  const Lanes shifted = fma(a, broadcast(kLog2E), broadcast(kRounder));
  const Lanes n = sub(shifted, broadcast(kRounder));
  const Lanes fraction = fma(a, broadcast(kLog2ERest), fma(a, broadcast(kLog2E), minus(n)));
  const Lanes e = zero_where_less(a, -87.0F, scaled_power(fraction, shifted));
  // The bound keeps minus infinity times 0 away and lets NaN through.
  const Lanes numerator = where_less(x, 0.0F, mul(greater(broadcast(-128.0F), x), e), x);
  return div(numerator, add(broadcast(1.0F), e));
}

inline float inverse_rms(const float* x, std::int64_t width, float eps) {
  Lanes squares = broadcast(0.0F);
  std::int64_t i = 0;
  for (; i + kWidth <= width; i += kWidth) {
    const Lanes v = load(x + i);
    squares = fma(v, v, squares);
  }
  if (i < width) {
    const Lanes v = load_some(x + i, static_cast<int>(width - i));
    squares = fma(v, v, squares);
  }
  const float mean = sum(squares) / static_cast<float>(width);
  return 1.0F / __builtin_sqrtf(mean + eps);
}

void rmsnorm(const float* x, std::int64_t width, const float* weight, float eps, float* y) {
  const Lanes r = broadcast(inverse_rms(x, width, eps));
  std::int64_t i = 0;
  for (; i + kWidth <= width; i += kWidth) store(y + i, mul(mul(load(x + i), r), load(weight + i)));
  if (const int n = static_cast<int>(width - i); n > 0) {
    store_some(y + i, mul(mul(load_some(x + i, n), r), load_some(weight + i, n)), n);
  }
}

void rmsnorm_add(const float* x, std::int64_t width, const float* weight, float eps, float* residual) {
  const Lanes r = broadcast(inverse_rms(x, width, eps));
  std::int64_t i = 0;
  for (; i + kWidth <= width; i += kWidth) {
    store(residual + i, add(load(residual + i), mul(mul(load(x + i), r), load(weight + i))));
  }
  if (const int n = static_cast<int>(width - i); n > 0) {
    const Lanes y = mul(mul(load_some(x + i, n), r), load_some(weight + i, n));
    store_some(residual + i, add(load_some(residual + i, n), y), n);
  }
}

void add_rows(const float* x, std::int64_t width, float* residual) {
  std::int64_t i = 0;
  for (; i + kWidth <= width; i += kWidth) store(residual + i, add(load(residual + i), load(x + i)));
  if (const int n = static_cast<int>(width - i); n > 0) {
    store_some(residual + i, add(load_some(residual + i, n), load_some(x + i, n)), n);
  }
}

void rope(float* x, int head_dim, const float* cos, const float* sin) {
  const int half = head_dim / 2;
  for (int j = 0; j < half; j += kWidth) {
    const int n = half - j < kWidth ? half - j : kWidth;
    const Lanes low = load_some(x + j, n);
    const Lanes high = load_some(x + half + j, n);
    const Lanes c = load_some(cos + j, n);
    const Lanes s = load_some(sin + j, n);
    store_some(x + j, sub(mul(low, c), mul(high, s)), n);
    store_some(x + half + j, add(mul(high, c), mul(low, s)), n);
  }
}

void silu_mul(float* gate, const float* up, std::int64_t width) {
  std::int64_t i = 0;
  for (; i + kWidth <= width; i += kWidth) store(gate + i, mul(silu_lanes(load(gate + i)), load(up + i)));
  if (const int n = static_cast<int>(width - i); n > 0) {
    store_some(gate + i, mul(silu_lanes(load_some(gate + i, n)), load_some(up + i, n)), n);
  }
}

inline std::uint32_t bf16_bits(float value) {
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  const std::uint32_t quiet = (bits >> 16) | 0x40U;
  return (bits & 0x7FFFFFFFU) > 0x7F800000U ? quiet : rounded;
}

void append_kv(const KvRows& rows, std::byte* block_head) {
  const std::int64_t d_count = rows.head_dim;
  const std::int64_t element = rows.type == KvType::kF32 ? 4 : 2;
  std::byte* const keys = block_head;
  std::byte* const values = block_head + kKvBlock * d_count * element;
  for (int i = 0; i < rows.n_rows; ++i) {
    const std::int64_t slot = rows.first_slot + i;
    const float* k = rows.k + i * rows.k_stride;
    const float* v = rows.v + i * rows.v_stride;
    std::byte* const key_group = keys + slot / kWidth * (kWidth * d_count * element) + slot % kWidth * 4;
    if (rows.type == KvType::kF32) {
      for (std::int64_t d = 0; d < d_count; ++d) __builtin_memcpy(key_group + d * 64, k + d, 4);
      __builtin_memcpy(values + slot * d_count * 4, v, static_cast<std::size_t>(d_count) * 4);
      continue;
    }
    for (std::int64_t d = 0; d < d_count; d += 2) {
      const std::uint32_t pair = bf16_bits(k[d]) | (bf16_bits(k[d + 1]) << 16);
      __builtin_memcpy(key_group + d * 32, &pair, 4);
    }
    std::byte* const value_pair = values + slot / 2 * (d_count * 4) + slot % 2 * 2;
    for (std::int64_t d = 0; d < d_count; ++d) {
      const auto half = static_cast<std::uint16_t>(bf16_bits(v[d]));
      __builtin_memcpy(value_pair + d * 4, &half, 2);
    }
  }
}

// Scores of kPairs-or-fewer pairs against `Groups` groups of 16 keys.
template <int Pairs, int Groups, bool Bf16>
void score_groups(const std::byte* keys, const float* q, int head_dim, float* scores) {
  Lanes acc[Pairs][Groups];
  for (int r = 0; r < Pairs; ++r) {
    for (int g = 0; g < Groups; ++g) acc[r][g] = broadcast(0.0F);
  }
  const std::int64_t group_bytes = std::int64_t{kWidth} * head_dim * (Bf16 ? 2 : 4);
  for (int d = 0; d < head_dim; d += Bf16 ? 2 : 1) {
    Lanes first[Groups];
    for (int g = 0; g < Groups; ++g) {
      const std::byte* line = keys + g * group_bytes + (Bf16 ? d * 32 : d * 64);
      first[g] = Bf16 ? low_halves(line) : load(reinterpret_cast<const float*>(line));
    }
#pragma GCC unroll 8
    for (int r = 0; r < Pairs; ++r) {
      const Lanes query = broadcast(q[r * head_dim + d]);
#pragma GCC unroll 4
      for (int g = 0; g < Groups; ++g) acc[r][g] = fma(query, first[g], acc[r][g]);
    }
    if constexpr (Bf16) {
      Lanes second[Groups];
      for (int g = 0; g < Groups; ++g) second[g] = high_halves(keys + g * group_bytes + d * 32);
#pragma GCC unroll 8
      for (int r = 0; r < Pairs; ++r) {
        const Lanes query = broadcast(q[r * head_dim + d + 1]);
#pragma GCC unroll 4
        for (int g = 0; g < Groups; ++g) acc[r][g] = fma(query, second[g], acc[r][g]);
      }
    }
  }
  for (int r = 0; r < Pairs; ++r) {
    for (int g = 0; g < Groups; ++g) store(scores + r * kScoreStride + g * kWidth, acc[r][g]);
  }
}

// The kv head's part of the chunk's blocks.
struct Chunk {
  const std::byte* blocks[kChunk / kKvBlock];
  int head_dim;
  std::int64_t values_offset;
};

// o += weights · values for slots [begin, end) of the chunk and `Lines` lines of d; bf16: begin and end even.
template <int Pairs, int Lines, bool Bf16>
void add_values(const Chunk& chunk, int begin, int end, int d, const float* weights, float* o) {
  Lanes acc[Pairs][Lines];
  for (int r = 0; r < Pairs; ++r) {
    for (int j = 0; j < Lines; ++j) acc[r][j] = load(o + r * chunk.head_dim + d + j * kWidth);
  }
  for (int t = begin; t < end;) {
    const int block = t / static_cast<int>(kKvBlock);
    const int block_end = (block + 1) * static_cast<int>(kKvBlock);
    const std::byte* values = chunk.blocks[block] + chunk.values_offset;
    for (const int stop = block_end < end ? block_end : end; t < stop; t += Bf16 ? 2 : 1) {
      const int slot = t % static_cast<int>(kKvBlock);
      const std::byte* line = values + (Bf16 ? slot / 2 : slot) * (chunk.head_dim * 4) + d * 4;
      Lanes first[Lines];
      for (int j = 0; j < Lines; ++j) {
        first[j] = Bf16 ? low_halves(line + j * 64) : load(reinterpret_cast<const float*>(line + j * 64));
      }
#pragma GCC unroll 8
      for (int r = 0; r < Pairs; ++r) {
        const Lanes weight = broadcast(weights[r * kScoreStride + t]);
#pragma GCC unroll 4
        for (int j = 0; j < Lines; ++j) acc[r][j] = fma(weight, first[j], acc[r][j]);
      }
      if constexpr (Bf16) {
        Lanes second[Lines];
        for (int j = 0; j < Lines; ++j) second[j] = high_halves(line + j * 64);
#pragma GCC unroll 8
        for (int r = 0; r < Pairs; ++r) {
          const Lanes weight = broadcast(weights[r * kScoreStride + t + 1]);
#pragma GCC unroll 4
          for (int j = 0; j < Lines; ++j) acc[r][j] = fma(weight, second[j], acc[r][j]);
        }
      }
    }
  }
  for (int r = 0; r < Pairs; ++r) {
    for (int j = 0; j < Lines; ++j) store(o + r * chunk.head_dim + d + j * kWidth, acc[r][j]);
  }
}

// o += weight · value of one slot, for one pair.
template <bool Bf16>
void add_value(const Chunk& chunk, int t, float weight, float* o) {
  const int slot = t % static_cast<int>(kKvBlock);
  const std::byte* line = chunk.blocks[t / static_cast<int>(kKvBlock)] + chunk.values_offset +
                          (Bf16 ? slot / 2 : slot) * (chunk.head_dim * 4);
  for (int d = 0; d < chunk.head_dim; d += kWidth, line += 64) {
    const Lanes v = Bf16 ? (slot % 2 == 0 ? low_halves(line) : high_halves(line))
                         : load(reinterpret_cast<const float*>(line));
    store(o + d, fma(broadcast(weight), v, load(o + d)));
  }
}

// One (row, head) of a tile: its query times log2(e) / sqrt(head_dim), and the state of its softmax.
struct Pair {
  const float* q;
  float* o;
  float* sums;  // [16]
  float* max;
  int begin;  // visible slots of the chunk
  int end;
};

template <int Pairs, bool Bf16>
void attend_chunk(const Chunk& chunk, Pair* pairs, float* scores) {
  constexpr int kBlock = static_cast<int>(kKvBlock);
  const int head_dim = chunk.head_dim;
  int begin = kChunk;
  int end = 0;
  int common_begin = 0;
  int common_end = kChunk;
  for (int r = 0; r < Pairs; ++r) {
    begin = pairs[r].begin < begin ? pairs[r].begin : begin;
    end = pairs[r].end > end ? pairs[r].end : end;
    common_begin = pairs[r].begin > common_begin ? pairs[r].begin : common_begin;
    common_end = pairs[r].end < common_end ? pairs[r].end : common_end;
  }
  for (int t = begin / kBlock * kBlock; t < end; t += kBlock) {
    const std::int64_t group_bytes = std::int64_t{kWidth} * head_dim * (Bf16 ? 2 : 4);
    for (int g = 0; g < 2; g += kLines) {
      score_groups<Pairs, kLines, Bf16>(chunk.blocks[t / kBlock] + g * group_bytes, pairs[0].q, head_dim,
                                        scores + t + g * kWidth);
    }
  }

  for (int r = 0; r < Pairs; ++r) {
    const Pair& pair = pairs[r];
    float* s = scores + r * kScoreStride;
    Lanes max = broadcast(kMinusInfinity);
    for (int t = pair.begin / kWidth * kWidth; t < pair.end; t += kWidth) {
      // Minus infinity as a score becomes a weight of exactly 0.
      const Lanes visible = keep_range(load(s + t), pair.begin - t, pair.end - t, kMinusInfinity);
      store(s + t, visible);
      max = greater(max, visible);
    }
    const float chunk_max = maximum(max);
    const float new_max = *pair.max > chunk_max ? *pair.max : chunk_max;
    const Lanes correction = exp2_lanes(broadcast(*pair.max - new_max));
    *pair.max = new_max;
    Lanes total = mul(load(pair.sums), correction);
    for (int t = pair.begin / kWidth * kWidth; t < pair.end; t += kWidth) {
      const Lanes weight = exp2_lanes(sub(load(s + t), broadcast(new_max)));
      store(s + t, weight);
      total = add(total, weight);
    }
    store(pair.sums, total);
    for (int d = 0; d < head_dim; d += kWidth) store(pair.o + d, mul(load(pair.o + d), correction));
  }

  common_begin = (common_begin + 1) / 2 * 2;
  common_end = common_end / 2 * 2;
  if (common_begin >= common_end) {
    for (int r = 0; r < Pairs; ++r) {
      const float* weights = scores + r * kScoreStride;
      for (int t = pairs[r].begin; t < pairs[r].end; ++t) add_value<Bf16>(chunk, t, weights[t], pairs[r].o);
    }
    return;
  }
  for (int r = 0; r < Pairs; ++r) {
    const float* weights = scores + r * kScoreStride;
    for (int t = pairs[r].begin; t < common_begin; ++t) add_value<Bf16>(chunk, t, weights[t], pairs[r].o);
  }
  int d = 0;
  for (; d + kLines * kWidth <= head_dim; d += kLines * kWidth) {
    add_values<Pairs, kLines, Bf16>(chunk, common_begin, common_end, d, scores, pairs[0].o);
  }
  for (; d < head_dim; d += kWidth) {
    add_values<Pairs, 1, Bf16>(chunk, common_begin, common_end, d, scores, pairs[0].o);
  }
  for (int r = 0; r < Pairs; ++r) {
    const float* weights = scores + r * kScoreStride;
    for (int t = common_end; t < pairs[r].end; ++t) add_value<Bf16>(chunk, t, weights[t], pairs[r].o);
  }
}

// The last 1 … Pairs pairs.
template <int Pairs, bool Bf16>
void attend_rest(const Chunk& chunk, Pair* pairs, int n_pairs, float* scores) {
  if constexpr (Pairs > 0) {
    if (n_pairs == Pairs) return attend_chunk<Pairs, Bf16>(chunk, pairs, scores);
    attend_rest<Pairs - 1, Bf16>(chunk, pairs, n_pairs, scores);
  }
}

template <bool Bf16>
void attend_pairs(const Chunk& chunk, Pair* pairs, int n_pairs, float* scores) {
  for (; n_pairs >= kPairs; n_pairs -= kPairs, pairs += kPairs)
    attend_chunk<kPairs, Bf16>(chunk, pairs, scores);
  attend_rest<kPairs - 1, Bf16>(chunk, pairs, n_pairs, scores);
}

void attention(const AttentionTile& tile, std::byte* scratch) {
  const int head_dim = tile.kv.head_dim;
  const int n_pairs = tile.n_rows * tile.n_heads;
  float* const q = reinterpret_cast<float*>(scratch);
  float* const o = q + kAttentionPairs * head_dim;
  float* const sums = o + kAttentionPairs * head_dim;
  float* const scores = sums + kAttentionPairs * kWidth;
  float max[kAttentionPairs];
  Pair pairs[kAttentionPairs];

  const auto scale = static_cast<float>(1.4426950408889634 / __builtin_sqrt(static_cast<double>(head_dim)));
  for (int i = 0; i < n_pairs; ++i) {
    const float* from = tile.q + i / tile.n_heads * tile.q_stride + i % tile.n_heads * std::int64_t{head_dim};
    for (int d = 0; d < head_dim; d += kWidth) {
      store(q + i * head_dim + d, mul(load(from + d), broadcast(scale)));
      store(o + i * head_dim + d, broadcast(0.0F));
    }
    store(sums + i * kWidth, broadcast(0.0F));
    max[i] = kMinusInfinity;
  }

  const bool causal = tile.n_visible == 0;
  const std::int64_t last = causal ? tile.position + tile.n_rows - 1 : tile.n_visible - 1;
  const std::int64_t oldest =
      tile.window > 0 && tile.position >= tile.window ? tile.position - tile.window + 1 : 0;
  const std::size_t head_bytes = kv_head_bytes(tile.kv.type, head_dim);
  Chunk chunk;
  chunk.head_dim = head_dim;
  chunk.values_offset = static_cast<std::int64_t>(head_bytes / 2);
  for (std::int64_t base = oldest / kChunk * kChunk; base <= last; base += kChunk) {
    // Blocks beyond the visible positions may not exist; their pointers are read here, their contents never.
    for (int b = 0; b < kChunk / static_cast<int>(kKvBlock); ++b) {
      const std::int64_t index = (base / kKvBlock + b) % tile.kv.n_blocks;
      chunk.blocks[b] = tile.kv.blocks[index] + static_cast<std::size_t>(tile.kv_head) * head_bytes;
    }
    int first_pair = n_pairs;
    int n_active = 0;
    for (int i = 0; i < n_pairs; ++i) {
      const std::int64_t position = tile.position + i / tile.n_heads;
      const std::int64_t begin = tile.window > 0 ? position - tile.window + 1 - base : -base;
      const std::int64_t end = (causal ? position + 1 : tile.n_visible) - base;
      const int visible_begin = begin > 0 ? (begin < kChunk ? static_cast<int>(begin) : kChunk) : 0;
      const int visible_end = end > 0 ? (end < kChunk ? static_cast<int>(end) : kChunk) : 0;
      if (visible_begin >= visible_end) continue;
      // Both ends grow with the position, so that the pairs which see anything are neighbours.
      if (n_active == 0) first_pair = i;
      ++n_active;
      pairs[i] = {q + i * head_dim, o + i * head_dim, sums + i * kWidth, max + i, visible_begin, visible_end};
    }
    if (tile.kv.type == KvType::kBF16) {
      attend_pairs<true>(chunk, pairs + first_pair, n_active, scores);
    } else {
      attend_pairs<false>(chunk, pairs + first_pair, n_active, scores);
    }
  }

  for (int i = 0; i < n_pairs; ++i) {
    float* to = tile.out + i / tile.n_heads * tile.out_stride + i % tile.n_heads * std::int64_t{head_dim};
    const Lanes total = broadcast(sum(load(sums + i * kWidth)));
    for (int d = 0; d < head_dim; d += kWidth) store(to + d, div(load(o + i * head_dim + d), total));
  }
}

constexpr OpsKernels kKernels = {rmsnorm, rmsnorm_add, add_rows, rope, silu_mul, append_kv, attention};
