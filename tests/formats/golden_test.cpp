// Files that other people's code wrote must open, and hold what they say they hold.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "formats/checkpoint.h"
#include "formats/sha256.h"

namespace exa {
namespace {

namespace fs = std::filesystem;

struct Golden : testing::Test {
  fs::path models = fs::path(EXAONE_SHARED_DIR) / "golden" / "models";
  void SetUp() override {
    if (!fs::is_directory(models)) GTEST_SKIP() << "no golden data at " << models;
  }
};

nlohmann::json load(const fs::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

std::string sum_of(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  std::vector<std::byte> bytes(tensor.n_bytes);
  checkpoint.read(tensor, 0, bytes);
  return test::sha256(bytes);
}

TEST(Sha256, KnownSums) {
  EXPECT_EQ(test::sha256({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string text = "abc";
  EXPECT_EQ(test::sha256(std::as_bytes(std::span(text.data(), text.size()))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

// Names and shapes of every GGUF equal the manifest; types and bytes do where the file is BF16 like the
// manifest.
void expect_manifest(const fs::path& gguf, const fs::path& manifest_path, bool same_bytes) {
  const nlohmann::json manifest = load(manifest_path);
  const Checkpoint checkpoint = Checkpoint::open(gguf);
  ASSERT_EQ(checkpoint.tensors().size(), manifest["tensors"].size()) << gguf;
  for (const nlohmann::json& expected : manifest["tensors"]) {
    const std::string name = expected["name"];
    const TensorInfo* tensor = checkpoint.find(name);
    ASSERT_NE(tensor, nullptr) << gguf << " lacks " << name;
    std::vector<std::uint64_t> shape = expected["ne"];
    std::reverse(shape.begin(), shape.end());
    EXPECT_EQ(tensor->shape, shape) << gguf << ", " << name;
    if (!same_bytes) continue;
    EXPECT_EQ(exa::name(tensor->type), expected["type"].get<std::string>()) << gguf << ", " << name;
    EXPECT_EQ(sum_of(checkpoint, *tensor), expected["sha256"].get<std::string>()) << gguf << ", " << name;
  }
  for (const auto& [key, value] : manifest["keys"].items()) {
    // Quantizers rewrite or add these.
    if (!same_bytes && (key == "general.file_type" || key == "general.quantization_version")) continue;
    const nlohmann::json& expected = value["value"];
    ASSERT_TRUE(checkpoint.has(key)) << gguf << ", " << key;
    const std::string type = value["type"][0];
    if (type == "STRING" && expected.is_string()) {
      EXPECT_EQ(*checkpoint.get_string(key), expected.get<std::string>()) << key;
    } else if (type == "STRING") {
      const std::string& text = *checkpoint.get_string(key);
      EXPECT_EQ(text.size(), expected["bytes"].get<std::size_t>()) << key;
      EXPECT_EQ(test::sha256(std::as_bytes(std::span(text.data(), text.size()))),
                expected["sha256"].get<std::string>());
    } else if (type == "UINT32") {
      EXPECT_EQ(checkpoint.get_u64(key), expected.get<std::uint64_t>()) << key;
    } else if (type == "FLOAT32") {
      EXPECT_EQ(checkpoint.get_f64(key), expected.get<double>()) << key;
    } else if (type == "BOOL") {
      EXPECT_EQ(checkpoint.get_bool(key), expected.get<bool>()) << key;
    } else if (type == "ARRAY") {
      const std::string element = value["type"][1];
      const std::size_t count = expected.is_array() ? expected.size() : expected["count"].get<std::size_t>();
      if (element == "STRING") {
        EXPECT_EQ(checkpoint.get_strings(key)->size(), count) << key;
      } else if (element == "BOOL") {
        EXPECT_EQ(checkpoint.get_bools(key)->size(), count) << key;
      } else if (element == "FLOAT32") {
        EXPECT_TRUE(checkpoint.has(key));
      } else {
        EXPECT_EQ(checkpoint.get_integers(key)->size(), count) << key;
      }
    } else {
      ADD_FAILURE() << "manifest type " << type << " of " << key << " is not compared";
    }
  }
}

TEST_F(Golden, EveryGgufMatchesItsManifest) {
  int n_files = 0;
  for (const auto& model : fs::directory_iterator(models)) {
    if (!fs::is_directory(model.path() / "gguf")) continue;
    for (const auto& file : fs::directory_iterator(model.path() / "gguf")) {
      if (file.path().extension() != ".gguf") continue;
      const std::string stem = file.path().stem().string();
      const bool projector = stem.starts_with("mmproj");
      expect_manifest(file.path(),
                      model.path() / (projector ? "mmproj-bf16.manifest.json" : "gguf-bf16.manifest.json"),
                      projector || stem == "BF16");
      ++n_files;
    }
  }
  EXPECT_GE(n_files, 11);
}

TEST_F(Golden, EveryFolderOpens) {
  int n_folders = 0;
  for (const auto& model : fs::directory_iterator(models)) {
    const Checkpoint checkpoint = Checkpoint::open(model.path());
    EXPECT_EQ(checkpoint.format(), CheckpointFormat::kHuggingFace);
    EXPECT_FALSE(checkpoint.tensors().empty());
    EXPECT_TRUE(checkpoint.config().contains("model_type"));
    ASSERT_TRUE(checkpoint.chat_template().has_value());
    EXPECT_GT(checkpoint.chat_template()->size(), 5000U);
    EXPECT_TRUE(checkpoint.side_file("tokenizer.json").has_value());
    if (model.path().filename() == "exaone4-hybrid") {
      EXPECT_EQ(checkpoint.files().size(), 2U);
      EXPECT_FALSE(checkpoint.generation_config().is_null());
    }
    ++n_folders;
  }
  EXPECT_GE(n_folders, 4);
}

// The converter neither permutes nor transposes a linear: the folder's bytes are the manifest's.
TEST_F(Golden, FolderTensorsHaveTheBytesOfTheManifest) {
  for (const auto& model : fs::directory_iterator(models)) {
    const nlohmann::json manifest = load(model.path() / "gguf-bf16.manifest.json");
    const Checkpoint checkpoint = Checkpoint::open(model.path());
    std::size_t n_equal = 0;
    for (const nlohmann::json& expected : manifest["tensors"]) {
      if (expected["name"] != "token_embd.weight" && expected["name"] != "output.weight") continue;
      for (const char* name :
           {"model.embed_tokens.weight", "model.language_model.embed_tokens.weight", "lm_head.weight"}) {
        const TensorInfo* tensor = checkpoint.find(name);
        if (tensor != nullptr && sum_of(checkpoint, *tensor) == expected["sha256"].get<std::string>())
          ++n_equal;
      }
    }
    EXPECT_GE(n_equal, 1U) << model.path();
  }
}

TEST_F(Golden, ReferenceFilesOpen) {
  int n_files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(models.parent_path())) {
    if (entry.path().extension() != ".safetensors") continue;
    const Checkpoint checkpoint = Checkpoint::open(entry.path());
    EXPECT_EQ(checkpoint.format(), CheckpointFormat::kSafetensors);
    EXPECT_FALSE(checkpoint.tensors().empty()) << entry.path();
    ++n_files;
  }
  EXPECT_GE(n_files, 15);
}

}  // namespace
}  // namespace exa
