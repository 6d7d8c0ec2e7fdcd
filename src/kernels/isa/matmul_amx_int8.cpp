#include "kernels/isa/matmul_amx_int8.h"

#include <immintrin.h>

#include "kernels/isa/matmul_avx512_readers.h"
#include "kernels/isa/tile_loop.h"

namespace exa {
namespace {

constexpr std::int64_t kStep = 64;  // k a tile
constexpr auto kTilePair = 2 * static_cast<std::int64_t>(kTileRegister);
constexpr std::int64_t kSpans = kFastChunk / kFastSpan;

// What a call keeps in its scratch.
struct Scratch {
  std::byte a[static_cast<std::size_t>(kFastTokens * kFastChunk)];
  std::byte b[static_cast<std::size_t>(2 * kRowBlock * kFastChunk)];
  alignas(64) std::int32_t c[4 * 256];
  float sums[4 * 256];
  float token_scales[kSpans][kFastTokens];
  float row_scales[kSpans][2 * kRowBlock];
};
static_assert(sizeof(Scratch) <= kAmxScratchBytes);

std::int64_t least(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

EXA_TILE_PRODUCTS(amx_multiply_int8_tiles, std::int32_t, "tdpbssd")

EXA_INLINE __m512i magnitude_bits(__m512 x) {
  return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
}
EXA_INLINE __m512i in_both_halves(__m512i dwords) {
  return _mm512_or_si512(_mm512_and_si512(dwords, _mm512_set1_epi32(0xffff)), _mm512_slli_epi32(dwords, 16));
}

// B tiles, two apart, of one row block's 32-blocks [first, first + n), n at most 16, whose lines hold 0 to
// largest; the scales of its rows.
template <class Reader>
void requantize(const u8* row_block, std::int64_t first, std::int64_t n, float largest, u8* out,
                float* scales) {
  // Bits of magnitudes order like the magnitudes, and NaN above them all.
  __m512i amax_bits = _mm512_setzero_si512();
  Reader ends(row_block, first);
  for (std::int64_t i = 0; i < n; ++i) {
    const __m512 d = ends.scale(0);
    const __m512 low = offset_of(ends, d);
    const __m512 high = _mm512_fmadd_ps(d, _mm512_set1_ps(largest), low);
    amax_bits = _mm512_max_epi32(amax_bits, _mm512_max_epi32(magnitude_bits(low), magnitude_bits(high)));
    if (i + 1 < n) ends.next();
  }
  const __m512 amax = _mm512_castsi512_ps(amax_bits);
  const __mmask16 finite = _mm512_cmplt_epi32_mask(amax_bits, _mm512_set1_epi32(kNonFiniteBits));
  const __mmask16 counts =
      _mm512_kand(finite, _mm512_cmpge_epi32_mask(amax_bits, _mm512_set1_epi32(kTinyBits)));
  const __m512 scale = _mm512_maskz_div_ps(counts, amax, _mm512_set1_ps(127.0F));
  _mm512_storeu_ps(scales, _mm512_mask_mov_ps(_mm512_set1_ps(__builtin_nanf("")), finite, scale));
  // In 256ths, so that a 16-bit product's upper byte is the rounded int8. Products wrap; what remains of the
  // sum does not, for the ends are ±127 · 256 and rounding adds less than 256.
  const __m512 inverse = _mm512_maskz_div_ps(counts, _mm512_set1_ps(127.0F * 256.0F), amax);
  const __m512i low_bytes = _mm512_set1_epi32(0x00ff00ff);
  Reader reader(row_block, first);
  for (std::int64_t i = 0; i < n; ++i) {
    const __m512 d = reader.scale(0);
    const __m512i factor = in_both_halves(_mm512_cvtps_epi32(_mm512_mul_ps(d, inverse)));
    const __m512i offset = in_both_halves(_mm512_add_epi32(
        _mm512_cvtps_epi32(_mm512_mul_ps(offset_of(reader, d), inverse)), _mm512_set1_epi32(128)));
    const auto int8_of = [&](__m512i line) __attribute__((always_inline)) {
      const __m512i even =
          _mm512_add_epi16(_mm512_mullo_epi16(_mm512_and_si512(line, low_bytes), factor), offset);
      const __m512i odd = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_srli_epi16(line, 8), factor), offset);
      return _mm512_ternarylogic_epi32(_mm512_srli_epi16(even, 8), odd, low_bytes,
                                       0xf4);  // even | odd & ~low_bytes
    };
    u8* const lines = out + i / 2 * kTilePair + i % 2 * 8 * static_cast<std::int64_t>(kLine);
    EXA_UNROLL for (int z = 0; z < 4; ++z) {
      __m512i even, odd;
      reader.lines(z, even, odd);
      _mm512_store_si512(lines + static_cast<std::size_t>(2 * z) * kLine, int8_of(even));
      _mm512_store_si512(lines + static_cast<std::size_t>(2 * z + 1) * kLine, int8_of(odd));
    }
    if (i + 1 < n) reader.next();
  }
  if (n % 2 != 0) {
    u8* const lines = out + n / 2 * kTilePair + 8 * static_cast<std::int64_t>(kLine);
    for (std::size_t line = 0; line < 8; ++line)
      _mm512_store_si512(lines + line * kLine, _mm512_setzero_si512());
  }
}

void requantize(const Matrix& w, std::int64_t block, std::int64_t first, std::int64_t n, u8* out,
                float* scales) {
  const u8* row_block =
      reinterpret_cast<const u8*>(packed_bytes(w)) + static_cast<std::size_t>(block) * w.row_block_bytes;
  switch (w.type) {
    case DType::kQ4_0:
      return requantize<ReaderQ4_0>(row_block, first / 32, n / 32, 15.0F, out, scales);
    case DType::kQ4_K:
      return requantize<ReaderQ4_K>(row_block, first / 32, n / 32, 15.0F, out, scales);
    default:
      return requantize<ReaderQ5_K>(row_block, first / 32, n / 32, 31.0F, out, scales);
  }
}

// One token's next n activations, n at most kFastSpan, as rows of A tiles two apart; their scale.
float quantize(const float* x, std::int64_t n, u8* row) {
  __m512i amax_lanes = _mm512_setzero_si512();
  for (std::int64_t k = 0; k < n; k += 16) {
    amax_lanes = _mm512_max_epi32(amax_lanes, magnitude_bits(_mm512_loadu_ps(x + k)));
  }
  const std::int32_t amax_bits = _mm512_reduce_max_epi32(amax_lanes);
  const bool counts = amax_bits >= kTinyBits && amax_bits < kNonFiniteBits;
  const float amax = counts ? __builtin_bit_cast(float, amax_bits) : 0.0F;
  const __m512 inverse = _mm512_set1_ps(counts ? 127.0F / amax : 0.0F);
  const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
  const auto int8_of = [&](const float* p) __attribute__((always_inline)) {
    const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(p), inverse));
    return _mm_shuffle_epi8(_mm512_cvtsepi32_epi8(q), order);
  };
  for (std::int64_t k = 0; k < n; k += 32) {
    auto* const to = reinterpret_cast<__m128i*>(row + k / kStep * kTilePair + k % kStep);
    _mm_store_si128(to, int8_of(x + k));
    _mm_store_si128(to + 1, int8_of(x + k + 16));
  }
  if (n % kStep != 0)
    _mm256_store_si256(reinterpret_cast<__m256i*>(row + n / kStep * kTilePair + 32), _mm256_setzero_si256());
  return amax_bits >= kNonFiniteBits ? __builtin_nanf("") : amax / 127.0F;
}

// A tiles [32 tokens][n / 64 steps][2] of n k, zeros behind the last token.
void pack_tokens(const std::byte* activations, std::size_t stride, std::int64_t n_tokens, std::int64_t n,
                 Scratch& s) {
  const std::int64_t n_steps = (n + kStep - 1) / kStep;
  for (std::int64_t t = 0; t < (n_tokens + 31) / 32 * 32; ++t) {
    u8* const row = reinterpret_cast<u8*>(s.a) + t / 32 * n_steps * kTilePair +
                    t % 32 / 16 * static_cast<std::int64_t>(kTileRegister) + t % 16 * 64;
    if (t >= n_tokens) {
      for (std::int64_t step = 0; step < n_steps; ++step) {
        _mm512_store_si512(row + step * kTilePair, _mm512_setzero_si512());
      }
      for (auto& of_span : s.token_scales) of_span[t] = 0;
      continue;
    }
    const float* x = reinterpret_cast<const float*>(activations + static_cast<std::size_t>(t) * stride);
    for (std::int64_t k = 0; k < n; k += kFastSpan) {
      s.token_scales[k / kFastSpan][t] =
          quantize(x + k, least(kFastSpan, n - k), row + k / kStep * kTilePair);
    }
  }
}

// sums += C · the scales of 32 tokens and two row blocks.
void add_scaled(const std::int32_t* c, const float* token_scales, const float* row_scales, float* sums) {
  for (std::int64_t tile = 0; tile < 4; ++tile) {
    const __m512 of_rows = _mm512_loadu_ps(row_scales + tile % 2 * kRowBlock);
    for (std::int64_t t = 0; t < 16; ++t) {
      const std::int64_t at = tile * 256 + t * 16;
      const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(token_scales[tile / 2 * 16 + t]), of_rows);
      const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(c + at));
      _mm512_storeu_ps(sums + at, _mm512_fmadd_ps(sum, scale, _mm512_loadu_ps(sums + at)));
    }
  }
}

}  // namespace

bool has_int8_tiles(DType weight_type) {
  return weight_type == DType::kQ4_0 || weight_type == DType::kQ4_K || weight_type == DType::kQ5_K;
}

void multiply_in_int8_tiles(MultiplyInt8Tiles multiply, const Matrix& weight, std::int64_t first_block,
                            std::int64_t last_block, const std::byte* activations, std::size_t stride,
                            std::int64_t n_tokens, float* y, std::int64_t y_stride, std::byte* scratch) {
  auto& s = *reinterpret_cast<Scratch*>(scratch);
  for (std::int64_t t0 = 0; t0 < n_tokens; t0 += kFastTokens) {
    const std::int64_t n_group = least(kFastTokens, n_tokens - t0);
    for (std::int64_t k0 = 0; k0 < weight.n_cols; k0 += kFastChunk) {
      const std::int64_t n = least(kFastChunk, weight.n_cols - k0);
      const std::int64_t n_steps = (n + kStep - 1) / kStep;
      pack_tokens(
          activations + static_cast<std::size_t>(t0) * stride + static_cast<std::size_t>(k0) * sizeof(float),
          stride, n_group, n, s);
      for (std::int64_t block = first_block; block < last_block; block += 2) {
        // A single last row block is multiplied twice; store_tiles drops what lies beyond `end`.
        const std::int64_t second = block + 1 < last_block ? block + 1 : block;
        const std::int64_t end = least((second + 1) * kRowBlock, weight.n_rows);
        for (std::int64_t k = 0; k < n; k += kFastSpan) {
          const std::int64_t n_span = least(kFastSpan, n - k);
          u8* const b = reinterpret_cast<u8*>(s.b) + k / kStep * kTilePair;
          float* const scales = s.row_scales[k / kFastSpan];
          requantize(weight, block, k0 + k, n_span, b, scales);
          requantize(weight, second, k0 + k, n_span, b + kTileRegister, scales + kRowBlock);
        }
        for (std::int64_t t = 0; t < n_group; t += 32) {
          const std::byte* const a = s.a + t / 32 * n_steps * kTilePair;
          __builtin_memset(s.sums, 0, sizeof s.sums);
          for (std::int64_t k = 0; k < n; k += kFastSpan) {
            const std::int64_t at = k / kStep * kTilePair;
            multiply(a + at, s.b + at, (least(kFastSpan, n - k) + kStep - 1) / kStep, s.c);
            add_scaled(s.c, s.token_scales[k / kFastSpan] + t, s.row_scales[k / kFastSpan], s.sums);
          }
          store_tiles(s.sums, least(32, n_group - t), block * kRowBlock, end, k0 > 0, y + (t0 + t) * y_stride,
                      y_stride);
        }
      }
    }
  }
}

void amx_matmul_fast_prompt(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                            const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                            std::int64_t y_stride, std::byte* scratch) {
  configure_tiles();
  multiply_in_int8_tiles(amx_multiply_int8_tiles, weight, first_block, last_block, activations, stride,
                         n_tokens, y, y_stride, scratch);
  release_tiles();
}

bool multiplies_int8_tiles(MultiplyInt8Tiles multiply) {
  constexpr int kTile = 1024;  // int8 a tile
  alignas(64) std::int8_t a[4 * kTile];
  alignas(64) std::int8_t b[4 * kTile];
  alignas(64) std::int32_t c[4 * 256];
  for (int i = 0; i < 4 * kTile; ++i) {
    a[i] = static_cast<std::int8_t>(i * 7 % 255 - 127);
    b[i] = static_cast<std::int8_t>(i * 5 % 251 - 125);
  }
  multiply(reinterpret_cast<const std::byte*>(a), reinterpret_cast<const std::byte*>(b), 2, c);
  for (int i = 0; i < 4 * 256; ++i) {
    const int token = i / 16 % 16;
    const int row = i % 16;
    int sum = 0;
    for (int k = 0; k < 128; ++k) {
      const int a_tile = k / 64 * 2 + i / 512;
      const int b_tile = k / 64 * 2 + i / 256 % 2;
      sum += a[a_tile * kTile + token * 64 + k % 64] * b[b_tile * kTile + k % 64 / 4 * 64 + row * 4 + k % 4];
    }
    if (c[i] != sum) return false;
  }
  return true;
}

bool amx_int8_works() {
  configure_tiles();
  const bool works = multiplies_int8_tiles(amx_multiply_int8_tiles);
  release_tiles();
  return works;
}

}  // namespace exa
