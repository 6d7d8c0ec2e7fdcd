// Safetensors files: what opens, what must be refused, and that what we write is read back.
#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "formats/gguf_builder.h"
#include "formats/hostile_file.h"
#include "formats/scratch_folder.h"

namespace exa {
namespace {

using test::expect_refused;
using test::le;
using test::open_hostile;
using test::ScratchFolder;

constexpr auto kBad = ErrorKind::kBadInput;
constexpr auto kUnsupported = ErrorKind::kUnsupported;

std::string file_of(std::string_view json, std::size_t n_data) {
  std::string data;
  for (std::size_t i = 0; i < n_data; ++i) data += static_cast<char>(i % 251);
  return le(static_cast<std::uint64_t>(json.size())) + std::string(json) + data;
}

constexpr std::string_view kTiny =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]},)"
    R"("a":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]},)"
    R"("s":{"data_offsets":[32,40],"shape":[],"dtype":"I64"},"e":{"dtype":"U8","shape":[0,5],"data_offsets":[32,32]}}   )";
constexpr std::size_t kTinyData = 40;

struct Safetensors : testing::Test {
  ScratchFolder folder;
  std::filesystem::path write(std::string_view json, std::size_t n_data = 0) {
    return folder.write("t.safetensors", file_of(json, n_data));
  }
};

TEST_F(Safetensors, ReadsTensorsInDataOrder) {
  const Checkpoint checkpoint = Checkpoint::open(write(kTiny, kTinyData));
  EXPECT_EQ(checkpoint.format(), CheckpointFormat::kSafetensors);
  EXPECT_TRUE(checkpoint.metadata().empty());
  EXPECT_EQ(checkpoint.chat_template(), std::nullopt);
  ASSERT_EQ(checkpoint.tensors().size(), 4U);
  EXPECT_EQ(checkpoint.tensors()[0].name, "a");
  EXPECT_EQ(checkpoint.tensors()[1].name, "b");
  EXPECT_EQ(checkpoint.tensors()[2].name, "e");
  EXPECT_EQ(checkpoint.tensors()[3].name, "s");
  const TensorInfo& b = checkpoint.tensors()[1];
  EXPECT_EQ(b.type, DType::kF32);
  EXPECT_EQ(b.shape, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(b.offset, 8 + kTiny.size() + 8);
  std::vector<std::byte> bytes(24);
  checkpoint.read(b, 0, bytes);
  EXPECT_EQ(bytes.front(), std::byte{8});
  EXPECT_EQ(bytes.back(), std::byte{31});
  const TensorInfo& scalar = checkpoint.tensors()[3];
  EXPECT_EQ(scalar.n_elements(), 1U);
  EXPECT_EQ(scalar.n_cols(), 1U);
  EXPECT_EQ(checkpoint.find("e")->n_elements(), 0U);
}

TEST_F(Safetensors, OpensWithoutTensors) {
  EXPECT_TRUE(Checkpoint::open(write("{}")).tensors().empty());
}

TEST_F(Safetensors, Lengths) {
  const auto raw = [&](std::string_view bytes) { return folder.write("t.safetensors", bytes); };
  expect_refused(raw(""), kBad, {"0 bytes, expected at least 8"});
  expect_refused(raw("1234567"), kBad, {"7 bytes"});
  expect_refused(raw(le(std::uint64_t{2})), kBad, {"header length is 2"});
  expect_refused(raw(le(~std::uint64_t{0}) + "{}"), kBad, {"header length is 18446744073709551615"});
  expect_refused(raw(le(std::uint64_t{3}) + "{}"), kBad, {"header length is 3, expected 2 to 2"});
  expect_refused(raw(le(std::uint64_t{1}) + "{}"), kBad, {"header length is 1"});
  expect_refused(write("{}", 1), kBad, {"1 bytes follow the last tensor"});
  expect_refused(write(" {}"), kBad, {"no JSON object"});
  expect_refused(write("[]"), kBad, {"no JSON object"});
  expect_refused(write("  "), kBad, {"no JSON object"});
  expect_refused(write("{}\n"), kBad, {"no JSON object"});
  expect_refused(write("{}{}"), kBad, {"invalid JSON"});
}

std::string entry(std::string_view fields) {
  return R"({"t":{)" + std::string(fields) + "}}";
}

TEST_F(Safetensors, Fields) {
  expect_refused(write(entry(R"("dtype":"F32","shape":[1])")), kBad, {"tensor t", "field is missing"});
  expect_refused(write(entry(R"("dtype":"F32","data_offsets":[0,4])"), 4), kBad, {"field is missing"});
  expect_refused(write(entry(R"("shape":[1],"data_offsets":[0,4])"), 4), kBad, {"field is missing"});
  expect_refused(write(entry(R"("dtype":"F32","shape":[1],"data_offsets":[0])")), kBad, {"field is missing"});
  expect_refused(write(entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,8])")), kBad, {"more than 2"});
  expect_refused(write(entry(R"("dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4])"), 4), kBad,
                 {"\"shape\""});
  expect_refused(write(entry(R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])"), 4), kBad,
                 {"\"dtype\""});
  expect_refused(write(entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[0,4])"), 4),
                 kBad, {"\"data_offsets\""});
  expect_refused(write(entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1)"), 4), kBad, {"\"x\""});
  expect_refused(write(entry(R"("dtype":7)")), kBad, {"found non-negative integer, expected a dtype string"});
  expect_refused(write(entry(R"("shape":"1")")), kBad, {"found string, expected an array"});
  expect_refused(write(entry(R"("shape":{})")), kBad, {"found object, expected an array"});
  expect_refused(write(entry(R"("shape":[[1]])")), kBad, {"found array, expected a non-negative integer"});
  expect_refused(write(R"({"t":1})"), kBad, {"tensor t", "expected an object"});
  expect_refused(write(R"({"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"), kBad,
                 {"0 bytes, expected 1"});
  expect_refused(write(entry(R"("dtype":"F6_E2M3","shape":[8],"data_offsets":[0,6])"), 6), kUnsupported,
                 {"tensor t", "F6_E2M3"});
  expect_refused(write(entry(R"("dtype":"Q4_K","shape":[256],"data_offsets":[0,144])"), 144), kUnsupported,
                 {"Q4_K"});
  expect_refused(write(entry(R"("dtype":"U8","shape":[1,1,1,1,1,1],"data_offsets":[0,1])"), 1), kUnsupported,
                 {"more than 5 dimensions"});
  EXPECT_FALSE(
      open_hostile(write(entry(R"("dtype":"U8","shape":[1,1,1,1,1],"data_offsets":[0,1])"), 1)).has_value());
}

TEST_F(Safetensors, Numbers) {
  for (const std::string_view number : {"-1", "1.0", "1e2", "-0", "true", "null", "18446744073709551616"}) {
    expect_refused(write(entry(R"("shape":[)" + std::string(number) + "]")), kBad,
                   {"expected a non-negative integer"});
  }
  expect_refused(write(entry(R"("shape":[9007199254740992])")), kBad,
                 {"9007199254740992", "9007199254740991"});
  expect_refused(write(entry(R"("shape":[01])")), kBad, {"invalid JSON"});
  expect_refused(write(entry(R"("shape":[)" + std::string(100, '1') + "]")), kBad,
                 {"number is longer than 64"});
  const std::string wraps = R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])";
  expect_refused(write(entry(wraps)), kBad, {"more elements than fit"});
  const std::string zero_later = R"("dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0])";
  expect_refused(write(entry(zero_later)), kBad, {"more elements than fit"});
  const std::string wraps_bytes = R"("dtype":"F64","shape":[2147483648,1073741824],"data_offsets":[0,0])";
  expect_refused(write(entry(wraps_bytes)), kBad, {"more bytes than fit"});
  expect_refused(write(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 4), kBad,
                 {"length of 8 bytes"});
  expect_refused(write(entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), 4), kBad,
                 {"length of 4 bytes"});
}

TEST_F(Safetensors, HolesOverlapsAndEnds) {
  const auto two = [](std::string_view first, std::string_view second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[)" + std::string(first) +
           R"(]},"b":{"dtype":"U8","shape":[4],"data_offsets":[)" + std::string(second) + "]}}";
  };
  EXPECT_FALSE(open_hostile(write(two("4,8", "0,4"), 8)).has_value());
  expect_refused(write(two("0,4", "5,9"), 9), kBad, {"tensor b", "begins at 5, expected 4"});
  expect_refused(write(two("0,4", "3,7"), 7), kBad, {"begins at 3, expected 4"});
  expect_refused(write(two("0,4", "0,4"), 4), kBad, {"begins at 0, expected 4"});
  expect_refused(write(two("1,5", "5,9"), 9), kBad, {"tensor a", "begins at 1, expected 0"});
  expect_refused(write(two("0,4", "4,8"), 7), kBad, {"tensor b", "expected at most the 3 left"});
  expect_refused(write(two("0,4", "4,8"), 9), kBad, {"1 bytes follow"});
  expect_refused(write(two("0,4", "9007199254740987,9007199254740991"), 8), kBad, {"expected 4"});
  const std::string twice = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                            R"("\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})";
  expect_refused(write(twice, 2), kBad, {"tensor a", "twice"});
}

TEST_F(Safetensors, MetadataIsBounded) {
  expect_refused(write(R"({"__metadata__":{"a":1}})"), kBad, {"expected strings"});
  expect_refused(write(R"({"__metadata__":{"a":{}}})"), kBad, {"expected strings"});
  expect_refused(write(R"({"__metadata__":[]})"), kBad, {"expected an object"});
  expect_refused(write(R"({"__metadata__":{"a":"1","a":"2"}})"), kBad, {"__metadata__", "twice"});
  expect_refused(write(R"({"__metadata__":{},"__metadata__":{}})"), kBad, {"__metadata__ occurs twice"});
  const auto many = [](int n) {
    std::string json = R"({"__metadata__":{"0":"")";
    for (int i = 1; i < n; ++i) json += ",\"" + std::to_string(i) + "\":\"\"";
    return json + "}}";
  };
  EXPECT_FALSE(open_hostile(write(many(1024))).has_value());
  expect_refused(write(many(1025)), kBad, {"1025 entries"});
  std::string wide = R"({"__metadata__":{"a":")" + std::string(600'000, 'x') + R"(","b":")" +
                     std::string(600'000, 'x') + "\"}}";
  expect_refused(write(wide), kBad, {"__metadata__", "1048576"});
}

TEST_F(Safetensors, TextRules) {
  expect_refused(write("{\"\xff\":{}}"), kBad, {"invalid JSON"});
  expect_refused(write("{\"a\nb\":{}}"), kBad, {"invalid JSON"});
  expect_refused(write(R"({"\ud800":{}})"), kBad, {"invalid JSON"});
  expect_refused(write(R"({"t":{"shape":[[[[[[1]]]]]]}})"), kBad, {"expected a non-negative integer"});
  expect_refused(write(R"({"t":{},})"), kBad, {"t"});
  expect_refused(write("{" + std::string(100'000, '[') + "}"), kBad, {"invalid JSON"});
}

TEST_F(Safetensors, EveryTruncationAndFlip) {
  const std::string whole = file_of(kTiny, kTinyData);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto error = open_hostile(folder.write("cut.safetensors", std::string_view(whole).substr(0, n)));
    EXPECT_TRUE(error.has_value()) << "opened with " << n << " of " << whole.size() << " bytes";
  }
  std::size_t n_refused = 0;
  for (std::size_t i = 0; i < 8 + kTiny.size(); ++i) {
    for (const int mask : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ mask);
      if (open_hostile(folder.write("flip.safetensors", flipped)).has_value()) ++n_refused;
      if (HasFailure()) FAIL() << "byte " << i << ", mask " << mask;
    }
  }
  EXPECT_GT(n_refused, 8 * kTiny.size());
}

NamedArray array_of(std::string name, DType type, std::vector<std::uint64_t> shape, std::size_t n_bytes) {
  NamedArray array{std::move(name), type, std::move(shape), std::vector<std::byte>(n_bytes)};
  for (std::size_t i = 0; i < n_bytes; ++i) array.bytes[i] = static_cast<std::byte>(i * 7 + 3);
  return array;
}

TEST_F(Safetensors, WriterRoundTrip) {
  const std::vector<NamedArray> arrays = {
      array_of("model.embed_tokens.weight", DType::kBF16, {5, 3}, 30),
      array_of("scalar", DType::kF32, {}, 4),
      array_of("quote\" and \xea\xb0\x80", DType::kI64, {2}, 16),
      array_of("fp8", DType::kF8E4M3, {3, 1}, 3),
      array_of("empty", DType::kU8, {0, 7}, 0),
      array_of("flags", DType::kBool, {2, 2, 1, 1, 1}, 4),
  };
  const auto path = folder.path() / "out.safetensors";
  write_safetensors(path, arrays);
  const Checkpoint checkpoint = Checkpoint::open(path);
  ASSERT_EQ(checkpoint.tensors().size(), arrays.size());
  for (const NamedArray& array : arrays) {
    const TensorInfo* tensor = checkpoint.find(array.name);
    ASSERT_NE(tensor, nullptr) << array.name;
    EXPECT_EQ(tensor->type, array.type);
    EXPECT_EQ(tensor->shape, array.shape);
    std::vector<std::byte> bytes(tensor->n_bytes);
    checkpoint.read(*tensor, 0, bytes);
    EXPECT_EQ(bytes, array.bytes);
  }
  EXPECT_EQ(checkpoint.tensors()[0].offset % 8, 0U);
}

TEST_F(Safetensors, WriterRefusesWhatItCannotHold) {
  const auto path = folder.path() / "out.safetensors";
  const auto write_one = [&](NamedArray array) { write_safetensors(path, std::span(&array, 1)); };
  EXPECT_THROW(write_one(array_of("q", DType::kQ8_0, {32}, 34)), Error);
  EXPECT_THROW(write_one(array_of("short", DType::kF32, {2}, 4)), Error);
  EXPECT_THROW(write_one(array_of("\xff", DType::kF32, {1}, 4)), Error);
  const std::vector<NamedArray> twice = {array_of("a", DType::kU8, {1}, 1),
                                         array_of("a", DType::kU8, {1}, 1)};
  EXPECT_THROW(write_safetensors(path, twice), Error);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_THROW(write_safetensors(folder.path() / "no" / "folder", {}), Error);
}

}  // namespace
}  // namespace exa
