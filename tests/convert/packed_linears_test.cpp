// Packed linear layers against the numbers their own libraries decode, and against layouts small enough to
// read.
#include "convert/packed_linears.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "convert/quantization_config.h"
#include "convert/scratch_folder.h"
#include "kernels/quant.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

template <typename T>
Bytes bytes_of(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

// All rows, read `step` at a time.
std::vector<float> all_rows(const RowSource& source, PackedShape shape, std::uint64_t step) {
  std::vector<float> values(shape.n_out * shape.n_in);
  RowScratch scratch;
  for (std::uint64_t row = 0; row < shape.n_out; row += step) {
    const std::uint64_t n = std::min(step, shape.n_out - row);
    source.read_f32(row, n, values.data() + row * shape.n_in, scratch);
  }
  return values;
}

void expect_bit_equal(const std::vector<float>& found, const std::vector<float>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0);
}

class GoldenLinears : public testing::Test {
 protected:
  void SetUp() override {
    const fs::path path = fs::path(EXAONE_SHARED_DIR) / "golden" / "packed_linears.safetensors";
    if (!fs::exists(path)) GTEST_SKIP() << "no golden data at " << path;
    checkpoint_.emplace(Checkpoint::open(path));
  }
  const TensorInfo& tensor(const char* name) const { return *checkpoint_->find(name); }
  void expect_values(const RowSource& source, const char* name) const {
    const TensorInfo& values = tensor(name);
    std::vector<float> expected(values.n_elements());
    checkpoint_->read(values, 0, std::as_writable_bytes(std::span(expected)));
    for (const std::uint64_t step : {1, 3, 8, 37, 129, 384}) {
      SCOPED_TRACE(step);
      expect_bit_equal(all_rows(source, kShape, step), expected);
    }
  }

  static constexpr PackedShape kShape{384, 512};
  std::optional<Checkpoint> checkpoint_;
};

TEST_F(GoldenLinears, Fp8Channel) {
  expect_values(
      *fp8_channel_rows(*checkpoint_, kShape, tensor("ct_fp8.weight"), tensor("ct_fp8.weight_scale")),
      "ct_fp8.values");
}
TEST_F(GoldenLinears, Fp8Block) {
  expect_values(*fp8_block_rows(*checkpoint_, kShape, tensor("block_fp8.weight"),
                                tensor("block_fp8.weight_scale_inv"), 128, 128),
                "block_fp8.values");
}
TEST_F(GoldenLinears, Int4Group) {
  expect_values(*int4_group_rows(*checkpoint_, kShape, tensor("ct_int4.weight_packed"),
                                 tensor("ct_int4.weight_scale"), 128),
                "ct_int4.values");
}
TEST_F(GoldenLinears, AwqGemm) {
  expect_values(*awq_gemm_rows(*checkpoint_, kShape, tensor("awq_gemm.qweight"), tensor("awq_gemm.qzeros"),
                               tensor("awq_gemm.scales"), 128),
                "awq_gemm.values");
}

struct Stored {
  test::ScratchFolder folder;
  Checkpoint checkpoint;
  explicit Stored(const std::vector<NamedArray>& arrays) : checkpoint(write(folder, arrays)) {}
  static Checkpoint write(const test::ScratchFolder& folder, const std::vector<NamedArray>& arrays) {
    write_safetensors(folder.path() / "a.safetensors", arrays);
    return Checkpoint::open(folder.path() / "a.safetensors");
  }
  const TensorInfo& operator[](const char* name) const { return *checkpoint.find(name); }
};

TEST(Fp8, EveryCode) {
  const auto& values = f8_e4m3_values();
  EXPECT_EQ(values[0x00], 0.0f);
  EXPECT_TRUE(std::signbit(values[0x80]));
  EXPECT_EQ(values[0x01], std::ldexp(1.0f, -9));  // smallest subnormal
  EXPECT_EQ(values[0x08], std::ldexp(1.0f, -6));  // smallest normal
  EXPECT_EQ(values[0x38], 1.0f);
  EXPECT_EQ(values[0x7e], 448.0f);
  EXPECT_EQ(values[0xfe], -448.0f);
  EXPECT_TRUE(std::isnan(values[0x7f]) && std::isnan(values[0xff]));
}

TEST(Fp8, BlocksThatDoNotDivideTheShape) {
  const Stored stored({{"w", DType::kF8E4M3, {3, 5}, Bytes(15, std::byte{0x38})},
                       {"s", DType::kF32, {2, 2}, bytes_of<float>({1, 2, 3, 4})}});
  const auto source = fp8_block_rows(stored.checkpoint, {3, 5}, stored["w"], stored["s"], 2, 4);
  const std::vector<float> expected = {1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 3, 3, 3, 3, 4};
  for (const std::uint64_t step : {1, 2, 3}) expect_bit_equal(all_rows(*source, {3, 5}, step), expected);
}

TEST(Int4, LowNibbleFirstAndRowsThatEndInsideAWord) {
  // Two rows of ten: nibbles 0 to 9, then 9 to 0; scales 1 and 0.5.
  const Stored stored(
      {{"w", DType::kI32, {2, 2}, bytes_of<std::uint32_t>({0x76543210, 0x98, 0x23456789, 0x01})},
       {"s", DType::kBF16, {2, 1}, bytes_of<std::uint16_t>({0x3f80, 0x3f00})}});
  const auto source = int4_group_rows(stored.checkpoint, {2, 10}, stored["w"], stored["s"], 128);
  std::vector<float> expected;
  for (int i = 0; i < 10; ++i) expected.push_back(static_cast<float>(i - 8));
  for (int i = 9; i >= 0; --i) expected.push_back(0.5f * static_cast<float>(i - 8));
  expect_bit_equal(all_rows(*source, {2, 10}, 1), expected);
}

TEST(Awq, NibbleOrderZerosAndScales) {
  // One input row of eight outputs; output o holds nibble value o, stored in the order 0 2 4 6 1 3 5 7.
  const std::uint32_t word = 0x75316420;
  const Stored stored(
      {{"q", DType::kI32, {1, 1}, bytes_of<std::uint32_t>({word})},
       {"z", DType::kI32, {1, 1}, bytes_of<std::uint32_t>({0x33333333})},
       {"s",
        DType::kF16,
        {1, 8},
        bytes_of<std::uint16_t>({0x3c00, 0x3c00, 0x4000, 0x3c00, 0x3c00, 0x3c00, 0x3c00, 0x3800})}});
  const auto source = awq_gemm_rows(stored.checkpoint, {8, 1}, stored["q"], stored["z"], stored["s"], 1);
  expect_bit_equal(all_rows(*source, {8, 1}, 3), {-3, -2, -2, 0, 1, 2, 3, 2});
}

TEST(QuantizationConfigNames, ExactAndExpression) {
  EXPECT_TRUE(matches_module("lm_head", "lm_head"));
  EXPECT_FALSE(matches_module("lm_head", "lm_head2"));
  EXPECT_TRUE(matches_module("re:.*lm_head", "model.lm_head"));
  EXPECT_TRUE(matches_module("re:model\\.visual.*", "model.visual.blocks.0.attn.qkv"));
  EXPECT_FALSE(matches_module("re:visual", "model.visual"));
  EXPECT_TRUE(matches_module("re:^model.*q_proj$", "model.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(matches_module("re:^model.*q_proj$", "model.layers.0.self_attn.q_proj_x"));
}

TEST(QuantizationConfigNames, PublishedFiles) {
  const fs::path data = fs::path(EXAONE_SHARED_DIR) / "data" / "exaone-4.5-33b";
  if (!fs::exists(data)) GTEST_SKIP() << "no published configs at " << data;
  const auto read = [&](const char* name) {
    const test::ScratchFolder folder;
    fs::copy_file(data / name, folder.path() / "config.json");
    return read_quantization_config(Checkpoint::open(folder.path()));
  };
  const QuantizationConfig int4 = read("33B-AWQ__config.json");
  EXPECT_EQ(int4.of("model.language_model.layers.63.self_attn.q_proj"), LinearStorage::kInt4Group);
  EXPECT_EQ(int4.of("model.visual.blocks.27.attn.qkv"), LinearStorage::kPlain);
  EXPECT_EQ(int4.of("lm_head"), LinearStorage::kPlain);
  EXPECT_EQ(int4.of("mtp.fc"), LinearStorage::kPlain);
  EXPECT_EQ(int4.group, 128U);
  const QuantizationConfig fp8 = read("33B-FP8__config.json");
  EXPECT_EQ(fp8.of("model.language_model.layers.63.self_attn.k_proj"), LinearStorage::kPlain);
  EXPECT_EQ(fp8.of("model.language_model.layers.0.mlp.up_proj"), LinearStorage::kFp8Channel);
  EXPECT_EQ(fp8.of("mtp.layers.0.self_attn.q_proj"), LinearStorage::kPlain);
  EXPECT_EQ(fp8.of("mtp.layers.0.mlp.up_proj"), LinearStorage::kFp8Channel);
  EXPECT_EQ(read("33B__config.json").of("mtp.fc"), LinearStorage::kPlain);
}

}  // namespace
}  // namespace exa
