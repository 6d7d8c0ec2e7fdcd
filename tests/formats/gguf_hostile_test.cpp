// GGUF files that must be refused, each with its reason.
#include <gtest/gtest.h>

#include "formats/gguf_builder.h"
#include "formats/hostile_file.h"
#include "formats/scratch_folder.h"

namespace exa {
namespace {

using namespace test;

constexpr auto kBad = ErrorKind::kBadInput;
constexpr auto kUnsupported = ErrorKind::kUnsupported;

struct GgufHostile : testing::Test {
  ScratchFolder folder;
  void refuse(const GgufBuilder& file, ErrorKind kind, const std::vector<std::string_view>& parts) {
    expect_refused(folder.write("bad.gguf", file.bytes()), kind, parts);
  }
};

TEST_F(GgufHostile, MagicAndVersion) {
  expect_refused(folder.write("bad.gguf", "GGML1234567890"), kBad,
                 {"not a model", "GGML", "expected \"GGUF\""});
  expect_refused(folder.write("bad.gguf", ""), kBad, {"not a model"});
  expect_refused(folder.write("bad.gguf", "GGU"), kBad, {"not a model"});
  expect_refused(folder.write("bad.gguf", "GGUF"), kBad, {"truncated: version", "byte 4"});
  for (const std::uint32_t version : {0U, 1U, 4U, 0xffffffffU}) {
    GgufBuilder file = tiny_gguf();
    file.version = version;
    refuse(file, kUnsupported, {std::to_string(version), "expected 2 or 3"});
  }
  GgufBuilder swapped = tiny_gguf();
  swapped.version = 0x03000000;
  refuse(swapped, kUnsupported, {"big-endian"});
}

TEST_F(GgufHostile, Counts) {
  for (const std::uint64_t extra : {std::uint64_t{70'000}, std::uint64_t{1} << 60, ~std::uint64_t{0} - 100}) {
    GgufBuilder keys = tiny_gguf();
    keys.n_extra_keys = extra;
    refuse(keys, kBad, {"key count", "65536"});
    GgufBuilder tensors = tiny_gguf();
    tensors.n_extra_tensors = extra;
    refuse(tensors, kBad, {"tensor count", "65536"});
  }
  // Within the limit, but more than the file can hold.
  GgufBuilder keys = tiny_gguf();
  keys.n_extra_keys = 60'000;
  refuse(keys, kBad, {"key count"});
  GgufBuilder tensors = tiny_gguf();
  tensors.n_extra_tensors = 60'000;
  refuse(tensors, kBad, {"tensor count"});
  GgufBuilder one_more_key = tiny_gguf();
  one_more_key.n_extra_keys = 1;
  EXPECT_TRUE(open_hostile(folder.write("bad.gguf", one_more_key.bytes())).has_value());
  GgufBuilder one_more_tensor = tiny_gguf();
  one_more_tensor.n_extra_tensors = 1;
  EXPECT_TRUE(open_hostile(folder.write("bad.gguf", one_more_tensor.bytes())).has_value());
}

TEST_F(GgufHostile, Keys) {
  refuse(tiny_gguf().key("", "x"), kBad, {"key length is 0, expected 1 to 256"});
  refuse(tiny_gguf().key(std::string(257, 'a'), "x"), kBad, {"key length is 257"});
  EXPECT_FALSE(
      open_hostile(folder.write("ok.gguf", tiny_gguf().key(std::string(256, 'a'), "x").bytes())).has_value());
  refuse(tiny_gguf().key("Upper", "x"), kUnsupported, {"\"Upper\""});
  refuse(tiny_gguf().key(std::string("nul\0", 4), "x"), kUnsupported, {"nul\\x00"});
  refuse(tiny_gguf().key("a.u8", kU8, std::uint8_t{1}), kBad, {"key a.u8", "twice"});
  for (const std::uint64_t length : {std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    refuse(tiny_gguf().raw_key("a.long", kString, le(length)), kBad, {"string length", "16777216"});
  }
  refuse(tiny_gguf().raw_key("a.long", kString, le(std::uint64_t{10'000})), kBad,
         {"truncated", "10000 bytes"});
  refuse(tiny_gguf().raw_key("a.type", 13, ""), kBad, {"key a.type", "value type is 13, expected 0 to 12"});
  refuse(tiny_gguf().key("a.bool2", kBool, std::uint8_t{2}), kBad, {"a.bool2", "bool is 2, expected 0 to 1"});
}

TEST_F(GgufHostile, Arrays) {
  refuse(tiny_gguf().array("a.nested", kArray, 0, ""), kUnsupported, {"a.nested", "element type is array"});
  refuse(tiny_gguf().array("a.kind", 99, 0, ""), kBad, {"a.kind", "element type is 99"});
  for (const std::uint64_t count : {std::uint64_t{4'194'305}, std::uint64_t{1} << 61, ~std::uint64_t{0}}) {
    refuse(tiny_gguf().array("a.long", kU64, count, ""), kBad, {"a.long", "array count", "4194304"});
  }
  refuse(tiny_gguf().array("a.long", kString, 4'000'000, ""), kBad, {"a.long", "array count is 4000000"});
  refuse(tiny_gguf().array("a.flags", kBool, 2, std::string("\0\2", 2)), kBad, {"a.flags", "bool is 2"});
}

TEST_F(GgufHostile, Alignment) {
  const auto aligned = [](std::uint32_t value) {
    GgufBuilder file;
    file.key("general.alignment", kU32, value);
    return file;
  };
  refuse(aligned(0), kBad, {"general.alignment", "alignment is 0, expected 8 to 1048576"});
  refuse(aligned(4), kBad, {"alignment is 4"});
  refuse(aligned(24), kBad, {"alignment is 24, expected a power of two"});
  refuse(aligned(0x80000000U), kBad, {"2147483648"});
  GgufBuilder wide;
  wide.key("general.alignment", kU64, std::uint64_t{32});
  refuse(wide, kBad, {"type is u64, expected u32"});
  GgufBuilder text;
  text.key("general.alignment", "32");
  refuse(text, kBad, {"type is string, expected u32"});
}

TEST_F(GgufHostile, TensorShapes) {
  const auto raw = [](std::uint32_t n_dims) { return gguf_string("t") + le(n_dims) + std::string(64, '\1'); };
  refuse(tiny_gguf().raw_tensor(raw(0x80000000U)), kBad,
         {"tensor t", "dimension count is 2147483648, expected 1 to 4"});
  refuse(tiny_gguf().raw_tensor(raw(5)), kBad, {"dimension count is 5"});
  refuse(tiny_gguf().raw_tensor(raw(0)), kBad, {"dimension count is 0"});
  refuse(tiny_gguf().tensor("t", {4, 0}, kTypeF32, 0), kBad,
         {"tensor t", "dimension is 0, expected 1 to 4294967296"});
  refuse(tiny_gguf().tensor("t", {std::uint64_t{1} << 33}, kTypeF32, 0), kBad, {"dimension is 8589934592"});
  const std::uint64_t big = std::uint64_t{1} << 32;
  refuse(tiny_gguf().tensor("t", {big, big}, kTypeF32, 0), kBad, {"more elements than fit"});
  refuse(tiny_gguf().tensor("t", {big, big / 2}, kTypeF32, 0), kBad, {"more bytes than fit"});
  refuse(tiny_gguf().tensor("t", {big, big / 16}, kTypeF32, 0), kBad, {"tensor t", "inside the file"});
  refuse(tiny_gguf().tensor("t", {33}, kTypeQ8_0, 34), kBad,
         {"33 elements, expected a multiple of 32 for type Q8_0"});
  refuse(tiny_gguf().tensor("t", {128, 2}, kTypeQ4_K, 144), kBad, {"multiple of 256"});
}

TEST_F(GgufHostile, TensorTypesAndNames) {
  refuse(tiny_gguf().tensor("blk.0.x", {32}, 31, 0), kUnsupported, {"blk.0.x", "31", "Q4_0_4_4"});
  refuse(tiny_gguf().tensor("blk.0.x", {256}, 16, 0), kUnsupported, {"blk.0.x", "16", "IQ2_XXS"});
  refuse(tiny_gguf().tensor("blk.0.x", {256}, 4'000'000'000U, 0), kUnsupported, {"4000000000", "unknown"});
  refuse(tiny_gguf().tensor("", {4}, kTypeF32, 16), kBad, {"tensor name length is 0"});
  refuse(tiny_gguf().tensor(std::string(129, 'n'), {4}, kTypeF32, 16), kBad, {"tensor name length is 129"});
  refuse(tiny_gguf().tensor("output_norm.weight", {4}, kTypeF32, 16), kBad, {"output_norm.weight", "twice"});
}

TEST_F(GgufHostile, TensorPlaces) {
  const auto two = [](std::uint64_t second_offset) {
    GgufBuilder file;
    file.tensor("a", {16}, kTypeF32, 64);
    file.tensor_at("b", {16}, kTypeF32, second_offset);
    return file;
  };
  refuse(two(32), kBad, {"tensor b", "data offset is 32, expected 64"});
  refuse(two(0), kBad, {"data offset is 0, expected 64"});
  refuse(two(96), kBad, {"data offset is 96, expected 64"});
  refuse(two(65), kBad, {"data offset is 65, expected 64"});
  refuse(two(~std::uint64_t{0} - 31), kBad, {"expected 64"});
  refuse(two(64), kBad, {"tensor b", "expected at most the file's"});
  GgufBuilder shifted;
  shifted.tensor_at("a", {16}, kTypeF32, 32);
  refuse(shifted, kBad, {"data offset is 32, expected 0"});
  GgufBuilder trailing = tiny_gguf();
  trailing.n_trailing_bytes = 32;
  refuse(trailing, kBad, {"32 bytes follow the last tensor"});
}

TEST_F(GgufHostile, TokenizerArraysAgree) {
  GgufBuilder short_types;
  short_types.strings("tokenizer.ggml.tokens", {"a", "b"});
  short_types.array("tokenizer.ggml.token_type", kI32, 1, le(std::int32_t{1}));
  refuse(short_types, kBad, {"tokenizer.ggml.token_type", "1 elements, expected 2"});
  GgufBuilder scores;
  scores.strings("tokenizer.ggml.tokens", {"a", "b"});
  scores.key("tokenizer.ggml.scores", "text");
  refuse(scores, kBad, {"tokenizer.ggml.scores"});
  GgufBuilder id;
  id.strings("tokenizer.ggml.tokens", {"a", "b"});
  id.key("tokenizer.ggml.eos_token_id", kU32, std::uint32_t{2});
  refuse(id, kBad, {"tokenizer.ggml.eos_token_id", "token id is 2, expected less than 2"});
  GgufBuilder numbers;
  numbers.array("tokenizer.ggml.tokens", kU32, 1, le(std::uint32_t{1}));
  refuse(numbers, kBad, {"tokenizer.ggml.tokens", "array of strings"});
}

TEST_F(GgufHostile, EveryTruncationAndFlip) {
  const std::string whole = tiny_gguf().bytes();
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto error = open_hostile(folder.write("cut.gguf", std::string_view(whole).substr(0, n)));
    EXPECT_TRUE(error.has_value()) << "opened with " << n << " of " << whole.size() << " bytes";
  }
  const std::size_t header = tiny_gguf().header_bytes();
  std::size_t n_refused = 0;
  for (std::size_t i = 0; i < header; ++i) {
    for (const int mask : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ mask);
      if (open_hostile(folder.write("flip.gguf", flipped)).has_value()) ++n_refused;
      if (HasFailure()) FAIL() << "byte " << i << ", mask " << mask;
    }
  }
  EXPECT_GT(n_refused, header);
}

}  // namespace
}  // namespace exa
