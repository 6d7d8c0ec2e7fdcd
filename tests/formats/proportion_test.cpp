// Memory and time in proportion to the file, for files made to be out of proportion.
#include <gtest/gtest.h>

#include <chrono>

#include "formats/gguf_builder.h"
#include "formats/hostile_file.h"
#include "formats/scratch_folder.h"

namespace exa {
namespace {

using namespace test;

struct Proportion : testing::Test {
  ScratchFolder folder;
};

// `count` copies of eight zero bytes: empty strings.
std::string empty_strings(std::size_t count) {
  return std::string(count * 8, '\0');
}

TEST_F(Proportion, EmptyStrings) {
  for (const std::size_t count : {std::size_t{100}, std::size_t{1'000'000}, std::size_t{4} << 20}) {
    GgufBuilder file;
    file.array("a", kString, count, empty_strings(count));
    EXPECT_FALSE(open_hostile(folder.write("a.gguf", file.bytes())).has_value()) << count;
  }
}

TEST_F(Proportion, StringsJustTooLongForTheSmallBuffer) {
  GgufBuilder file;
  std::string elements;
  for (int i = 0; i < 500'000; ++i) elements += gguf_string("sixteen bytes ab");
  file.array("a", kString, 500'000, elements);
  EXPECT_FALSE(open_hostile(folder.write("a.gguf", file.bytes())).has_value());
}

TEST_F(Proportion, NarrowIntegers) {
  GgufBuilder some;
  some.array("a", kU8, 1 << 20, std::string(1 << 20, '\1'));
  EXPECT_FALSE(open_hostile(folder.write("a.gguf", some.bytes())).has_value());
  GgufBuilder many;
  for (const char* key : {"a", "b", "c", "d", "e", "f", "g", "h"})
    many.array(key, kU8, 1 << 22, std::string(1 << 22, '\1'));
  expect_refused(folder.write("b.gguf", many.bytes()), ErrorKind::kUnsupported,
                 {"8- and 16-bit integers", "1048576"});
}

TEST_F(Proportion, WideIntegersFlagsAndReals) {
  GgufBuilder file;
  file.array("a", kI32, 1 << 20, std::string(4 << 20, '\1'));
  file.array("b", kBool, 1 << 22, std::string(1 << 22, '\1'));
  file.array("c", kF32, 1 << 20, std::string(4 << 20, '\1'));
  EXPECT_FALSE(open_hostile(folder.write("a.gguf", file.bytes())).has_value());
}

TEST_F(Proportion, AsManyKeysAndTensorsAsAllowed) {
  GgufBuilder file;
  file.alignment = 8;
  file.key("general.alignment", kU32, std::uint32_t{8});
  for (int i = 1; i < 65'536; ++i) file.key(std::to_string(i), kU8, std::uint8_t{0});
  for (int i = 0; i < 65'536; ++i) file.tensor(std::to_string(i), {1}, 24 /* I8 */, 1);
  EXPECT_FALSE(open_hostile(folder.write("a.gguf", file.bytes())).has_value());
}

TEST_F(Proportion, OneLongString) {
  GgufBuilder fits;
  fits.key("a", std::string(std::size_t{16} << 20, 'x'));
  EXPECT_FALSE(open_hostile(folder.write("a.gguf", fits.bytes())).has_value());
  GgufBuilder beyond;
  beyond.key("a", std::string((std::size_t{16} << 20) + 1, 'x'));
  expect_refused(folder.write("a.gguf", beyond.bytes()), ErrorKind::kBadInput, {"16777217"});
}

// What a real vocabulary looks like; the bound is loose so that sanitizers fit.
TEST_F(Proportion, FullVocabularyLoadsFast) {
  GgufBuilder file;
  constexpr std::size_t kVocab = 153'600;
  std::string tokens;
  std::string merges;
  for (std::size_t i = 0; i < kVocab; ++i) {
    tokens += gguf_string("tok" + std::to_string(i));
    merges += gguf_string("tok" + std::to_string(i / 3) + " tok" + std::to_string(i));
  }
  file.array("tokenizer.ggml.tokens", kString, kVocab, tokens);
  file.array("tokenizer.ggml.token_type", kI32, kVocab, std::string(kVocab * 4, '\1'));
  file.array("tokenizer.ggml.merges", kString, kVocab, merges);
  file.tensor("a", {4}, kTypeF32, 16);
  const auto path = folder.write("a.gguf", file.bytes());
  const auto begin = std::chrono::steady_clock::now();
  const Checkpoint checkpoint = Checkpoint::open(path);
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  RecordProperty("open_ms", static_cast<int>(took.count()));
  EXPECT_EQ(checkpoint.get_strings("tokenizer.ggml.tokens")->back(), "tok153599");
  EXPECT_LT(took.count(), 2000);
}

std::string safetensors_bytes(std::string_view json, std::size_t n_data) {
  return le(static_cast<std::uint64_t>(json.size())) + std::string(json) + std::string(n_data, '\0');
}

TEST_F(Proportion, SafetensorsLongTokensAndSpaces) {
  const std::string digits(std::size_t{8} << 20, '1');
  const std::string spaces(std::size_t{8} << 20, ' ');
  const std::string text(std::size_t{8} << 20, 'x');
  const auto refused = [&](const std::string& json) {
    return open_hostile(folder.write("a.safetensors", safetensors_bytes(json, 0))).has_value();
  };
  EXPECT_TRUE(refused("{\"" + text + "\":{}}"));
  EXPECT_TRUE(refused("{\"a\":{\"shape\":[" + digits + "]}}"));
  EXPECT_TRUE(refused("{" + text + "}"));
  EXPECT_TRUE(refused("{" + std::string(std::size_t{8} << 20, '[') + "}"));
  EXPECT_TRUE(refused("{\"" + std::string(std::size_t{8} << 20, '\\') + "}"));
  EXPECT_FALSE(refused("{" + spaces + "}"));
  EXPECT_FALSE(refused("{}" + spaces));
}

TEST_F(Proportion, SafetensorsAsManyTensorsAsAllowed) {
  const auto tensors = [](int n) {
    std::string json = "{";
    for (int i = 0; i < n; ++i) {
      json += (i == 0 ? "\"" : ",\"") + std::to_string(i) +
              R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    }
    return json + "}";
  };
  EXPECT_FALSE(
      open_hostile(folder.write("a.safetensors", safetensors_bytes(tensors(65'536), 0))).has_value());
  expect_refused(folder.write("a.safetensors", safetensors_bytes(tensors(65'537), 0)), ErrorKind::kBadInput,
                 {"more than 65536 tensors"});
}

TEST_F(Proportion, Configs) {
  std::string wide = "[";
  while (wide.size() < 500'000) wide += "{},";
  folder.write("config.json", wide + "0]");
  EXPECT_FALSE(open_hostile(folder.path()).has_value());
  std::string numbers = "[";
  while (numbers.size() < 500'000) numbers += "0,";
  folder.write("config.json", numbers + "0]");
  EXPECT_FALSE(open_hostile(folder.path()).has_value());
}

TEST_F(Proportion, LargeIndexIsNotKept) {
  std::string json = R"({"weight_map":{"0":"a.safetensors")";
  for (int i = 1; i < 200'000; ++i) json += ",\"" + std::to_string(i) + R"(":"a.safetensors")";
  folder.write("model.safetensors.index.json", json + "}}");
  folder.write("a.safetensors", safetensors_bytes("{}", 0));
  expect_refused(folder.path(), ErrorKind::kBadInput, {"no shard holds the tensor"});
}

}  // namespace
}  // namespace exa
