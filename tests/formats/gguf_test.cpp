// GGUF files that open, and what must be read out of them.
#include "formats/gguf.h"

#include <gtest/gtest.h>

#include <array>

#include "formats/gguf_builder.h"
#include "formats/hostile_file.h"
#include "formats/scratch_folder.h"

namespace exa {
namespace {

using test::expect_refused;
using test::GgufBuilder;
using test::le;
using test::ScratchFolder;
using test::tiny_gguf;

TEST(Gguf, ReadsEveryValueType) {
  const ScratchFolder folder;
  const Checkpoint checkpoint = Checkpoint::open(folder.write("tiny.gguf", tiny_gguf().bytes()));
  EXPECT_EQ(checkpoint.format(), CheckpointFormat::kGguf);
  EXPECT_EQ(checkpoint.files().size(), 1U);
  EXPECT_EQ(*checkpoint.get_string("general.architecture"), "exaone4");
  EXPECT_EQ(checkpoint.get_u64("a.u8"), 200U);
  EXPECT_EQ(checkpoint.get_f64("a.i8"), -5.0);
  EXPECT_EQ(checkpoint.get_u64("a.u16"), 60000U);
  EXPECT_EQ(checkpoint.get_f64("a.i16"), -300.0);
  EXPECT_EQ(checkpoint.get_u64("a.u32"), 4'000'000'000U);
  EXPECT_EQ(checkpoint.get_f64("a.i32"), -70000.0);
  EXPECT_EQ(checkpoint.get_f64("a.f32"), 0.5);
  EXPECT_EQ(checkpoint.get_bool("a.bool"), true);
  EXPECT_EQ(checkpoint.get_u64("a.u64"), std::uint64_t{1} << 63);
  EXPECT_EQ(checkpoint.get_f64("a.i64"), -1099511627776.0);
  EXPECT_EQ(checkpoint.get_f64("a.f64"), 1e300);
  EXPECT_EQ(checkpoint.get_bools("a.pattern"), (std::vector<bool>{true, true, true, false}));
  EXPECT_EQ(checkpoint.get_integers("a.sums"), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(checkpoint.get_integers("a.types"), (std::vector<std::int64_t>{1, -2, 3}));
  EXPECT_TRUE(checkpoint.get_strings("a.empty")->empty());
  EXPECT_EQ(*checkpoint.get_strings("tokenizer.ggml.tokens"),
            (std::vector<std::string>{"a", "b", "\xc4\xa0", "\xff\xfe"}));
  EXPECT_EQ(checkpoint.chat_template(), "{{ messages }}");
  EXPECT_EQ(checkpoint.metadata().size(), 21U);
  EXPECT_EQ(checkpoint.metadata()[1].first, "a.u8");
  EXPECT_EQ(checkpoint.side_file("tokenizer.json"), std::nullopt);
}

TEST(Gguf, AbsentKeysGiveNothing) {
  const ScratchFolder folder;
  const Checkpoint checkpoint = Checkpoint::open(folder.write("tiny.gguf", tiny_gguf().bytes()));
  EXPECT_FALSE(checkpoint.has("no.key"));
  EXPECT_EQ(checkpoint.get_u64("no.key"), std::nullopt);
  EXPECT_EQ(checkpoint.get_f64("no.key"), std::nullopt);
  EXPECT_EQ(checkpoint.get_bool("no.key"), std::nullopt);
  EXPECT_EQ(checkpoint.get_string("no.key"), nullptr);
  EXPECT_EQ(checkpoint.get_strings("no.key"), nullptr);
  EXPECT_EQ(checkpoint.get_integers("no.key"), std::nullopt);
  EXPECT_EQ(checkpoint.get_bools("no.key"), std::nullopt);
}

template <typename Call>
void expect_mismatch(Call call, std::string_view key, std::string_view found, std::string_view expected) {
  try {
    call();
    FAIL() << key << " was given, expected a type error";
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(ErrorKind::kBadInput));
    for (const std::string_view part : {key, found, expected}) {
      EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos) << error.what();
    }
  }
}

TEST(Gguf, GettersNameBothTypes) {
  const ScratchFolder folder;
  const Checkpoint file = Checkpoint::open(folder.write("tiny.gguf", tiny_gguf().bytes()));
  expect_mismatch([&] { file.get_u64("general.architecture"); }, "general.architecture", "string",
                  "unsigned integer");
  expect_mismatch([&] { file.get_u64("a.f32"); }, "a.f32", "number", "unsigned integer");
  expect_mismatch([&] { file.get_u64("a.i8"); }, "a.i8", "-5", "0 or more");
  expect_mismatch([&] { file.get_u64("a.bool"); }, "a.bool", "bool", "unsigned integer");
  expect_mismatch([&] { file.get_f64("a.bool"); }, "a.bool", "bool", "number");
  expect_mismatch([&] { file.get_bool("a.u8"); }, "a.u8", "unsigned integer", "bool");
  expect_mismatch([&] { file.get_string("a.types"); }, "a.types", "array of signed integers", "string");
  expect_mismatch([&] { file.get_strings("a.types"); }, "a.types", "array of signed integers",
                  "array of strings");
  expect_mismatch([&] { file.get_integers("a.scales"); }, "a.scales", "array of numbers",
                  "array of integers");
  expect_mismatch([&] { file.get_integers("a.pattern"); }, "a.pattern", "array of bools",
                  "array of integers");
  expect_mismatch([&] { file.get_bools("a.types"); }, "a.types", "array of signed integers",
                  "array of bools");
}

TEST(Gguf, TensorsAreRowMajorAndReadable) {
  const ScratchFolder folder;
  const Checkpoint checkpoint = Checkpoint::open(folder.write("tiny.gguf", tiny_gguf().bytes()));
  ASSERT_EQ(checkpoint.tensors().size(), 3U);
  const TensorInfo* embedding = checkpoint.find("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding, &checkpoint.tensors()[0]);
  EXPECT_EQ(embedding->shape, (std::vector<std::uint64_t>{3, 4}));
  EXPECT_EQ(embedding->n_rows(), 3U);
  EXPECT_EQ(embedding->n_cols(), 4U);
  EXPECT_EQ(embedding->n_elements(), 12U);
  EXPECT_EQ(embedding->n_bytes, 48U);
  const TensorInfo* q = checkpoint.find("blk.0.attn_q.weight");
  ASSERT_NE(q, nullptr);
  EXPECT_EQ(q->type, DType::kQ8_0);
  EXPECT_EQ(q->n_bytes, 68U);
  std::array<std::byte, 3> bytes{};
  checkpoint.read(*q, 65, bytes);
  EXPECT_EQ(bytes[0], std::byte{1 + (65 + 2) % 250});
  EXPECT_EQ(checkpoint.find("blk.0.attn_k.weight"), nullptr);
  try {
    checkpoint.read(*q, 66, bytes);
    FAIL() << "read past the tensor";
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(ErrorKind::kInternal));
  }
}

TEST(Gguf, FileCutAfterOpeningIsAnError) {
  const ScratchFolder folder;
  const auto path = folder.write("tiny.gguf", tiny_gguf().bytes());
  const Checkpoint checkpoint = Checkpoint::open(path);
  std::filesystem::resize_file(path, 600);
  std::vector<std::byte> bytes(16);
  EXPECT_THROW(checkpoint.read(checkpoint.tensors()[2], 0, bytes), Error);
}

TEST(Gguf, OldVersionAlignmentAndEmptyFilesOpen) {
  const ScratchFolder folder;
  GgufBuilder old = tiny_gguf();
  old.version = 2;
  EXPECT_EQ(Checkpoint::open(folder.write("v2.gguf", old.bytes())).tensors().size(), 3U);

  GgufBuilder wide;
  wide.alignment = 256;
  wide.key("general.alignment", test::kU32, std::uint32_t{256});
  wide.tensor("a", {3}, test::kTypeF32, 12).tensor("b", {3}, test::kTypeF32, 12);
  const Checkpoint aligned = Checkpoint::open(folder.write("wide.gguf", wide.bytes()));
  EXPECT_EQ(aligned.tensors()[1].offset % 256, 0U);
  EXPECT_EQ(aligned.get_u64("general.alignment"), 256U);

  GgufBuilder padded = tiny_gguf();
  padded.n_trailing_bytes = 31;
  EXPECT_EQ(Checkpoint::open(folder.write("padded.gguf", padded.bytes())).tensors().size(), 3U);

  GgufBuilder vocabulary;
  vocabulary.key("general.architecture", "exaone4");
  EXPECT_TRUE(Checkpoint::open(folder.write("vocabulary.gguf", vocabulary.bytes())).tensors().empty());
}

TEST(Gguf, ChecksumsAreFoundByTensor) {
  const ScratchFolder folder;
  GgufBuilder file = tiny_gguf();
  EXPECT_EQ(Checkpoint::open(folder.write("none.gguf", file.bytes())).crc32c({}), std::nullopt);
  file.array("exa.tensor_crc32c", test::kU32, 3,
             le(std::uint32_t{7}) + le(std::uint32_t{0xffffffff}) + le(std::uint32_t{9}));
  const Checkpoint checkpoint = Checkpoint::open(folder.write("sums.gguf", file.bytes()));
  EXPECT_EQ(checkpoint.crc32c(checkpoint.tensors()[1]), 0xffffffffU);
  EXPECT_EQ(checkpoint.crc32c(checkpoint.tensors()[2]), 9U);

  GgufBuilder few = tiny_gguf();
  few.array("exa.tensor_crc32c", test::kU32, 1, le(std::uint32_t{7}));
  expect_refused(folder.write("few.gguf", few.bytes()), ErrorKind::kBadInput,
                 {"exa.tensor_crc32c", "1", "expected 3"});
}

std::string shard(std::uint16_t number, std::uint16_t count, std::int32_t n_tensors,
                  std::string_view tensor) {
  GgufBuilder file;
  if (number == 0) file.key("general.architecture", "exaone4");
  file.key("split.no", test::kU16, number);
  file.key("split.count", test::kU16, count);
  file.key("split.tensors.count", test::kI32, n_tensors);
  if (!tensor.empty()) file.tensor(tensor, {8}, test::kTypeF32, 32);
  return file.bytes();
}

TEST(GgufSplit, AnyShardOpensAll) {
  const ScratchFolder folder;
  folder.write("m-00001-of-00003.gguf", shard(0, 3, 2, ""));
  folder.write("m-00002-of-00003.gguf", shard(1, 3, 2, "a"));
  folder.write("m-00003-of-00003.gguf", shard(2, 3, 2, "b"));
  for (const char* name : {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"}) {
    const Checkpoint checkpoint = Checkpoint::open(folder.path() / name);
    ASSERT_EQ(checkpoint.files().size(), 3U);
    EXPECT_EQ(checkpoint.files()[2].path.filename(), "m-00003-of-00003.gguf");
    ASSERT_EQ(checkpoint.tensors().size(), 2U);
    EXPECT_EQ(checkpoint.find("b")->file, 2U);
    EXPECT_EQ(*checkpoint.get_string("general.architecture"), "exaone4");
    std::vector<std::byte> bytes(32);
    checkpoint.read(*checkpoint.find("b"), 0, bytes);
    EXPECT_EQ(bytes[0], std::byte{2});
  }
}

TEST(GgufSplit, RefusesWhatDoesNotFitTogether) {
  const ScratchFolder folder;
  folder.write("m-00001-of-00002.gguf", shard(0, 2, 2, "a"));
  expect_refused(folder.path() / "m-00001-of-00002.gguf", ErrorKind::kIo,
                 {"m-00002-of-00002.gguf", "missing shard 2 of 2"});
  folder.write("m-00002-of-00002.gguf", shard(1, 2, 2, "a"));
  expect_refused(folder.path() / "m-00001-of-00002.gguf", ErrorKind::kBadInput, {"tensor a", "two shards"});
  folder.write("m-00002-of-00002.gguf", shard(1, 2, 3, "b"));
  expect_refused(folder.path() / "m-00001-of-00002.gguf", ErrorKind::kBadInput,
                 {"split.tensors.count", "same metadata"});
  folder.write("m-00001-of-00002.gguf", shard(0, 2, 3, "a"));
  expect_refused(folder.path() / "m-00001-of-00002.gguf", ErrorKind::kBadInput, {"value is 3, expected 2"});
  folder.write("m-00002-of-00002.gguf", shard(0, 2, 3, "b"));
  expect_refused(folder.path() / "m-00001-of-00002.gguf", ErrorKind::kBadInput,
                 {"shard 1 of 2, expected 2 of 2"});
  folder.write("m-00002-of-00002.gguf", shard(1, 3, 3, "b"));
  expect_refused(folder.path() / "m-00001-of-00002.gguf", ErrorKind::kBadInput,
                 {"shard 2 of 3, expected 2 of 2"});
  folder.write("renamed.gguf", shard(0, 2, 2, "a"));
  expect_refused(folder.path() / "renamed.gguf", ErrorKind::kBadInput,
                 {"shard 1 of 2", "-00001-of-00002.gguf"});
  folder.write("many.gguf", shard(0, 513, 2, "a"));
  expect_refused(folder.path() / "many.gguf", ErrorKind::kBadInput, {"split.count", "513", "512"});
  folder.write("single.gguf", shard(0, 1, 1, "a"));
  EXPECT_EQ(Checkpoint::open(folder.path() / "single.gguf").tensors().size(), 1U);
}

}  // namespace
}  // namespace exa
