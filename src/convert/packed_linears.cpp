#include "convert/packed_linears.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "kernels/quant.h"

namespace exa {
namespace {

constexpr std::uint64_t kNibbles = 8;  // in a 32-bit word

std::array<float, 256> make_f8_e4m3() {
  std::array<float, 256> values{};
  for (int bits = 0; bits < 256; ++bits) {
    const int exponent = (bits >> 3) & 15;
    const auto mantissa = static_cast<float>(bits & 7);
    float value = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8.0f + mantissa, exponent - 10);
    if ((bits & 0x7f) == 0x7f) value = std::numeric_limits<float>::quiet_NaN();
    values[static_cast<std::size_t>(bits)] = (bits & 0x80) != 0 ? -value : value;
  }
  return values;
}

class Packed : public RowSource {
 public:
  Packed(const Checkpoint& checkpoint, PackedShape shape) : checkpoint_(&checkpoint), shape_(shape) {}

 protected:
  // n elements of a tensor from the given one on.
  template <typename T>
  void read(const TensorInfo& tensor, std::uint64_t first, std::uint64_t n, T* out) const {
    checkpoint_->read(tensor, row_bytes(tensor.type, first),
                      std::as_writable_bytes(std::span(out, static_cast<std::size_t>(n))));
  }
  // The same of a small tensor of plain numbers, widened.
  std::vector<float> read_numbers(const TensorInfo& tensor, std::uint64_t first, std::uint64_t n) const {
    std::vector<std::byte> bytes(static_cast<std::size_t>(row_bytes(tensor.type, n)));
    checkpoint_->read(tensor, row_bytes(tensor.type, first), bytes);
    std::vector<float> numbers(static_cast<std::size_t>(n));
    decode_row(tensor.type, bytes.data(), numbers.size(), numbers.data());
    return numbers;
  }

  const Checkpoint* checkpoint_;
  PackedShape shape_;
};

class Fp8Rows : public Packed {
 public:
  Fp8Rows(const Checkpoint& checkpoint, PackedShape shape, const TensorInfo& weight, const TensorInfo& scale,
          std::uint64_t block_rows, std::uint64_t block_cols)
      : Packed(checkpoint, shape),
        weight_(&weight),
        scale_(&scale),
        block_rows_(block_rows),
        block_cols_(block_cols) {}

  void read_f32(std::uint64_t first, std::uint64_t n, float* out, RowScratch& scratch) const override {
    const std::uint64_t n_in = shape_.n_in;
    scratch.bytes.resize(static_cast<std::size_t>(n * n_in));
    read(*weight_, first * n_in, n * n_in, scratch.bytes.data());
    const std::uint64_t scales_a_row = groups_of(n_in, block_cols_);
    const std::uint64_t first_scale_row = first / block_rows_;
    const std::uint64_t n_scale_rows = (first + n - 1) / block_rows_ - first_scale_row + 1;
    const std::vector<float> scales =
        read_numbers(*scale_, first_scale_row * scales_a_row, n_scale_rows * scales_a_row);
    const std::array<float, 256>& values = f8_e4m3_values();
    for (std::uint64_t row = 0; row < n; ++row) {
      const float* row_scales =
          scales.data() + ((first + row) / block_rows_ - first_scale_row) * scales_a_row;
      const std::byte* stored = scratch.bytes.data() + row * n_in;
      float* decoded = out + row * n_in;
      for (std::uint64_t begin = 0; begin < n_in; begin += block_cols_) {
        const float scale = row_scales[begin / block_cols_];
        const std::uint64_t end = std::min(n_in, begin + block_cols_);
        for (std::uint64_t i = begin; i < end; ++i) {
          decoded[i] = values[std::to_integer<std::size_t>(stored[i])] * scale;
        }
      }
    }
  }
  std::string description() const override {
    return block_rows_ == 1 ? "fp8 per channel"
                            : "fp8 " + std::to_string(block_rows_) + "x" + std::to_string(block_cols_);
  }

 private:
  const TensorInfo* weight_;
  const TensorInfo* scale_;
  std::uint64_t block_rows_;
  std::uint64_t block_cols_;
};

class Int4Rows : public Packed {
 public:
  Int4Rows(const Checkpoint& checkpoint, PackedShape shape, const TensorInfo& packed, const TensorInfo& scale,
           std::uint64_t group)
      : Packed(checkpoint, shape), packed_(&packed), scale_(&scale), group_(group) {}

  void read_f32(std::uint64_t first, std::uint64_t n, float* out, RowScratch& scratch) const override {
    const std::uint64_t n_in = shape_.n_in;
    const std::uint64_t words_a_row = groups_of(n_in, kNibbles);
    const std::uint64_t scales_a_row = groups_of(n_in, group_);
    scratch.bytes.resize(static_cast<std::size_t>(n * words_a_row * 4));
    checkpoint_->read(*packed_, first * words_a_row * 4, scratch.bytes);
    const std::vector<float> scales = read_numbers(*scale_, first * scales_a_row, n * scales_a_row);
    for (std::uint64_t row = 0; row < n; ++row) {
      const std::byte* stored = scratch.bytes.data() + row * words_a_row * 4;
      float* decoded = out + row * n_in;
      for (std::uint64_t begin = 0; begin < n_in; begin += group_) {
        const float scale = scales[row * scales_a_row + begin / group_];
        const std::uint64_t end = std::min(n_in, begin + group_);
        for (std::uint64_t i = begin; i < end; ++i) {
          const auto pair = std::to_integer<unsigned>(stored[i / 2]);
          const int value = static_cast<int>((pair >> (i % 2 * 4)) & 15) - 8;
          decoded[i] = bf16_to_f32(f32_to_bf16(static_cast<float>(value) * scale));
        }
      }
    }
  }
  std::string description() const override { return "int4 group " + std::to_string(group_); }

 private:
  const TensorInfo* packed_;
  const TensorInfo* scale_;
  std::uint64_t group_;
};

// Stored input by input, asked for output by output: a band of outputs is gathered at a time.
class AwqRows : public Packed {
 public:
  AwqRows(const Checkpoint& checkpoint, PackedShape shape, const TensorInfo& qweight,
          const TensorInfo& qzeros, const TensorInfo& scales, std::uint64_t group)
      : Packed(checkpoint, shape), qweight_(&qweight), qzeros_(&qzeros), scales_(&scales), group_(group) {
    constexpr std::uint64_t kBandBytes = std::uint64_t{8} << 20;
    const std::uint64_t words = std::clamp<std::uint64_t>(kBandBytes / (4 * shape.n_in), 8, 128);
    band_words_ = std::min(words, shape.n_out / kNibbles);
  }

  void read_f32(std::uint64_t first, std::uint64_t n, float* out, RowScratch& scratch) const override {
    for (std::uint64_t done = 0; done < n;) {
      const std::uint64_t row = first + done;
      load_band(row, scratch);
      const std::uint64_t end = std::min(first + n, scratch.band_first + scratch.band_rows);
      // Eight outputs share a word.
      const std::uint64_t word_end = std::min(end, row / kNibbles * kNibbles + kNibbles);
      decode_word(row, word_end, out + done * shape_.n_in, scratch);
      done += word_end - row;
    }
  }
  std::string description() const override { return "awq group " + std::to_string(group_); }

 private:
  std::uint64_t n_groups() const { return groups_of(shape_.n_in, group_); }

  void load_band(std::uint64_t row, RowScratch& scratch) const {
    if (scratch.band_owner == this && row >= scratch.band_first &&
        row < scratch.band_first + scratch.band_rows) {
      return;
    }
    const std::uint64_t words_a_row = shape_.n_out / kNibbles;
    const std::uint64_t first_word = row / kNibbles;
    const std::uint64_t n_words = std::min(band_words_, words_a_row - first_word);
    scratch.band_owner = nullptr;
    scratch.band.resize(static_cast<std::size_t>((shape_.n_in + n_groups()) * n_words * 4 +
                                                 n_groups() * n_words * kNibbles * 2));
    std::byte* at = scratch.band.data();
    const auto gather = [&](const TensorInfo& tensor, std::uint64_t n_rows, std::uint64_t width_bytes) {
      const std::uint64_t stride_bytes = tensor.n_bytes / n_rows;
      const std::uint64_t begin = first_word * (stride_bytes / words_a_row);
      for (std::uint64_t i = 0; i < n_rows; ++i, at += width_bytes) {
        checkpoint_->read(tensor, i * stride_bytes + begin,
                          std::span(at, static_cast<std::size_t>(width_bytes)));
      }
    };
    gather(*qweight_, shape_.n_in, n_words * 4);
    gather(*qzeros_, n_groups(), n_words * 4);
    gather(*scales_, n_groups(), n_words * kNibbles * 2);
    scratch.band_owner = this;
    scratch.band_first = first_word * kNibbles;
    scratch.band_rows = n_words * kNibbles;
  }

  // Outputs [row, end), all in one word, into rows of `out`.
  void decode_word(std::uint64_t row, std::uint64_t end, float* out, const RowScratch& scratch) const {
    constexpr std::array<unsigned, kNibbles> kShifts = {0, 16, 4, 20, 8, 24, 12, 28};  // of output 0, 1, …
    const std::uint64_t n_words = scratch.band_rows / kNibbles;
    const std::byte* weights = scratch.band.data();
    const std::byte* zeros = weights + shape_.n_in * n_words * 4;
    const std::byte* scales = zeros + n_groups() * n_words * 4;
    const std::uint64_t word = (row - scratch.band_first) / kNibbles;
    for (std::uint64_t i = 0; i < shape_.n_in; ++i) {
      const std::uint64_t g = i / group_;
      std::uint32_t packed, zero;
      std::memcpy(&packed, weights + (i * n_words + word) * 4, 4);
      std::memcpy(&zero, zeros + (g * n_words + word) * 4, 4);
      for (std::uint64_t o = row; o < end; ++o) {
        const unsigned shift = kShifts[o % kNibbles];
        std::uint16_t half;
        std::memcpy(&half, scales + (g * scratch.band_rows + o - scratch.band_first) * 2, 2);
        const int value = static_cast<int>((packed >> shift) & 15) - static_cast<int>((zero >> shift) & 15);
        const float product = static_cast<float>(value) * f16_to_f32(half);
        out[(o - row) * shape_.n_in + i] = f16_to_f32(f32_to_f16(product));
      }
    }
  }

  const TensorInfo* qweight_;
  const TensorInfo* qzeros_;
  const TensorInfo* scales_;
  std::uint64_t group_;
  std::uint64_t band_words_;
};

}  // namespace

const std::array<float, 256>& f8_e4m3_values() {
  static const std::array<float, 256> values = make_f8_e4m3();
  return values;
}

std::shared_ptr<const RowSource> fp8_channel_rows(const Checkpoint& checkpoint, PackedShape shape,
                                                  const TensorInfo& weight, const TensorInfo& scale) {
  return std::make_shared<Fp8Rows>(checkpoint, shape, weight, scale, 1, shape.n_in);
}

std::shared_ptr<const RowSource> fp8_block_rows(const Checkpoint& checkpoint, PackedShape shape,
                                                const TensorInfo& weight, const TensorInfo& scale,
                                                std::uint64_t block_rows, std::uint64_t block_cols) {
  return std::make_shared<Fp8Rows>(checkpoint, shape, weight, scale, block_rows, block_cols);
}

std::shared_ptr<const RowSource> int4_group_rows(const Checkpoint& checkpoint, PackedShape shape,
                                                 const TensorInfo& packed, const TensorInfo& scale,
                                                 std::uint64_t group) {
  return std::make_shared<Int4Rows>(checkpoint, shape, packed, scale, group);
}

std::shared_ptr<const RowSource> awq_gemm_rows(const Checkpoint& checkpoint, PackedShape shape,
                                               const TensorInfo& qweight, const TensorInfo& qzeros,
                                               const TensorInfo& scales, std::uint64_t group) {
  return std::make_shared<AwqRows>(checkpoint, shape, qweight, qzeros, scales, group);
}

}  // namespace exa
