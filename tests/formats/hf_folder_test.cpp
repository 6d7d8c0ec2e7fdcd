// Hugging Face folders: shards, index, side files, templates, links.
#include "formats/hf_folder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "formats/gguf_builder.h"
#include "formats/hostile_file.h"
#include "formats/scratch_folder.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
using test::expect_refused;
using test::le;
using test::ScratchFolder;

constexpr auto kBad = ErrorKind::kBadInput;
constexpr std::string_view kIndex = "model.safetensors.index.json";

std::string shard_of(const std::vector<std::string>& names) {
  std::string json = "{";
  std::size_t end = 0;
  for (const std::string& name : names) {
    if (json.size() > 1) json += ",";
    json += "\"" + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" + std::to_string(end) + "," +
            std::to_string(end + 1) + "]}";
    ++end;
  }
  json += "}";
  return le(static_cast<std::uint64_t>(json.size())) + json + std::string(end, '\7');
}

struct HfFolder : testing::Test {
  ScratchFolder folder;
  void write_index(std::string_view map) {
    folder.write(kIndex, R"({"weight_map":)" + std::string(map) + "}");
  }
  void refuse(ErrorKind kind, const std::vector<std::string_view>& parts) {
    expect_refused(folder.path(), kind, parts);
  }
};

TEST_F(HfFolder, SingleFileAndConfigs) {
  folder.write("model.safetensors", shard_of({"a", "b"}));
  folder.write("config.json", R"({"z":1,"a":{"b":[1,2.5,null]}})");
  folder.write("generation_config.json", R"({"temperature":0.6})");
  folder.write("chat_template.jinja", "{{ x }}");
  folder.write("tokenizer_config.json", R"({"chat_template":"other"})");
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.format(), CheckpointFormat::kHuggingFace);
  EXPECT_EQ(checkpoint.tensors().size(), 2U);
  EXPECT_EQ(checkpoint.config().begin().key(), "z");
  EXPECT_EQ(checkpoint.config()["a"]["b"][1], 2.5);
  EXPECT_EQ(checkpoint.generation_config()["temperature"], 0.6);
  EXPECT_EQ(checkpoint.chat_template(), "{{ x }}");
  EXPECT_EQ(checkpoint.side_file("chat_template.jinja"), "{{ x }}");
  EXPECT_EQ(checkpoint.side_file("vocab.json"), std::nullopt);
  EXPECT_THROW(checkpoint.side_file("../config.json"), Error);
  EXPECT_THROW(checkpoint.side_file(".hidden"), Error);
  EXPECT_THROW(checkpoint.side_file(""), Error);
}

TEST_F(HfFolder, WithoutWeightsATokenizerIsEnough) {
  folder.write("tokenizer.json", "{}");
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_TRUE(checkpoint.tensors().empty());
  EXPECT_TRUE(checkpoint.files().empty());
  EXPECT_TRUE(checkpoint.config().is_null());
  EXPECT_TRUE(checkpoint.generation_config().is_null());
  EXPECT_EQ(checkpoint.chat_template(), std::nullopt);
}

TEST_F(HfFolder, IndexedShards) {
  folder.write("config.json", "{}");
  folder.write("m-00001-of-00002.safetensors", shard_of({"a", "b"}));
  folder.write("m-00002-of-00002.safetensors", shard_of({"c"}));
  folder.write(kIndex,
               R"({"metadata":{"total_size":3,"list":[1]},"weight_map":{"c":"m-00002-of-00002.safetensors",)"
               R"("a":"m-00001-of-00002.safetensors","b":"m-00001-of-00002.safetensors"}})");
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  ASSERT_EQ(checkpoint.files().size(), 2U);
  EXPECT_EQ(checkpoint.files()[1].path.filename(), "m-00002-of-00002.safetensors");
  ASSERT_EQ(checkpoint.tensors().size(), 3U);
  EXPECT_EQ(checkpoint.find("c")->file, 1U);
  std::vector<std::byte> byte(1);
  checkpoint.read(*checkpoint.find("c"), 0, byte);
  EXPECT_EQ(byte[0], std::byte{7});
}

TEST_F(HfFolder, IndexThatDisagrees) {
  folder.write("1.safetensors", shard_of({"a"}));
  folder.write("2.safetensors", shard_of({"b"}));
  write_index(R"({"a":"1.safetensors","b":"3.safetensors"})");
  refuse(ErrorKind::kIo, {"3.safetensors", "missing shard"});
  write_index(R"({"a":"1.safetensors","b":"1.safetensors"})");
  refuse(kBad, {"b", "no shard holds the tensor", "1.safetensors"});
  write_index(R"({"a":"2.safetensors","b":"1.safetensors"})");
  refuse(kBad, {"tensor is in 1.safetensors, expected it in 2.safetensors"});
  write_index(R"({"a":"1.safetensors","b":"2.safetensors","a":"1.safetensors"})");
  refuse(kBad, {"weight_map, a", "named twice"});
  folder.write("2.safetensors", shard_of({"b", "a"}));
  write_index(R"({"a":"1.safetensors","b":"2.safetensors"})");
  refuse(kBad, {"tensor a", "two shards"});
}

TEST_F(HfFolder, IndexThatIsBroken) {
  folder.write("1.safetensors", shard_of({"a"}));
  for (const std::string_view name :
       {"../1.safetensors", "/etc/passwd", ".hidden", "", "a/b", "a\\\\b", "a b", "..", "\xed\x95\x9c"}) {
    write_index(R"({"a":")" + std::string(name) + "\"}");
    refuse(kBad, {"weight_map, a", "expected a plain file name"});
  }
  write_index(R"({"a":1})");
  refuse(kBad, {"found non-negative integer, expected a shard's name"});
  write_index(R"({"a":{"b":"1.safetensors"}})");
  refuse(kBad, {"found object"});
  write_index("[]");
  refuse(kBad, {"found array, expected an object"});
  write_index("7");
  refuse(kBad, {"found non-negative integer, expected an object"});
  folder.write(kIndex, "{}");
  refuse(kBad, {"weight_map is missing"});
  folder.write(kIndex, R"({"weight_map":{},"weight_map":{}})");
  refuse(kBad, {"weight_map occurs twice"});
  folder.write(kIndex, R"({"metadata":[[[[[]]]]],"weight_map":{}})");
  refuse(kBad, {"nested deeper than 4"});
  folder.write(kIndex, "{");
  refuse(kBad, {"invalid JSON"});
  std::string many = "{";
  for (int i = 0; i < 513; ++i) {
    many += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":\"" + std::to_string(i) + ".safetensors\"";
  }
  write_index(many + "}");
  refuse(kBad, {"more than 512 shards"});
}

TEST_F(HfFolder, LinksStayInside) {
  const ScratchFolder elsewhere;
  const fs::path outside = elsewhere.write("secret.safetensors", shard_of({"a"}));
  folder.write("config.json", "{}");
  fs::create_symlink(outside, folder.path() / "model.safetensors");
  refuse(kBad, {"model.safetensors", "link leads out of the folder"});
  fs::remove(folder.path() / "model.safetensors");
  folder.write("real.safetensors", shard_of({"a"}));
  fs::create_symlink("real.safetensors", folder.path() / "model.safetensors");
  EXPECT_EQ(Checkpoint::open(folder.path()).tensors().size(), 1U);
}

TEST_F(HfFolder, HubCacheLayoutOpens) {
  const fs::path blob = folder.write("blobs/0123abcd", shard_of({"a"}));
  folder.write("snapshots/rev/config.json", "{}");
  fs::create_symlink("../../blobs/0123abcd", folder.path() / "snapshots/rev/model.safetensors");
  EXPECT_EQ(Checkpoint::open(folder.path() / "snapshots/rev").tensors().size(), 1U);
}

TEST_F(HfFolder, BrokenConfigs) {
  folder.write("config.json", "{\"a\":1,\"a\":2}");
  refuse(kBad, {"config.json", "\"a\" occurs twice"});
  folder.write("config.json", "{\"a\":}");
  refuse(kBad, {"config.json", "JSON byte 6"});
  folder.write("config.json", "");
  refuse(kBad, {"config.json", "invalid JSON"});
  folder.write("config.json", std::string(70, '[') + std::string(70, ']'));
  refuse(kBad, {"nested deeper than 64"});
  folder.write("config.json", "[" + std::string(600'000, ' ') + "]");
  refuse(kBad, {"600002 bytes, expected at most 524288"});
  std::string many = "{\"0\":0";
  for (int i = 1; i < 4097; ++i) many += ",\"" + std::to_string(i) + "\":0";
  folder.write("config.json", many + "}");
  refuse(kBad, {"more than 4096 keys"});
}

TEST(TokenizerConfig, TemplateIsAStringOrAList) {
  EXPECT_EQ(tokenizer_config_template(R"({"chat_template":"T\n"})", "x"), "T\n");
  EXPECT_EQ(tokenizer_config_template(R"({"a":{"chat_template":"no"},"b":[{"chat_template":"no"}]})", "x"),
            std::nullopt);
  EXPECT_EQ(tokenizer_config_template(R"({"chat_template":null})", "x"), std::nullopt);
  EXPECT_EQ(
      tokenizer_config_template(R"({"chat_template":[{"name":"rag","template":"R"},)"
                                R"({"template":"D","name":"default"},{"name":"tool_use","template":"U"}]})",
                                "x"),
      "D");
  EXPECT_EQ(tokenizer_config_template(R"({"chat_template":[{"name":"rag","template":"R"}]})", "x"),
            std::nullopt);
  EXPECT_EQ(tokenizer_config_template(R"({"list":[{"name":"default","template":"R"}]})", "x"), std::nullopt);
  EXPECT_THROW(tokenizer_config_template("{", "x"), Error);
}

TEST(NotAModel, SaysWhy) {
  const ScratchFolder folder;
  expect_refused(folder.path() / "none", ErrorKind::kIo, {"none", "no such file"});
  expect_refused(folder.path(), kBad, {"not a model"});
  expect_refused(folder.write("note.txt", "hello, world"), kBad, {"not a model", "hell"});
  expect_refused(folder.write("config.json", R"({"a":1,"b":2})"), kBad, {"not a model", "give its folder"});
  const ScratchFolder with_gguf;
  with_gguf.write("x.gguf", "GGUF");
  expect_refused(with_gguf.path(), kBad, {"not a model", "x.gguf"});
  expect_refused("/dev/null", kBad, {"not a model"});
}

}  // namespace
}  // namespace exa
