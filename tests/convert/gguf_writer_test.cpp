// The writer: types of keys, shards, sums, and nothing left behind.
#include "convert/gguf_writer.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "convert/gguf_copy.h"
#include "convert/scratch_folder.h"
#include "formats/checkpoint.h"
#include "base/crc32c.h"

namespace exa {
namespace {

namespace fs = std::filesystem;

TEST(Crc32c, KnownValueAndContinuation) {
  const std::string text = "123456789";
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  EXPECT_EQ(crc32c(0, bytes), 0xe3069283U);
  for (std::size_t i = 0; i <= bytes.size(); ++i) {
    EXPECT_EQ(crc32c(crc32c(0, bytes.first(i)), bytes.subspan(i)), 0xe3069283U) << i;
  }
}

GgufMetadata all_types() {
  GgufMetadata metadata;
  metadata.set_u16("a.u16", 7);
  metadata.set_u32("a.u32", 4'000'000'000U);
  metadata.set_i32("a.i32", -5);
  metadata.set_f32("a.f32", 0.5f);
  metadata.set_bool("a.bool", true);
  metadata.set_string("a.string", "text");
  metadata.set_u32s("a.u32s", std::vector<std::uint32_t>{1, 2});
  metadata.set_i32s("a.i32s", std::vector<std::int32_t>{-1, 2});
  metadata.set_f32s("a.f32s", std::vector<float>{1.5f});
  metadata.set_bools("a.bools", {true, false});
  metadata.set_strings("a.strings", std::vector<std::string>{"", "x"});
  return metadata;
}

void write(GgufWriter& writer) {
  for (std::size_t i = 0; i < writer.tensors().size(); ++i) {
    const std::vector<std::byte> bytes(writer.tensor_bytes(i), static_cast<std::byte>(i + 1));
    writer.append(i, std::span(bytes).first(1));
    writer.append(i, std::span(bytes).subspan(1));
  }
}

std::vector<GgufTensor> three_tensors() {
  return {{"a", DType::kF32, {3}}, {"b", DType::kBF16, {2, 5}}, {"c", DType::kQ8_0, {1, 64}}};
}

void expect_three(const Checkpoint& checkpoint) {
  ASSERT_EQ(checkpoint.tensors().size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const TensorInfo& tensor = checkpoint.tensors()[i];
    std::vector<std::byte> bytes(tensor.n_bytes);
    checkpoint.read(tensor, 0, bytes);
    EXPECT_EQ(bytes, std::vector<std::byte>(tensor.n_bytes, static_cast<std::byte>(i + 1)));
    EXPECT_EQ(checkpoint.crc32c(tensor), crc32c(0, bytes));
    EXPECT_EQ(tensor.shape, three_tensors()[i].shape);
    EXPECT_EQ(tensor.type, three_tensors()[i].type);
  }
}

TEST(GgufWriter, KeysComeBackInTheirTypes) {
  const test::ScratchFolder folder;
  const fs::path path = folder.path() / "a.gguf";
  GgufWriter writer(path, all_types(), three_tensors(), 0);
  write(writer);
  EXPECT_FALSE(fs::exists(path));
  writer.commit();
  const Checkpoint checkpoint = Checkpoint::open(path);
  expect_three(checkpoint);
  EXPECT_EQ(checkpoint.get_u64("a.u16"), 7U);
  EXPECT_EQ(checkpoint.get_u64("a.u32"), 4'000'000'000U);
  EXPECT_EQ(checkpoint.get_f64("a.i32"), -5.0);
  EXPECT_EQ(checkpoint.get_f64("a.f32"), 0.5);
  EXPECT_EQ(checkpoint.get_bool("a.bool"), true);
  EXPECT_EQ(*checkpoint.get_string("a.string"), "text");
  EXPECT_EQ(checkpoint.get_integers("a.i32s"), (std::vector<std::int64_t>{-1, 2}));
  EXPECT_EQ(checkpoint.get_bools("a.bools"), (std::vector<bool>{true, false}));
  EXPECT_EQ(*checkpoint.get_strings("a.strings"), (std::vector<std::string>{"", "x"}));
  const GgufMetadata again = read_gguf_metadata(path);
  const GgufMetadata before = all_types();
  for (const GgufMetadata::Entry& entry : before.entries()) {
    ASSERT_NE(again.find(entry.key), nullptr);
    EXPECT_EQ(again.find(entry.key)->encoded, entry.encoded) << entry.key;
  }
}

TEST(GgufWriter, NothingStaysWithoutCommit) {
  const test::ScratchFolder folder;
  {
    GgufWriter writer(folder.path() / "a.gguf", all_types(), three_tensors(), 1);
    write(writer);
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(GgufWriter, RefusesWhatGgufCannotHold) {
  const test::ScratchFolder folder;
  const auto open = [&](std::vector<GgufTensor> tensors) {
    GgufWriter writer(folder.path() / "a.gguf", {}, std::move(tensors), 0);
  };
  EXPECT_THROW(open({{std::string(64, 'x'), DType::kF32, {1}}}), Error);
  EXPECT_THROW(open({{"a", DType::kU8, {1}}}), Error);
  EXPECT_THROW(open({{"a", DType::kQ8_0, {33}}}), Error);
  EXPECT_THROW(open({{"a", DType::kF32, {1, 1, 1, 1, 1}}}), Error);
  EXPECT_THROW(open({{"a", DType::kF32, {1}}, {"a", DType::kF32, {1}}}), Error);
  EXPECT_THROW(open({{"a", DType::kF32, {std::uint64_t{1} << 40, std::uint64_t{1} << 40}}}), Error);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(GgufWriter, MissingBytesAreNoFile) {
  const test::ScratchFolder folder;
  GgufWriter writer(folder.path() / "a.gguf", {}, three_tensors(), 0);
  EXPECT_THROW(writer.commit(), Error);
  EXPECT_THROW(writer.append(0, std::vector<std::byte>(13)), Error);
}

TEST(GgufCopy, SplitAndMergeGiveTheFileBack) {
  const test::ScratchFolder folder;
  const fs::path whole = folder.path() / "a.gguf";
  GgufWriter writer(whole, all_types(), three_tensors(), 0);
  write(writer);
  writer.commit();
  copy_gguf({whole, folder.path() / "cut.gguf", 32, 2});
  const fs::path second = folder.path() / "cut-00002-of-00003.gguf";
  const Checkpoint cut = Checkpoint::open(second);
  EXPECT_EQ(cut.files().size(), 3U);
  expect_three(cut);
  copy_gguf({second, folder.path() / "b.gguf", 0, 2});
  EXPECT_EQ(read_text_file(folder.path() / "b.gguf", 1 << 20), read_text_file(whole, 1 << 20));
  EXPECT_THROW(copy_gguf({whole, whole, 0, 1}), Error);
  EXPECT_THROW(copy_gguf({second, second, 0, 1}), Error);
}

TEST(GgufCopy, DamageIsFound) {
  const test::ScratchFolder folder;
  const fs::path whole = folder.path() / "a.gguf";
  GgufWriter writer(whole, all_types(), three_tensors(), 0);
  write(writer);
  writer.commit();
  std::string bytes = read_text_file(whole, 1 << 20);
  bytes[bytes.size() - 40] = static_cast<char>(bytes[bytes.size() - 40] ^ 4);
  folder.write("a.gguf", bytes);
  EXPECT_THROW(copy_gguf({whole, folder.path() / "b.gguf", 0, 1}), Error);
  EXPECT_FALSE(fs::exists(folder.path() / "b.gguf"));
}

}  // namespace
}  // namespace exa
