// The converter against what llama.cpp's converter wrote for the golden folders: every key with its type and
// value, every tensor with its type, shape and bytes.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "convert/checksums.h"
#include "convert/hf_to_gguf.h"
#include "convert/scratch_folder.h"
#include "formats/checkpoint.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kModels = fs::path(EXAONE_SHARED_DIR) / "golden" / "models";
constexpr std::uint32_t kArray = 9;
constexpr std::uint32_t kString = 8;

std::string sha256(std::string_view bytes) {
  StreamSums sums;
  sums.update(std::as_bytes(std::span(bytes.data(), bytes.size())));
  return sums.finish().sha256;
}

// A value as the manifest shows it, from the bytes of the file.
class Shown {
 public:
  explicit Shown(const std::string& encoded) : left_(encoded) {
    const auto type = number<std::uint32_t>();
    if (type != kArray) {
      types_.push_back(type_name(type));
      value_ = scalar(type);
      if (type == kString && value_.get_ref<const std::string&>().size() > 200) {
        const auto& text = value_.get_ref<const std::string&>();
        value_ = {{"bytes", text.size()}, {"sha256", sha256(text)}};
      }
      return;
    }
    const auto element = number<std::uint32_t>();
    types_ = {"ARRAY", type_name(element)};
    const auto count = number<std::uint64_t>();
    value_ = json::array();
    for (std::uint64_t i = 0; i < count; ++i) value_.push_back(scalar(element));
  }

  const json& types() const { return types_; }
  const json& value() const { return value_; }

 private:
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, left_.substr(0, sizeof(T)).data(), sizeof(T));
    left_.remove_prefix(sizeof(T));
    return value;
  }
  static std::string type_name(std::uint32_t type) {
    constexpr const char* kNames[] = {"UINT8", "INT8",   "UINT16", "INT16",  "UINT32", "INT32",  "FLOAT32",
                                      "BOOL",  "STRING", "ARRAY",  "UINT64", "INT64",  "FLOAT64"};
    return kNames[type];
  }
  json scalar(std::uint32_t type) {
    switch (type) {
      case 4:
        return number<std::uint32_t>();
      case 5:
        return number<std::int32_t>();
      case 6:
        return static_cast<double>(number<float>());
      case 7:
        return number<std::uint8_t>() != 0;
      case kString: {
        const auto n = number<std::uint64_t>();
        const std::string text(left_.substr(0, n));
        left_.remove_prefix(n);
        return text;
      }
      default:
        ADD_FAILURE() << "a value of type " << type;
        return nullptr;
    }
  }

  std::string_view left_;
  json types_ = json::array();
  json value_;
};

// json.dumps with its default separators, as the manifest's sums were made.
std::string python_dump(const json& list) {
  std::string text = "[";
  for (const json& entry : list) text += (text.size() > 1 ? ", " : "") + entry.dump();
  return text + "]";
}

void expect_manifest(const fs::path& gguf, const fs::path& manifest_path) {
  std::ifstream stream(manifest_path);
  const json manifest = json::parse(stream);
  const GgufMetadata metadata = read_gguf_metadata(gguf);
  for (const auto& [key, expected] : manifest["keys"].items()) {
    const GgufMetadata::Entry* entry = metadata.find(key);
    ASSERT_NE(entry, nullptr) << key;
    const Shown shown(entry->encoded);
    EXPECT_EQ(shown.types(), expected["type"]) << key;
    const json& value = expected["value"];
    if (value.is_object() && value.contains("sha256_of_json")) {
      EXPECT_EQ(shown.value().size(), value["count"]) << key;
      EXPECT_EQ(sha256(python_dump(shown.value())), value["sha256_of_json"]) << key;
    } else {
      EXPECT_EQ(shown.value(), value) << key;
    }
  }
  for (const GgufMetadata::Entry& entry : metadata.entries()) {
    const bool ours = entry.key.starts_with("exa.tensor_crc32c") || entry.key == "exaone.sampling.presence_penalty";
    EXPECT_TRUE(ours || manifest["keys"].contains(entry.key)) << "surplus key " << entry.key;
  }

  const Checkpoint checkpoint = Checkpoint::open(gguf);
  const ModelSums sums = checksum_model(checkpoint, 2);
  EXPECT_EQ(sums.tensors.size(), manifest["tensors"].size());
  for (const json& expected : manifest["tensors"]) {
    const auto name_text = expected["name"].get<std::string>();
    const TensorInfo* tensor = checkpoint.find(name_text);
    ASSERT_NE(tensor, nullptr) << name_text;
    EXPECT_EQ(name(tensor->type), expected["type"].get<std::string>()) << name_text;
    std::vector<std::uint64_t> ne(tensor->shape.rbegin(), tensor->shape.rend());
    EXPECT_EQ(json(ne), expected["ne"]) << name_text;
    const TensorSums& sum = sums.tensors[static_cast<std::size_t>(tensor - checkpoint.tensors().data())];
    EXPECT_EQ(sum.sums.sha256, expected["sha256"].get<std::string>()) << name_text;
    EXPECT_EQ(sum.crc32c_holds, true) << name_text;
  }
}

class GoldenFolder : public testing::TestWithParam<const char*> {};

TEST_P(GoldenFolder, ConvertsToTheManifest) {
  const fs::path folder = kModels / GetParam();
  if (!fs::exists(folder)) GTEST_SKIP() << "no golden data at " << kModels;
  const test::ScratchFolder scratch;
  ConvertOptions options;
  options.folder = folder;
  options.output = scratch.path() / "text.gguf";
  options.type = DType::kBF16;
  options.n_threads = 2;
  const bool vision = fs::exists(folder / "mmproj-bf16.manifest.json");
  if (vision) options.mmproj = scratch.path() / "mmproj.gguf";
  convert_huggingface(options);
  expect_manifest(options.output, folder / "gguf-bf16.manifest.json");
  if (vision) expect_manifest(*options.mmproj, folder / "mmproj-bf16.manifest.json");
}

TEST(GoldenOneFile, HoldsBothFilesTensorsAndKeys) {
  const fs::path folder = kModels / "exaone4_5";
  if (!fs::exists(folder)) GTEST_SKIP() << "no golden data at " << kModels;
  const test::ScratchFolder scratch;
  ConvertOptions options;
  options.folder = folder;
  options.output = scratch.path() / "one.gguf";
  options.one_file = true;
  convert_huggingface(options);
  const Checkpoint one = Checkpoint::open(options.output);
  const ModelSums sums = checksum_model(one, 2);
  std::size_t n_tensors = 0;
  for (const char* name : {"gguf-bf16.manifest.json", "mmproj-bf16.manifest.json"}) {
    std::ifstream stream(folder / name);
    const json manifest = json::parse(stream);
    for (const json& expected : manifest["tensors"]) {
      const TensorInfo* tensor = one.find(expected["name"].get<std::string>());
      ASSERT_NE(tensor, nullptr) << expected["name"];
      const auto position = static_cast<std::size_t>(tensor - one.tensors().data());
      EXPECT_EQ(sums.tensors[position].sums.sha256, expected["sha256"].get<std::string>()) << tensor->name;
      ++n_tensors;
    }
    for (const auto& [key, value] : manifest["keys"].items()) EXPECT_TRUE(one.has(key)) << key;
  }
  EXPECT_EQ(one.tensors().size(), n_tensors);
  EXPECT_EQ(*one.get_string("general.architecture"), "exaone4");
}

INSTANTIATE_TEST_SUITE_P(All, GoldenFolder,
                         testing::Values("exaone4-dense", "exaone4-hybrid", "exaone4_5", "exaone-moe"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace exa
