// The types a conversion writes, against blocks that ggml wrote.
#include "convert/encode_rows.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "base/error.h"
#include "formats/checkpoint.h"

namespace exa {
namespace {

TEST(EncodeRow, Q8BlocksAsGgmlWritesThem) {
  const auto path = std::filesystem::path(EXAONE_SHARED_DIR) / "golden" / "quant_blocks.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no golden data at " << path;
  const Checkpoint golden = Checkpoint::open(path);
  const TensorInfo& source = *golden.find("source");
  const TensorInfo& blocks = *golden.find("Q8_0.bytes");
  std::vector<float> values(source.n_elements());
  golden.read(source, 0, std::as_writable_bytes(std::span(values)));
  std::vector<std::byte> expected(blocks.n_bytes);
  golden.read(blocks, 0, expected);
  std::vector<std::byte> found(expected.size());
  encode_row(DType::kQ8_0, values.data(), values.size(), found.data());
  EXPECT_EQ(found, expected);
}

TEST(EncodeRow, HalvesRoundToNearestEven) {
  const std::vector<float> values = {1.0f, 1.00390625f, 1.01171875f, -0.0f};
  std::vector<std::uint16_t> halves(values.size());
  encode_row(DType::kBF16, values.data(), values.size(), std::as_writable_bytes(std::span(halves)).data());
  EXPECT_EQ(halves, (std::vector<std::uint16_t>{0x3f80, 0x3f80, 0x3f82, 0x8000}));
}

TEST(EncodeRow, Q8OfOneBlockByHand) {
  std::vector<float> values(32, 0.0f);
  values[0] = 127.0f;
  values[1] = -0.5f;
  values[2] = 0.49f;
  std::vector<std::byte> block(34);
  encode_row(DType::kQ8_0, values.data(), values.size(), block.data());
  EXPECT_EQ(block[0], std::byte{0x00});
  EXPECT_EQ(block[1], std::byte{0x3c});  // scale 1
  EXPECT_EQ(block[2], std::byte{127});
  EXPECT_EQ(block[3], std::byte{0xff});  // halves away from zero
  EXPECT_EQ(block[4], std::byte{0});
  EXPECT_THROW(encode_row(DType::kQ4_K, values.data(), 32, block.data()), Error);
}

}  // namespace
}  // namespace exa
