// The kernels of attention.h, written once over 16 fp32 lanes.
//
// Needs, before it in the same anonymous namespace: `Lanes` with its operations (lanes_*.inl), kPairs (most
// pairs of a register block) and kLines (lines of eight pairs' register block); and attention.h outside of it.
//
// A form says how one type of keys and values is multiplied: a line of 16 lanes holds kStep of head_dim
// (keys) or kStep positions (values), its counterpart in a query or a row of weights takes kOperands floats
// of memory. Nothing here may come from a header whose inline code the baseline shares. Ownership and threads: as attention.h. Source: as attention.h; kernels
// specification 3.10.

#include "kernels/isa/exp2.inl"

constexpr int kBlock = static_cast<int>(kKvBlock);
constexpr int kChunk = 256;
// Scores of one pair; not a power of two, so that the pairs of a register block do not share a cache set.
constexpr int kScoreStride = kChunk + kWidth;
constexpr float kMostWord = 32767.0F;

struct F32Form {
  using Line = Lanes;
  using Sums = Lanes;
  static constexpr KvType kType = KvType::kF32;
  static constexpr int kStep = 1;
  static constexpr int kOperands = 1;
  static constexpr int kLineBytes = 64;
  static Line line(const std::byte* p) { return load(reinterpret_cast<const float*>(p)); }
  static Line part(const std::byte* p, bool, bool) { return line(p); }
  static Sums step(const float* a, Line b, Sums sums) { return fma(broadcast(*a), b, sums); }
  // Queries: 32 or fewer of head_dim.
  static void set_query(Lanes q, float* to) { store(to, q); }
  // Weights of 32 positions, over their scores or before them.
  static Lanes set_weights(Lanes first, Lanes second, float* weights, int t, Lanes total) {
    store(weights + t, first);
    store(weights + t + kWidth, second);
    return add(add(total, first), second);
  }
};

struct F16Form : F32Form {
  static constexpr KvType kType = KvType::kF16;
  static constexpr int kLineBytes = 32;
  static Line line(const std::byte* p) { return load_halves(p); }
  static Line part(const std::byte* p, bool, bool) { return line(p); }
};

struct Bf16Form {
  struct Line {
    Lanes even, odd;
  };
  using Sums = Lanes;
  static constexpr KvType kType = KvType::kBF16;
  static constexpr int kStep = 2;
  static constexpr int kOperands = 2;
  static constexpr int kLineBytes = 64;
  static Line line(const std::byte* p) { return {low_halves(p), high_halves(p)}; }
  static Line part(const std::byte* p, bool even, bool odd) {
    return {even ? low_halves(p) : broadcast(0.0F), odd ? high_halves(p) : broadcast(0.0F)};
  }
  static Sums step(const float* a, Line b, Sums sums) {
    return fma(broadcast(a[0]), b.even, fma(broadcast(a[1]), b.odd, sums));
  }
  static void set_query(Lanes q, float* to) { store(to, round_bf16(q)); }
  static Lanes set_weights(Lanes first, Lanes second, float* weights, int t, Lanes total) {
    store(weights + t, round_bf16(first));
    store(weights + t + kWidth, round_bf16(second));
    return add_neighbours(weights + t, total);
  }
};

struct Q8Form {
  using Line = Words;
  using Sums = Ints;
  static constexpr KvType kType = KvType::kQ8;
  static constexpr int kStep = 2;
  static constexpr int kOperands = 1;
  static constexpr int kLineBytes = 32;
  static Line line(const std::byte* p) { return load_bytes(p); }
  static Sums step(const float* a, Line b, Sums sums) { return add_word_products(sums, a, b); }
};

template <typename Form>
constexpr bool kIsInteger = Form::kType == KvType::kQ8;

template <typename Form>
inline typename Form::Sums zero_sums() {
  if constexpr (kIsInteger<Form>) {
    return zero_ints();
  } else {
    return broadcast(0.0F);
  }
}

// The kv head's part of the chunk's blocks.
struct Chunk {
  const std::byte* blocks[kChunk / kBlock];
  const std::byte* next_blocks[kChunk / kBlock];  // of the chunk after this one
  bool fetches;  // scoring asks for the block's values, adding values for the next chunk's keys
  int head_dim;
  std::int64_t values_offset;
  std::int64_t scales_offset;  // q8

  const float* key_scales(int t) const {
    return reinterpret_cast<const float*>(blocks[t / kBlock] + scales_offset) + t % kBlock;
  }
  const float* value_scales(int t) const { return key_scales(t) + kBlock; }
};

// One (row, head) of a tile and the state of its softmax.
struct Pair {
  const float* q;  // operands
  float q_scale;   // q8: of the query's integers
  float* o;        // [head_dim], then 16 lanes of l
  float* max;
  int begin;  // visible slots of the chunk
  int end;
};

// Into the second cache: what is asked for fills the first one twice.
inline void fetch(const std::byte* p) {
  __builtin_prefetch(p, 0, 2);
}

// Scores of the block that holds slot t, a multiple of 32. Queries lie head_dim / kStep · kOperands apart.
template <typename Form, int Rows>
void score_block(const Chunk& chunk, const Pair* pairs, int t, float* scores) {
  const int n_steps = chunk.head_dim / Form::kStep;
  const int q_stride = n_steps * Form::kOperands;
  const std::int64_t group_bytes = std::int64_t{n_steps} * Form::kLineBytes;
  const float* const queries = pairs[0].q;
  for (int g = 0; g < 2; g += kLines) {
    const std::byte* line = chunk.blocks[t / kBlock] + g * group_bytes;
    typename Form::Sums sums[Rows][kLines];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
      for (int j = 0; j < kLines; ++j) sums[r][j] = zero_sums<Form>();
    }
    const float* query = queries;
    for (int s = 0; s < n_steps; ++s, line += Form::kLineBytes, query += Form::kOperands) {
      typename Form::Line lines[kLines];
#pragma GCC unroll 4
      for (int j = 0; j < kLines; ++j) {
        lines[j] = Form::line(line + j * group_bytes);
        if (chunk.fetches) fetch(line + j * group_bytes + chunk.values_offset);
      }
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
        for (int j = 0; j < kLines; ++j) sums[r][j] = Form::step(query + r * q_stride, lines[j], sums[r][j]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
      for (int j = 0; j < kLines; ++j) {
        const int slot = t + (g + j) * kWidth;
        float* const to = scores + r * kScoreStride + slot;
        if constexpr (kIsInteger<Form>) {
          store(to,
                mul(mul(to_floats(sums[r][j]), load(chunk.key_scales(slot))), broadcast(pairs[r].q_scale)));
        } else {
          store(to, sums[r][j]);
        }
      }
    }
  }
}

// Turns the scores of slots [first, stop), multiples of 32, into weights; returns the step of q8's integers.
template <typename Form>
float weigh(const Chunk& chunk, const Pair& pair, int first, int stop, float* s) {
  Lanes max = broadcast(kMinusInfinity);
  for (int t = first; t < stop; t += kWidth) {
    // Minus infinity as a score becomes a weight of exactly 0.
    const Lanes visible = keep_range(load(s + t), pair.begin - t, pair.end - t, kMinusInfinity);
    store(s + t, visible);
    max = greater(max, visible);
  }
  const float chunk_max = maximum(max);
  const float new_max = *pair.max > chunk_max ? *pair.max : chunk_max;
  float* const lanes = pair.o + chunk.head_dim;
  if (new_max != *pair.max) {
    const Lanes correction = exp2_lanes(broadcast(*pair.max - new_max));
    *pair.max = new_max;
    for (int d = 0; d <= chunk.head_dim; d += kWidth) store(pair.o + d, mul(load(pair.o + d), correction));
  }
  Lanes total = load(lanes);
  if constexpr (!kIsInteger<Form>) {
    for (int t = first; t < stop; t += kBlock) {
      const Lanes w0 = exp2_lanes(sub(load(s + t), broadcast(new_max)));
      const Lanes w1 = exp2_lanes(sub(load(s + t + kWidth), broadcast(new_max)));
      total = Form::set_weights(w0, w1, s, t, total);
    }
    store(lanes, total);
    return 1.0F;
  } else {
    Lanes peak = broadcast(0.0F);
    for (int t = first; t < stop; t += kWidth) {
      const Lanes w = exp2_lanes(sub(load(s + t), broadcast(new_max)));
      total = add(total, w);
      const Lanes scales = keep_range(load(chunk.value_scales(t)), pair.begin - t, pair.end - t, 0.0F);
      const Lanes scaled = mul(w, scales);
      store(s + t, scaled);
      peak = greater(peak, scaled);
    }
    store(lanes, total);
    const float largest = maximum(peak);
    const Lanes inverse = broadcast(largest > 0.0F ? kMostWord / largest : 0.0F);
    for (int t = first; t < stop; t += kWidth) store_words(s + t / 2, mul(load(s + t), inverse));
    return largest * (1.0F / kMostWord);
  }
}

// o += weights · values for steps [begin, end) of the chunk and `Lines` lines of d.
template <typename Form, int Rows, int Lines>
void add_values(const Chunk& chunk, int begin, int end, int d, const float* weights, const float* steps,
                float* o) {
  constexpr int kBlockSteps = kBlock / Form::kStep;
  const int o_stride = chunk.head_dim + kWidth;
  const std::int64_t step_bytes = std::int64_t{chunk.head_dim} / kWidth * Form::kLineBytes;
  typename Form::Sums sums[Rows][Lines];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < Lines; ++j) {
      if constexpr (kIsInteger<Form>) {
        sums[r][j] = zero_ints();
      } else {
        sums[r][j] = load(o + r * o_stride + d + j * kWidth);
      }
    }
  }
  for (int s = begin; s < end;) {
    const int block = s / kBlockSteps;
    const int block_end = (block + 1) * kBlockSteps;
    const std::byte* line = chunk.blocks[block] + chunk.values_offset + s % kBlockSteps * step_bytes +
                            d / kWidth * Form::kLineBytes;
    const std::byte* ahead = chunk.next_blocks[block] + (line - chunk.blocks[block] - chunk.values_offset);
    const float* weight = weights + s * Form::kOperands;
    for (const int stop = block_end < end ? block_end : end; s < stop;
         ++s, line += step_bytes, ahead += step_bytes, weight += Form::kOperands) {
      typename Form::Line lines[Lines];
#pragma GCC unroll 4
      for (int j = 0; j < Lines; ++j) {
        lines[j] = Form::line(line + j * Form::kLineBytes);
        if (chunk.fetches) fetch(ahead + j * Form::kLineBytes);
      }
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
        for (int j = 0; j < Lines; ++j)
          sums[r][j] = Form::step(weight + r * kScoreStride, lines[j], sums[r][j]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < Lines; ++j) {
      float* const to = o + r * o_stride + d + j * kWidth;
      if constexpr (kIsInteger<Form>) {
        store(to, fma(to_floats(sums[r][j]), broadcast(steps[r]), load(to)));
      } else {
        store(to, sums[r][j]);
      }
    }
  }
}

// o += weights · values of one step that `pair` sees at least partly, and of it only what the pair sees.
template <typename Form>
void add_step(const Chunk& chunk, const Pair& pair, int step, const float* weights) {
  constexpr int kBlockSteps = kBlock / Form::kStep;
  const std::int64_t step_bytes = std::int64_t{chunk.head_dim} / kWidth * Form::kLineBytes;
  const std::byte* line =
      chunk.blocks[step / kBlockSteps] + chunk.values_offset + step % kBlockSteps * step_bytes;
  const bool even = step * 2 >= pair.begin;
  const bool odd = step * 2 + 1 < pair.end;
  for (int d = 0; d < chunk.head_dim; d += kWidth, line += Form::kLineBytes) {
    store(pair.o + d,
          Form::step(weights + step * Form::kOperands, Form::part(line, even, odd), load(pair.o + d)));
  }
}

template <typename Form, int Rows>
void add_all_values(const Chunk& chunk, int begin, int end, const float* weights, const float* steps,
                    float* o) {
  // Few rows leave registers for more lines, and memory is then read in longer pieces.
  constexpr int kWide = Rows <= 5 ? 2 * kLines : kLines;
  int d = 0;
  for (; d + kWide * kWidth <= chunk.head_dim; d += kWide * kWidth) {
    add_values<Form, Rows, kWide>(chunk, begin, end, d, weights, steps, o);
  }
  for (; d < chunk.head_dim; d += kWidth) add_values<Form, Rows, 1>(chunk, begin, end, d, weights, steps, o);
}

template <typename Form, int Rows>
void attend_chunk(const Chunk& chunk, const Pair* pairs, float* scores) {
  int begin = kChunk;
  int end = 0;
  int common_begin = 0;
  int common_end = kChunk;
  for (int r = 0; r < Rows; ++r) {
    begin = pairs[r].begin < begin ? pairs[r].begin : begin;
    end = pairs[r].end > end ? pairs[r].end : end;
    common_begin = pairs[r].begin > common_begin ? pairs[r].begin : common_begin;
    common_end = pairs[r].end < common_end ? pairs[r].end : common_end;
  }
  const int first = begin / kBlock * kBlock;
  const int stop = (end + kBlock - 1) / kBlock * kBlock;
  for (int t = first; t < stop; t += kBlock) score_block<Form, Rows>(chunk, pairs, t, scores);
  float steps[Rows];
  for (int r = 0; r < Rows; ++r)
    steps[r] = weigh<Form>(chunk, pairs[r], first, stop, scores + r * kScoreStride);

  if constexpr (kIsInteger<Form>) {
    // Whatever integers invisible values are, weights of 0 take them out.
    add_all_values<Form, Rows>(chunk, begin / 2, (end + 1) / 2, scores, steps, pairs[0].o);
    return;
  } else {
    // Invisible values may be no numbers: what only some pairs see is added pair by pair.
    int common = (common_begin + Form::kStep - 1) / Form::kStep;
    const int common_stop = common_end / Form::kStep;
    const bool shares = common < common_stop;
    for (int r = 0; r < Rows; ++r) {
      const int row_stop = shares ? common : (pairs[r].end + Form::kStep - 1) / Form::kStep;
      for (int s = pairs[r].begin / Form::kStep; s < row_stop; ++s) {
        add_step<Form>(chunk, pairs[r], s, scores + r * kScoreStride);
      }
    }
    if (!shares) return;
    add_all_values<Form, Rows>(chunk, common, common_stop, scores, steps, pairs[0].o);
    for (int r = 0; r < Rows; ++r) {
      const int row_stop = (pairs[r].end + Form::kStep - 1) / Form::kStep;
      for (int s = common_stop; s < row_stop; ++s) {
        add_step<Form>(chunk, pairs[r], s, scores + r * kScoreStride);
      }
    }
  }
}

template <typename Form>
void attend_pairs(const Chunk& chunk, const Pair* pairs, int n_pairs, float* scores) {
  int n = 0;
  for (; n_pairs > 0; n_pairs -= n, pairs += n) {
    if constexpr (kPairs >= 8) {
      if (n_pairs >= 8) {
        n = 8;
        attend_chunk<Form, 8>(chunk, pairs, scores);
        continue;
      }
    }
    if constexpr (kPairs >= 4) {
      if (n_pairs >= 5 && (kPairs >= 8 || n_pairs == 5)) {
        n = 5;
        attend_chunk<Form, 5>(chunk, pairs, scores);
        continue;
      }
      if (n_pairs >= 4) {
        n = 4;
        attend_chunk<Form, 4>(chunk, pairs, scores);
        continue;
      }
      if (n_pairs >= 2) {
        n = 2;
        attend_chunk<Form, 2>(chunk, pairs, scores);
        continue;
      }
    }
    n = 1;
    attend_chunk<Form, 1>(chunk, pairs, scores);
  }
}

// The query's operands; returns q8's step.
template <typename Form>
float set_query(const float* q, Lanes scale, int head_dim, float* to) {
  if constexpr (!kIsInteger<Form>) {
    for (int d = 0; d < head_dim; d += kWidth) {
      // Operands of two floats a step lie as the query does.
      Form::set_query(mul(load(q + d), scale), to + d / Form::kStep * Form::kOperands);
    }
    return 1.0F;
  } else {
    Lanes largest = broadcast(0.0F);
    Lanes finite = broadcast(0.0F);
    for (int d = 0; d < head_dim; d += kWidth) {
      const Lanes x = mul(load(q + d), scale);
      largest = greater(largest, minus(minus_abs(x)));
      finite = fma(x, broadcast(0.0F), finite);
    }
    const float most = maximum(largest);
    const Lanes inverse = broadcast(most > 0.0F ? kMostWord / most : 0.0F);
    for (int d = 0; d < head_dim; d += kWidth) store_words(to + d / 2, mul(mul(load(q + d), scale), inverse));
    return most * (1.0F / kMostWord) + sum(finite);
  }
}

template <typename Form>
__attribute__((noinline)) void attend_span(const AttentionTile& tile, std::int64_t span, std::byte* scratch,
                                           float* state) {
  const int head_dim = tile.kv.head_dim;
  const int n_pairs = tile.n_rows * tile.n_heads;
  const int q_stride = head_dim / Form::kStep * Form::kOperands;
  const int o_stride = head_dim + kWidth;
  float* const q = reinterpret_cast<float*>(scratch);
  float* const scores = q + kAttentionPairs * head_dim;
  float max[kAttentionPairs];
  float q_scale[kAttentionPairs];
  Pair pairs[kAttentionPairs];

  const Lanes scale =
      broadcast(static_cast<float>(1.4426950408889634 / __builtin_sqrt(static_cast<double>(head_dim))));
  for (int i = 0; i < n_pairs; ++i) {
    const float* from = tile.q + i / tile.n_heads * tile.q_stride + i % tile.n_heads * std::int64_t{head_dim};
    q_scale[i] = set_query<Form>(from, scale, head_dim, q + i * q_stride);
    for (int d = 0; d < o_stride; d += kWidth) store(state + i * o_stride + d, broadcast(0.0F));
    max[i] = kMinusInfinity;
  }

  const bool causal = tile.n_visible == 0;
  const std::int64_t window = causal ? tile.window : 0;
  const std::int64_t first_position = span * kAttentionSpan;
  const std::int64_t visible_end = causal ? tile.position + tile.n_rows : tile.n_visible;
  const std::int64_t span_end = first_position + kAttentionSpan;
  const std::int64_t stop = visible_end < span_end ? visible_end : span_end;
  const std::int64_t oldest = window > 0 && tile.position >= window ? tile.position - window + 1 : 0;
  const std::int64_t start = oldest > first_position ? oldest : first_position;
  const std::size_t head_bytes = kv_head_bytes(tile.kv.type, head_dim);
  Chunk chunk;
  chunk.head_dim = head_dim;
  chunk.values_offset = std::int64_t{kBlock} * head_dim / kWidth / Form::kStep * Form::kLineBytes;
  chunk.scales_offset = 2 * chunk.values_offset;
  // A kv head's part of a block is a few KB and its next one lies behind those of all other heads, where the
  // processor's own prefetching starts anew. Many pairs compute for longer than the memory takes.
  chunk.fetches = n_pairs <= 8;
  const std::int64_t first_chunk = start / kChunk * kChunk;
  for (std::int64_t base = first_chunk; base < stop; base += kChunk) {
    // Blocks beyond the visible positions may not exist; their pointers are read here, their contents never.
    const std::int64_t next = base + kChunk < stop ? base + kChunk : base;
    for (int b = 0; b < kChunk / kBlock; ++b) {
      const auto head_of = [&](std::int64_t position) {
        const std::int64_t index = (position / kBlock + b) % tile.kv.n_blocks;
        return tile.kv.blocks[index] + static_cast<std::size_t>(tile.kv_head) * head_bytes;
      };
      chunk.blocks[b] = head_of(base);
      chunk.next_blocks[b] = head_of(next);
      if (chunk.fetches && base == first_chunk && base + b * kBlock < stop) {
        for (std::int64_t i = 0; i < chunk.values_offset; i += 64) fetch(chunk.blocks[b] + i);
      }
    }
    int first_pair = n_pairs;
    int n_active = 0;
    for (int i = 0; i < n_pairs; ++i) {
      const std::int64_t position = tile.position + i / tile.n_heads;
      const std::int64_t begin = window > 0 ? position - window + 1 - base : -base;
      const std::int64_t end = (causal ? position + 1 : tile.n_visible) - base;
      const int visible_begin = begin > 0 ? (begin < kChunk ? static_cast<int>(begin) : kChunk) : 0;
      const int last_visible = end > 0 ? (end < kChunk ? static_cast<int>(end) : kChunk) : 0;
      if (visible_begin >= last_visible) continue;
      // Both ends grow with the position, so that the pairs which see anything are neighbours.
      if (n_active == 0) first_pair = i;
      ++n_active;
      pairs[i] = {q + i * q_stride, q_scale[i], state + i * o_stride, max + i, visible_begin, last_visible};
    }
    attend_pairs<Form>(chunk, pairs + first_pair, n_active, scores);
  }
  for (int i = 0; i < n_pairs; ++i) {
    float* const tail = state + i * o_stride + head_dim;
    const float total = sum(load(tail));
    tail[0] = max[i];
    tail[1] = total;
  }
}

template <typename Form>
void attend(const AttentionTile& tile, std::int64_t span, std::byte* scratch, float* state) {
#if defined(__SSE__)
  constexpr unsigned kFlushSubnormals = 0x8040;  // FTZ, DAZ
  const unsigned saved = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(saved | kFlushSubnormals);
  attend_span<Form>(tile, span, scratch, state);
  __builtin_ia32_ldmxcsr(saved);
#else
  attend_span<Form>(tile, span, scratch, state);
#endif
}

inline void merge(int n_pairs, int head_dim, float* state, const float* later) {
  for (int i = 0; i < n_pairs; ++i, state += head_dim + kWidth, later += head_dim + kWidth) {
    float* const tail = state + head_dim;
    const float* const later_tail = later + head_dim;
    if (later_tail[1] == 0.0F) continue;  // saw nothing
    if (tail[1] == 0.0F) {
      for (int d = 0; d <= head_dim; d += kWidth) store(state + d, load(later + d));
      continue;
    }
    const float max = tail[0] > later_tail[0] ? tail[0] : later_tail[0];
    const Lanes own = exp2_lanes(broadcast(tail[0] - max));
    const Lanes other = exp2_lanes(broadcast(later_tail[0] - max));
    for (int d = 0; d <= head_dim; d += kWidth) {
      store(state + d, fma(load(later + d), other, mul(load(state + d), own)));
    }
    tail[0] = max;
  }
}

inline void finish(const AttentionTile& tile, const float* state) {
  const int head_dim = tile.kv.head_dim;
  for (int i = 0; i < tile.n_rows * tile.n_heads; ++i, state += head_dim + kWidth) {
    float* to = tile.out + i / tile.n_heads * tile.out_stride + i % tile.n_heads * std::int64_t{head_dim};
    const Lanes total = broadcast(state[head_dim + 1]);
    for (int d = 0; d < head_dim; d += kWidth) {
      store(to + d, add(div(load(state + d), total), broadcast(0.0F)));
    }
  }
}
