// Conversion of the repository's tiny folders: files that were written by other code, packed checkpoints,
// parts left out, and everything a folder can get wrong.
#include "convert/hf_to_gguf.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "convert/packed_linears.h"
#include "convert/tiny_folder.h"
#include "kernels/quant.h"
#include "model/config.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
using test::array_named;
using test::TinyFolder;
using Arrays = std::vector<NamedArray>;

std::vector<std::byte> read_all(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  std::vector<std::byte> bytes(tensor.n_bytes);
  checkpoint.read(tensor, 0, bytes);
  return bytes;
}

TEST(Convert, EqualsAFileWrittenByOtherCode) {
  const TinyFolder folder;
  convert_huggingface(folder.options());
  const Checkpoint ours = Checkpoint::open(folder.output());
  const Checkpoint theirs =
      Checkpoint::open(fs::path(EXAONE_SOURCE_DIR) / "tests/data/models/tiny-exaone4/tiny-exaone4.BF16.gguf");
  ASSERT_EQ(ours.tensors().size(), theirs.tensors().size());
  for (const TensorInfo& expected : theirs.tensors()) {
    const TensorInfo* found = ours.find(expected.name);
    ASSERT_NE(found, nullptr) << expected.name;
    EXPECT_EQ(found->type, expected.type) << expected.name;
    EXPECT_EQ(found->shape, expected.shape) << expected.name;
    if (expected.name == "rope_freqs.weight") continue;
    EXPECT_EQ(read_all(ours, *found), read_all(theirs, expected)) << expected.name;
  }
  // Theirs are computed in double precision.
  const TensorInfo& factors = *ours.find("rope_freqs.weight");
  std::vector<float> found(factors.n_elements()), expected(factors.n_elements());
  ours.read(factors, 0, std::as_writable_bytes(std::span(found)));
  theirs.read(*theirs.find("rope_freqs.weight"), 0, std::as_writable_bytes(std::span(expected)));
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 2e-6f * expected[i]) << i;
}

TEST(Convert, ThreadsAndShardsChangeNoByte) {
  const TinyFolder folder("tiny-exaone4-hybrid");
  ConvertOptions options = folder.options();
  options.n_threads = 1;
  convert_huggingface(options);
  const Checkpoint one = Checkpoint::open(folder.output());
  options.n_threads = 7;
  options.output = folder.path().parent_path() / "cut.gguf";
  options.split_bytes = 500'000;
  convert_huggingface(options);
  const Checkpoint cut = Checkpoint::open(folder.path().parent_path() / "cut-00001-of-00010.gguf");
  EXPECT_EQ(cut.files().size(), 10U);
  EXPECT_FALSE(fs::exists(options.output));
  ASSERT_EQ(cut.tensors().size(), one.tensors().size());
  for (const TensorInfo& tensor : one.tensors()) {
    EXPECT_EQ(read_all(cut, *cut.find(tensor.name)), read_all(one, tensor)) << tensor.name;
    EXPECT_EQ(cut.crc32c(*cut.find(tensor.name)), one.crc32c(tensor)) << tensor.name;
  }
}

// Section 6.6, llama.cpp 21733: block_count counts the drafting layers where the file has them.
TEST(Convert, DraftingLayersMayBeLeftOut) {
  const TinyFolder folder("tiny-exaone4_5");
  folder.edit_config([](auto& config) { config.erase("vision_config"); });
  ConvertOptions options = folder.options();
  convert_huggingface(options);
  {
    const Checkpoint with = Checkpoint::open(folder.output());
    EXPECT_EQ(with.get_u64("exaone4.block_count"), 5U);
    EXPECT_EQ(with.get_u64("exaone4.nextn_predict_layers"), 1U);
    EXPECT_NE(with.find("blk.4.nextn.eh_proj.weight"), nullptr);
    EXPECT_EQ(with.get_bools("exaone4.attention.sliding_window_pattern")->size(), 4U);
  }
  options.keep_mtp = false;
  convert_huggingface(options);
  const Checkpoint without = Checkpoint::open(folder.output());
  EXPECT_EQ(without.get_u64("exaone4.block_count"), 4U);
  EXPECT_FALSE(without.has("exaone4.nextn_predict_layers"));
  EXPECT_EQ(without.find("blk.4.attn_q.weight"), nullptr);
}

TEST(Convert, OneEntryOfTheWindowPatternForEachLayerType) {
  const TinyFolder folder("tiny-exaone4_5");
  folder.edit_config([](auto& config) {
    config.erase("vision_config");
    config["text_config"]["layer_types"].push_back("sliding_attention");
  });
  convert_huggingface(folder.options());
  const std::vector<bool> expected = {true, true, true, false, true};
  EXPECT_EQ(Checkpoint::open(folder.output()).get_bools("exaone4.attention.sliding_window_pattern"),
            expected);
}

TEST(Convert, SamplingAndPresencePenalty) {
  const TinyFolder folder("tiny-exaone4_5");
  folder.edit_config([](auto& config) { config.erase("vision_config"); });
  std::ofstream(folder.path() / "generation_config.json")
      << R"({"temperature":0.5,"top_p":0.25,"top_k":20,"presence_penalty":1.5})";
  convert_huggingface(folder.options());
  const StatedSampling stated = read_stated_sampling(Checkpoint::open(folder.output()));
  EXPECT_EQ(stated.temperature, 0.5);
  EXPECT_EQ(stated.top_p, 0.25);
  EXPECT_EQ(stated.top_k, 20);
  EXPECT_EQ(stated.presence_penalty, 1.5);
}

// A way of storing one linear layer of the tiny model, and the source that decodes it.
struct Packing {
  const char* name;
  const char* config;
  std::function<void(Arrays&, const std::string& module)> pack;
  std::function<std::shared_ptr<const RowSource>(const Checkpoint&, PackedShape, const std::string& module)>
      source;
};

void PrintTo(const Packing& packing, std::ostream* out) {
  *out << packing.name;
}

// The layer that is packed, [128, 256]; the configs exempt all others.
const std::string kDown = "model.layers.0.mlp.down_proj";
constexpr const char* kFp8Config = R"({"quant_method": "compressed-tensors", "format": "float-quantized",
  "ignore": ["re:.*self_attn.*", "re:model.layers.1.*", "model.layers.0.mlp.gate_proj",
             "model.layers.0.mlp.up_proj"],
  "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float",
    "strategy": "channel", "symmetric": true}}}})";
constexpr const char* kInt4Config = R"({"quant_method": "compressed-tensors", "format": "pack-quantized",
  "ignore": ["re:.*self_attn.*", "re:model.layers.1.*", "model.layers.0.mlp.gate_proj",
             "model.layers.0.mlp.up_proj", "lm_head"],
  "config_groups": {"group_0": {"format": "pack-quantized", "targets": ["Linear"], "weights": {"num_bits": 4,
    "type": "int", "strategy": "group", "group_size": 128, "symmetric": true, "actorder": null}}}})";
constexpr const char* kBlockConfig = R"({"quant_method": "fp8", "activation_scheme": "dynamic",
  "weight_block_size": [128, 128],
  "modules_to_not_convert": ["self_attn", "layers.1.", "gate_proj", "up_proj"]})";
constexpr const char* kAwqConfig = R"({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm",
  "zero_point": true, "modules_to_not_convert": ["self_attn", "layers.1.", "gate_proj", "up_proj"]})";

// Bytes that differ and are neither NaN as FP8 nor as halves.
std::vector<std::byte> some_bytes(std::size_t n) {
  std::vector<std::byte> bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(i * 37 % 113);
  return bytes;
}

// Replaces the layer's weight by other tensors of the same prefix.
void replace(Arrays& arrays, const std::string& module, const Arrays& parts) {
  std::erase_if(arrays, [&](const NamedArray& array) { return array.name == module + ".weight"; });
  for (NamedArray part : parts) {
    part.name = module + part.name;
    if (part.bytes.empty()) {
      std::size_t n = row_bytes(part.type, 1);
      for (const std::uint64_t dimension : part.shape) n *= dimension;
      part.bytes = some_bytes(n);
    }
    arrays.push_back(std::move(part));
  }
}

std::vector<std::byte> stated_shape() {
  const std::uint64_t sides[] = {128, 256};
  const auto bytes = std::as_bytes(std::span(sides));
  return {bytes.begin(), bytes.end()};
}

void pack_fp8(Arrays& arrays, const std::string& module) {
  replace(arrays, module,
          {{".weight", DType::kF8E4M3, {128, 256}, {}}, {".weight_scale", DType::kBF16, {128, 1}, {}}});
}
void pack_int4(Arrays& arrays, const std::string& module) {
  replace(arrays, module,
          {{".weight_packed", DType::kI32, {128, 32}, {}},
           {".weight_scale", DType::kBF16, {128, 2}, {}},
           {".weight_shape", DType::kI64, {2}, stated_shape()}});
}
void pack_blocks(Arrays& arrays, const std::string& module) {
  replace(arrays, module,
          {{".weight", DType::kF8E4M3, {128, 256}, {}}, {".weight_scale_inv", DType::kF32, {1, 2}, {}}});
}
void pack_awq(Arrays& arrays, const std::string& module) {
  replace(arrays, module,
          {{".qweight", DType::kI32, {256, 16}, {}},
           {".qzeros", DType::kI32, {2, 16}, {}},
           {".scales", DType::kF16, {2, 128}, {}}});
}

class ConvertPacked : public testing::TestWithParam<Packing> {};

TEST_P(ConvertPacked, StoresRoundedBf16) {
  const Packing& packing = GetParam();
  const TinyFolder folder;
  folder.edit_tensors([&](Arrays& arrays) { packing.pack(arrays, kDown); });
  folder.edit_config(
      [&](auto& config) { config["quantization_config"] = nlohmann::ordered_json::parse(packing.config); });
  convert_huggingface(folder.options());
  const Checkpoint source = Checkpoint::open(folder.path());
  const Checkpoint result = Checkpoint::open(folder.output());
  const TensorInfo& tensor = *result.find("blk.0.ffn_down.weight");
  EXPECT_EQ(tensor.type, DType::kBF16);
  const PackedShape shape{tensor.shape[0], tensor.shape[1]};
  std::vector<float> decoded(tensor.n_elements());
  RowScratch scratch;
  packing.source(source, shape, kDown)->read_f32(0, shape.n_out, decoded.data(), scratch);
  const std::vector<std::byte> stored = read_all(result, tensor);
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    std::uint16_t half;
    std::memcpy(&half, stored.data() + 2 * i, 2);
    ASSERT_EQ(half, f32_to_bf16(decoded[i])) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Formats, ConvertPacked,
    testing::Values(Packing{"Fp8Channel", kFp8Config, pack_fp8,
                            [](const Checkpoint& c, PackedShape shape, const std::string& m) {
                              return fp8_channel_rows(c, shape, *c.find(m + ".weight"),
                                                      *c.find(m + ".weight_scale"));
                            }},
                    Packing{"Int4Group", kInt4Config, pack_int4,
                            [](const Checkpoint& c, PackedShape shape, const std::string& m) {
                              return int4_group_rows(c, shape, *c.find(m + ".weight_packed"),
                                                     *c.find(m + ".weight_scale"), 128);
                            }},
                    Packing{"Fp8Block", kBlockConfig, pack_blocks,
                            [](const Checkpoint& c, PackedShape shape, const std::string& m) {
                              return fp8_block_rows(c, shape, *c.find(m + ".weight"),
                                                    *c.find(m + ".weight_scale_inv"), 128, 128);
                            }},
                    Packing{"AwqGemm", kAwqConfig, pack_awq,
                            [](const Checkpoint& c, PackedShape shape, const std::string& m) {
                              return awq_gemm_rows(c, shape, *c.find(m + ".qweight"), *c.find(m + ".qzeros"),
                                                   *c.find(m + ".scales"), 128);
                            }}),
    [](const auto& test) { return test.param.name; });

TEST(Convert, QuantizationConfigDecidesNotTheTensors) {
  // The config says packed, the file holds plain numbers.
  const TinyFolder plain;
  plain.edit_config(
      [&](auto& config) { config["quantization_config"] = nlohmann::ordered_json::parse(kFp8Config); });
  EXPECT_THROW(convert_huggingface(plain.options()), Error);
  // And the other way round.
  const TinyFolder packed;
  packed.edit_tensors([](Arrays& arrays) { pack_fp8(arrays, "model.layers.0.mlp.down_proj"); });
  EXPECT_THROW(convert_huggingface(packed.options()), Error);
}

TEST(Convert, AutoFollowsTheStoredType) {
  const TinyFolder folder;
  ConvertOptions options = folder.options();
  options.type.reset();
  convert_huggingface(options);
  EXPECT_EQ(Checkpoint::open(folder.output()).find("blk.0.attn_q.weight")->type, DType::kBF16);
  folder.edit_tensors([](Arrays& arrays) {
    for (NamedArray& array : arrays) array.type = DType::kF16;
  });
  convert_huggingface(options);
  const Checkpoint halves = Checkpoint::open(folder.output());
  EXPECT_EQ(halves.find("blk.0.attn_q.weight")->type, DType::kF16);
  EXPECT_EQ(halves.find("blk.0.attn_q_norm.weight")->type, DType::kF32);
  EXPECT_EQ(halves.get_u64("general.file_type"), 1U);
}

struct Fault {
  const char* name;
  ErrorKind kind;
  std::vector<std::string> says;
  std::function<void(const TinyFolder&, ConvertOptions&)> cause;
};

void PrintTo(const Fault& fault, std::ostream* out) {
  *out << fault.name;
}

class ConvertRefuses : public testing::TestWithParam<Fault> {};

TEST_P(ConvertRefuses, AndLeavesNoFile) {
  const Fault& fault = GetParam();
  const TinyFolder folder;
  ConvertOptions options = folder.options();
  fault.cause(folder, options);
  try {
    convert_huggingface(options);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), fault.kind) << error.what();
    for (const std::string& part : fault.says) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << part << " not in: " << error.what();
    }
  }
  EXPECT_FALSE(fs::exists(folder.output()));
  int n_entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder.path().parent_path())) ++n_entries;
  EXPECT_EQ(n_entries, 1) << "something beside the model folder";
}

void set_config(const TinyFolder& folder, const char* key, const nlohmann::ordered_json& value) {
  folder.edit_config([&](auto& config) { config[key] = value; });
}

const std::string kQ = "model.layers.1.self_attn.q_proj.weight";

INSTANTIATE_TEST_SUITE_P(
    Faults, ConvertRefuses,
    testing::Values(
        Fault{"MissingTensor",
              ErrorKind::kBadInput,
              {kQ, "missing"},
              [](const TinyFolder& folder, ConvertOptions&) {
                folder.edit_tensors([](Arrays& arrays) {
                  std::erase_if(arrays, [](const NamedArray& array) { return array.name == kQ; });
                });
              }},
        Fault{"SurplusTensor",
              ErrorKind::kBadInput,
              {"model.layers.7.self_attn.q_proj.weight", "no place"},
              [](const TinyFolder& folder, ConvertOptions&) {
                folder.edit_tensors([](Arrays& arrays) {
                  array_named(arrays, kQ).name = "model.layers.7.self_attn.q_proj.weight";
                  NamedArray again = array_named(arrays, "model.layers.0.self_attn.q_proj.weight");
                  again.name = kQ;
                  arrays.push_back(again);
                });
              }},
        Fault{"Shape",
              ErrorKind::kBadInput,
              {kQ, "[96, 256]", "[192, 128]"},
              [](const TinyFolder& folder, ConvertOptions&) {
                folder.edit_tensors([](Arrays& arrays) { array_named(arrays, kQ).shape = {96, 256}; });
              }},
        Fault{"TypeOfATensor",
              ErrorKind::kBadInput,
              {kQ, "I16", "BF16"},
              [](const TinyFolder& folder, ConvertOptions&) {
                folder.edit_tensors([](Arrays& arrays) { array_named(arrays, kQ).type = DType::kI16; });
              }},
        Fault{"ConfigAgainstTensors",
              ErrorKind::kBadInput,
              {"[1000, 128]", "[999, 128]"},
              [](const TinyFolder& folder, ConvertOptions&) { set_config(folder, "vocab_size", 999); }},
        Fault{"Architecture",
              ErrorKind::kUnsupported,
              {"llama", "model_type"},
              [](const TinyFolder& folder, ConvertOptions&) { set_config(folder, "model_type", "llama"); }},
        Fault{"NanIntoBlocks",
              ErrorKind::kBadInput,
              {"blk.1.attn_q.weight", "Q8_0"},
              [](const TinyFolder& folder, ConvertOptions& options) {
                folder.edit_tensors([](Arrays& arrays) {
                  NamedArray& q = array_named(arrays, kQ);
                  q.bytes[0] = std::byte{0xc0};
                  q.bytes[1] = std::byte{0x7f};
                });
                options.type = DType::kQ8_0;
              }},
        Fault{"QuantizationMethod",
              ErrorKind::kUnsupported,
              {"gptq", "awq"},
              [](const TinyFolder& folder, ConvertOptions&) {
                set_config(folder, "quantization_config", {{"quant_method", "gptq"}});
              }},
        Fault{
            "NoTokenizer",
            ErrorKind::kBadInput,
            {"tokenizer"},
            [](const TinyFolder& folder, ConvertOptions&) { fs::remove(folder.path() / "tokenizer.json"); }},
        Fault{"CutFile",
              ErrorKind::kBadInput,
              {"model.safetensors"},
              [](const TinyFolder& folder, ConvertOptions&) {
                fs::resize_file(folder.path() / "model.safetensors", 500'000);
              }},
        Fault{"NoVisionTower",
              ErrorKind::kBadInput,
              {"vision"},
              [](const TinyFolder& folder, ConvertOptions& options) {
                options.mmproj = folder.path().parent_path() / "mmproj.gguf";
              }},
        Fault{"OutputIsAnInput",
              ErrorKind::kBadInput,
              {"model.safetensors", "input"},
              [](const TinyFolder& folder, ConvertOptions& options) {
                options.output = folder.path() / "model.safetensors";
              }},
        Fault{"OutputIsTheConfig",
              ErrorKind::kBadInput,
              {"config.json", "input"},
              [](const TinyFolder& folder, ConvertOptions& options) {
                options.output = folder.path() / "config.json";
              }},
        Fault{"OutputIsAFolder",
              ErrorKind::kBadInput,
              {"folder"},
              [](const TinyFolder& folder, ConvertOptions& options) { options.output = folder.path(); }},
        Fault{"OutputsAreTheSame",
              ErrorKind::kBadInput,
              {"same path"},
              [](const TinyFolder& folder, ConvertOptions& options) { options.mmproj = folder.output(); }},
        Fault{"NoFolderForTheOutput",
              ErrorKind::kIo,
              {"no/out.gguf"},
              [](const TinyFolder& folder, ConvertOptions& options) {
                options.output = folder.path().parent_path() / "no" / "out.gguf";
              }}),
    [](const auto& test) { return test.param.name; });

TEST(Convert, ShardsAgainstTheirIndex) {
  const TinyFolder folder("tiny-exaone4-hybrid");
  fs::remove(folder.path() / "model-00002-of-00002.safetensors");
  EXPECT_THROW(convert_huggingface(folder.options()), Error);
  EXPECT_FALSE(fs::exists(folder.output()));
}

}  // namespace
}  // namespace exa
