#include "kernels/isa/matmul_amx.h"

#include <immintrin.h>

#include "kernels/isa/matmul_avx512_readers.h"
#include "kernels/isa/tile_loop.h"

namespace exa {
namespace {

constexpr std::int64_t kStep = 32;  // k a tile

// Eight tile registers of 16 rows × 64 bytes.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

EXA_TILE_PRODUCTS(amx_multiply_tiles, float, "tdpbf16ps")

// Rounded to nearest even, dword i holding low[i] below high[i].
EXA_INLINE __m512i bf16_pairs(__m512 low, __m512 high) {
  __m512i halves_apart;
  __asm__("vcvtne2ps2bf16 %2, %1, %0" : "=v"(halves_apart) : "v"(high), "v"(low));
  const __m512i by_turns = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23,
                                            7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(by_turns, halves_apart);
}

// B tiles of one row block, 32-blocks [first, first + n), two tiles apart.
template <class Reader>
void decode_blocks(const u8* row_block, std::int64_t first, std::int64_t n, u8* out) {
  Reader reader(row_block, first);
  for (std::int64_t i = 0; i < n; ++i, out += 2 * kTileRegister) {
    EXA_UNROLL for (int z = 0; z < 4; ++z) {
      const __m512 d = reader.scale(z * Reader::kGroups / 4);
      const __m512 offset = offset_of(reader, d);
      __m512i even, odd;
      reader.lines(z, even, odd);
      EXA_UNROLL for (int j = 0; j < 4; ++j) {
        const auto value = [&](__m512i line) __attribute__((always_inline)) {
          const __m512i byte =
              _mm512_and_si512(_mm512_srli_epi32(line, static_cast<unsigned>(8 * j)), _mm512_set1_epi32(255));
          return _mm512_fmadd_ps(_mm512_cvtepi32_ps(byte), d, offset);
        };
        _mm512_store_si512(out + (4 * z + j) * 64, bf16_pairs(value(even), value(odd)));
      }
    }
    if (i + 1 < n) reader.next();
  }
}

// The same of 16-bit weights: k in [first, first + n), zeros up to a whole tile.
void decode_pairs(const Matrix& w, const u8* row_block, std::int64_t first, std::int64_t n, u8* out) {
  const __m512i evens_then_odds = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1,
                                                   30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const u8* lines = row_block + static_cast<std::size_t>(first / 2) * kLine;
  const std::int64_t n_lines = (n + 1) / 2;
  for (std::int64_t i = 0; i < (n_lines + 15) / 16 * 16; ++i) {
    __m512i pairs = _mm512_setzero_si512();
    if (i < n_lines) {
      pairs = _mm512_load_si512(lines + i * 64);
      if (w.type == DType::kF16) {
        const __m512i x = _mm512_permutexvar_epi16(evens_then_odds, pairs);
        pairs = bf16_pairs(_mm512_cvtph_ps(_mm512_castsi512_si256(x)),
                           _mm512_cvtph_ps(_mm512_extracti64x4_epi64(x, 1)));
      }
    }
    _mm512_store_si512(out + i / 16 * 2 * static_cast<std::int64_t>(kTileRegister) + i % 16 * 64, pairs);
  }
}

void decode(const Matrix& w, std::int64_t block, std::int64_t first, std::int64_t n, u8* out) {
  const u8* row_block =
      reinterpret_cast<const u8*>(packed_bytes(w)) + static_cast<std::size_t>(block) * w.row_block_bytes;
  switch (w.type) {
    case DType::kQ4_0:
      return decode_blocks<ReaderQ4_0>(row_block, first / 32, n / 32, out);
    case DType::kQ8_0:
      return decode_blocks<ReaderQ8_0>(row_block, first / 32, n / 32, out);
    case DType::kQ4_K:
      return decode_blocks<ReaderQ4_K>(row_block, first / 32, n / 32, out);
    case DType::kQ5_K:
      return decode_blocks<ReaderQ5_K>(row_block, first / 32, n / 32, out);
    case DType::kQ6_K:
      return decode_blocks<ReaderQ6_K>(row_block, first / 32, n / 32, out);
    default:
      return decode_pairs(w, row_block, first, n, out);
  }
}

// A tiles [32 tokens][n / 32 steps][2], zeros behind the last token and the last k.
void pack_tokens(const std::byte* activations, std::size_t stride, std::int64_t n_tokens, std::int64_t n,
                 u8* out) {
  const std::int64_t n_steps = (n + kStep - 1) / kStep;
  for (std::int64_t t = 0; t < (n_tokens + 31) / 32 * 32; ++t) {
    u8* row = out + t / 32 * n_steps * 2 * static_cast<std::int64_t>(kTileRegister) +
              t % 32 / 16 * static_cast<std::int64_t>(kTileRegister) + t % 16 * 64;
    const float* x = reinterpret_cast<const float*>(activations + static_cast<std::size_t>(t) * stride);
    for (std::int64_t k = 0; k < n; k += kStep, row += 2 * kTileRegister) {
      const std::int64_t left = t < n_tokens ? n - k : 0;
      const auto mask = left >= 32 ? ~__mmask32{0} : (__mmask32{1} << left) - 1;
      if (mask == 0) {
        _mm512_store_si512(row, _mm512_setzero_si512());
        continue;
      }
      const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), x + k);
      const __m512 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), x + k + 16);
      __m512i both;
      __asm__("vcvtne2ps2bf16 %2, %1, %0" : "=v"(both) : "v"(high), "v"(low));
      _mm512_store_si512(row, both);
    }
  }
}

}  // namespace

// The intrinsics of g++ 12 tell the compiler of neither the memory that a tile load reads nor the whole
// configuration: assembler with "memory" instead.
void configure_tiles() {
  static const TileConfig config;
  __asm__ volatile("ldtilecfg %0" : : "m"(config) : "memory");
}
void release_tiles() {
  __asm__ volatile("tilerelease" : : : "memory");
}

void store_tiles(const float* c, std::int64_t n_tokens, std::int64_t first_row, std::int64_t n_rows,
                 bool adds, float* y, std::int64_t y_stride) {
  for (std::int64_t r = 0; r < 2; ++r) {
    const std::int64_t row = first_row + r * kRowBlock;
    if (row >= n_rows) return;
    const auto mask = static_cast<__mmask16>(n_rows - row >= kRowBlock ? 0xffff : (1U << (n_rows - row)) - 1);
    for (std::int64_t t = 0; t < n_tokens; ++t) {
      float* to = y + t * y_stride + row;
      __m512 sum = _mm512_load_ps(c + (t / 16 * 2 + r) * 256 + t % 16 * 16);
      if (adds) sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), sum);
      _mm512_mask_storeu_ps(to, mask, sum);
    }
  }
}

bool has_tiles(DType weight_type) {
  switch (weight_type) {
    case DType::kQ4_0:
    case DType::kQ8_0:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K:
    case DType::kBF16:
    case DType::kF16:
      return true;
    default:
      return false;
  }
}

void multiply_in_tiles(MultiplyTiles multiply, const Matrix& weight, std::int64_t first_block,
                       std::int64_t last_block, const std::byte* activations, std::size_t stride,
                       std::int64_t n_tokens, float* y, std::int64_t y_stride, std::byte* scratch) {
  std::byte* a = scratch;
  std::byte* b = a + kAmxTokens * kAmxChunk * 2;
  float* c = reinterpret_cast<float*>(b + 32 * kAmxChunk * 2);
  for (std::int64_t t0 = 0; t0 < n_tokens; t0 += kAmxTokens) {
    const std::int64_t n_group = n_tokens - t0 < kAmxTokens ? n_tokens - t0 : kAmxTokens;
    for (std::int64_t k0 = 0; k0 < weight.n_cols; k0 += kAmxChunk) {
      const std::int64_t n = weight.n_cols - k0 < kAmxChunk ? weight.n_cols - k0 : kAmxChunk;
      const std::int64_t n_steps = (n + kStep - 1) / kStep;
      pack_tokens(
          activations + static_cast<std::size_t>(t0) * stride + static_cast<std::size_t>(k0) * sizeof(float),
          stride, n_group, n, reinterpret_cast<u8*>(a));
      for (std::int64_t block = first_block; block < last_block; block += 2) {
        // A single last row block is multiplied twice; store_tiles drops what lies beyond `end`.
        const std::int64_t second = block + 1 < last_block ? block + 1 : block;
        const std::int64_t end =
            (second + 1) * kRowBlock < weight.n_rows ? (second + 1) * kRowBlock : weight.n_rows;
        decode(weight, block, k0, n, reinterpret_cast<u8*>(b));
        decode(weight, second, k0, n, reinterpret_cast<u8*>(b + kTileRegister));
        for (std::int64_t t = 0; t < n_group; t += 32) {
          multiply(a + t / 32 * n_steps * 2 * static_cast<std::int64_t>(kTileRegister), b, n_steps, c);
          store_tiles(c, n_group - t < 32 ? n_group - t : 32, block * kRowBlock, end, k0 > 0,
                      y + (t0 + t) * y_stride, y_stride);
        }
      }
    }
  }
}

void amx_matmul_prompt(const Matrix& weight, std::int64_t first_block, std::int64_t last_block,
                       const std::byte* activations, std::size_t stride, std::int64_t n_tokens, float* y,
                       std::int64_t y_stride, std::byte* scratch) {
  configure_tiles();
  multiply_in_tiles(amx_multiply_tiles, weight, first_block, last_block, activations, stride, n_tokens, y,
                    y_stride, scratch);
  release_tiles();
}

bool multiplies_tiles(MultiplyTiles multiply) {
  constexpr int kTile = 512;  // bf16 a tile
  alignas(64) std::uint16_t a[4 * kTile];
  alignas(64) std::uint16_t b[4 * kTile];
  alignas(64) float c[4 * 256];
  const auto a_value = [](int i) { return i * 7 % 11 - 5; };
  const auto b_value = [](int i) { return i * 5 % 13 - 6; };
  const auto bf16 = [](int value) {
    return static_cast<std::uint16_t>(__builtin_bit_cast(std::uint32_t, static_cast<float>(value)) >> 16);
  };
  for (int i = 0; i < 4 * kTile; ++i) {
    a[i] = bf16(a_value(i));
    b[i] = bf16(b_value(i));
  }
  multiply(reinterpret_cast<const std::byte*>(a), reinterpret_cast<const std::byte*>(b), 2, c);
  for (int i = 0; i < 4 * 256; ++i) {
    const int token = i / 16 % 16;
    const int row = i % 16;
    int sum = 0;
    for (int k = 0; k < 64; ++k) {
      const int a_tile = k / 32 * 2 + i / 512;
      const int b_tile = k / 32 * 2 + i / 256 % 2;
      sum += a_value(a_tile * kTile + token * 32 + k % 32) *
             b_value(b_tile * kTile + k % 32 / 2 * 32 + row * 2 + k % 2);
    }
    if (c[i] != static_cast<float>(sum)) return false;
  }
  return true;
}

bool amx_works() {
  configure_tiles();
  const bool works = multiplies_tiles(amx_multiply_tiles);
  release_tiles();
  return works;
}

}  // namespace exa
