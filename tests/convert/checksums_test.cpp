// Sums against published vectors, and the search for numbers that are none.
#include "convert/checksums.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "convert/scratch_folder.h"

namespace exa {
namespace {

StreamSums::Result sums_of(std::string_view text, std::size_t step) {
  StreamSums sums;
  for (std::size_t i = 0; i < text.size(); i += step) {
    const std::string_view part = text.substr(i, step);
    sums.update(std::as_bytes(std::span(part.data(), part.size())));
  }
  return sums.finish();
}

TEST(StreamSums, KnownValues) {
  EXPECT_EQ(sums_of("", 1).sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sums_of("", 1).xxh3, "2d06800538d394c2");
  for (const std::size_t step : {1U, 2U, 3U}) {
    EXPECT_EQ(sums_of("abc", step).sha256,
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sums_of("abc", step).xxh3, "78af5f94892f3950");
  }
}

TEST(ChecksumModel, CountsNanAndInf) {
  const float values[] = {1, std::nanf(""), INFINITY, -INFINITY, std::nanf("")};
  NamedArray floats{"floats", DType::kF32, {5}, std::vector<std::byte>(sizeof values)};
  std::memcpy(floats.bytes.data(), values, sizeof values);
  const NamedArray codes{"codes", DType::kF8E4M3, {2}, {std::byte{0x7f}, std::byte{0x38}}};
  const NamedArray words{"words", DType::kI32, {1}, std::vector<std::byte>(4)};
  const test::ScratchFolder folder;
  const auto path = folder.path() / "a.safetensors";
  write_safetensors(path, std::vector<NamedArray>{floats, codes, words});
  const Checkpoint checkpoint = Checkpoint::open(path);
  const ModelSums sums = checksum_model(checkpoint, 3);
  ASSERT_EQ(sums.files.size(), 1U);
  EXPECT_EQ(sums.files[0].size_bytes, std::filesystem::file_size(path));
  ASSERT_EQ(sums.tensors.size(), 3U);
  for (const TensorSums& tensor : sums.tensors) {
    EXPECT_EQ(tensor.scanned, tensor.name != "words");
    EXPECT_EQ(tensor.n_nan, tensor.name == "floats" ? 2U : tensor.name == "codes" ? 1U : 0U);
    EXPECT_EQ(tensor.n_inf, tensor.name == "floats" ? 2U : 0U);
    EXPECT_EQ(tensor.crc32c_holds, std::nullopt);
  }
}

}  // namespace
}  // namespace exa
