#include "convert/quantize_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "convert/gguf_writer.h"
#include "convert/hf_to_gguf.h"
#include "convert/imatrix_file.h"
#include "convert/name_pattern.h"
#include "convert/tiny_folder.h"
#include "kernels/quant.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
using test::ScratchFolder;

const fs::path kModels = fs::path(EXAONE_SHARED_DIR) / "golden" / "models";

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::map<std::string, DType> planned_types(const QuantizeOptions& options) {
  const Quantization quantization(options);
  std::map<std::string, DType> types;
  for (const TensorChange& change : quantization.changes()) types[change.name] = change.to;
  return types;
}

// --- files made here ---

std::vector<float> some_numbers(std::size_t n, unsigned seed) {
  std::vector<float> out(n);
  std::uint32_t state = seed;
  for (float& x : out) {
    state = state * 1664525U + 1013904223U;
    x = bf16_to_f32(f32_to_bf16((static_cast<float>(state >> 8) / 8388608.0F - 1.0F) * 0.05F));
  }
  return out;
}

struct MadeTensor {
  std::string name;
  std::vector<std::uint64_t> shape;
  std::vector<float> values;
};

std::vector<MadeTensor> small_model() {
  std::vector<MadeTensor> tensors;
  const auto add = [&](const std::string& name, std::vector<std::uint64_t> shape) {
    std::uint64_t n = 1;
    for (const std::uint64_t dimension : shape) n *= dimension;
    const auto seed = static_cast<unsigned>(tensors.size() + 1);
    tensors.push_back({name, std::move(shape), some_numbers(static_cast<std::size_t>(n), seed)});
  };
  add("token_embd.weight", {40, 256});
  for (int i = 0; i < 3; ++i) {
    const std::string block = "blk." + std::to_string(i) + ".";
    add(block + "attn_q.weight", {256, 256});
    add(block + "attn_v.weight", {64, 256});
    add(block + "attn_q_norm.weight", {64});
    add(block + "ffn_down.weight", {256, 288});
    add(block + "ffn_up_exps.weight", {3, 32, 256});
    add(block + "ffn_gate_inp.weight", {3, 256});
  }
  add("output.weight", {40, 256});
  return tensors;
}

// Two layers and a drafting one, BF16 but for norms and routers.
fs::path write_model(const ScratchFolder& folder, const std::vector<MadeTensor>& tensors,
                     std::uint64_t split_bytes = 0) {
  GgufMetadata keys;
  keys.set_string("general.architecture", "exaone-moe");
  keys.set_u32("general.file_type", 32);
  keys.set_u32("exaone-moe.block_count", 3);
  keys.set_u32("exaone-moe.nextn_predict_layers", 1);
  keys.set_u32("exaone-moe.attention.head_count", 4);
  keys.set_u32("exaone-moe.attention.head_count_kv", 1);
  std::vector<GgufTensor> stored;
  for (const MadeTensor& tensor : tensors) {
    stored.push_back(
        {tensor.name, is_quantizable(tensor.name, tensor.shape) ? DType::kBF16 : DType::kF32, tensor.shape});
  }
  const fs::path path = folder.path() / "in.gguf";
  GgufWriter writer(path, keys, stored, split_bytes);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (stored[i].type == DType::kF32) {
      writer.append(i, std::as_bytes(std::span(tensors[i].values)));
      continue;
    }
    std::vector<std::uint16_t> halves;
    for (const float x : tensors[i].values) halves.push_back(f32_to_bf16(x));
    writer.append(i, std::as_bytes(std::span(halves)));
  }
  writer.commit();
  return writer.paths().front();
}

std::vector<float> read_tensor(const Checkpoint& file, const std::string& name) {
  const TensorInfo* info = file.find(name);
  if (info == nullptr) throw std::runtime_error("no tensor " + name);
  std::vector<std::byte> bytes(info->n_bytes);
  file.read(*info, 0, bytes);
  std::vector<float> values(info->n_elements());
  decode_row(info->type, bytes.data(), values.size(), values.data());
  return values;
}

double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double off = 0;
  double size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    off += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(off / size);
}

QuantizeOptions options_for(const fs::path& input, FileKind kind) {
  QuantizeOptions options;
  options.input = input;
  options.output = input.parent_path() / "out.gguf";
  options.recipe.kind = kind;
  options.n_threads = 2;
  return options;
}

TEST(QuantizeFile, TypesAndNumbersOfASmallMixture) {
  const ScratchFolder folder;
  const std::vector<MadeTensor> tensors = small_model();
  const QuantizeOptions options = options_for(write_model(folder, tensors), FileKind::kQ4_K_M);
  Quantization(options).run();
  const Checkpoint out = Checkpoint::open(options.output);
  EXPECT_EQ(out.get_u64("general.file_type"), 15U);
  EXPECT_EQ(out.get_u64("general.quantization_version"), 2U);
  EXPECT_EQ(out.get_u64("exaone-moe.block_count"), 3U);
  const std::map<std::string, DType> expected = {
      {"token_embd.weight", DType::kQ4_K},        {"output.weight", DType::kQ6_K},
      {"blk.0.attn_q.weight", DType::kQ4_K},      {"blk.1.attn_v.weight", DType::kQ6_K},
      {"blk.0.ffn_down.weight", DType::kQ5_0},    {"blk.1.ffn_down.weight", DType::kQ8_0},
      {"blk.0.ffn_up_exps.weight", DType::kQ4_K}, {"blk.0.ffn_gate_inp.weight", DType::kF32},
      {"blk.1.attn_q_norm.weight", DType::kF32},  {"blk.2.attn_q.weight", DType::kQ8_0},
      {"blk.2.ffn_up_exps.weight", DType::kQ8_0}};
  for (const auto& [name, type] : expected) {
    ASSERT_NE(out.find(name), nullptr) << name;
    EXPECT_EQ(exa::name(out.find(name)->type), exa::name(type)) << name;
  }
  ASSERT_EQ(out.tensors().size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(out.tensors()[i].name, tensors[i].name);
    const DType type = out.tensors()[i].type;
    const double limit = type == DType::kF32    ? 0
                         : type == DType::kQ8_0 ? 0.005
                         : type == DType::kQ6_K ? 0.015
                                                : 0.07;
    EXPECT_LE(relative_error(read_tensor(out, tensors[i].name), tensors[i].values), limit) << tensors[i].name;
  }
}

TEST(QuantizeFile, ThreadsAndChunksChangeNoByte) {
  const ScratchFolder folder;
  std::vector<MadeTensor> tensors = small_model();
  tensors.push_back({"blk.0.attn_k.weight", {9000, 256}, some_numbers(9000 * 256, 77)});  // several stretches
  QuantizeOptions options = options_for(write_model(folder, tensors), FileKind::kQ4_K_S);
  options.n_threads = 1;
  Quantization(options).run();
  const std::string one = bytes_of(options.output);
  for (const int n_threads : {2, 5}) {
    options.n_threads = n_threads;
    Quantization(options).run();
    EXPECT_EQ(bytes_of(options.output), one);
  }
}

TEST(QuantizeFile, PlainTypesRoundEachNumber) {
  const ScratchFolder folder;
  const std::vector<MadeTensor> tensors = small_model();
  const fs::path input = write_model(folder, tensors);
  for (const FileKind kind : {FileKind::kF32, FileKind::kF16, FileKind::kBF16}) {
    const QuantizeOptions options = options_for(input, kind);
    Quantization(options).run();
    const Checkpoint out = Checkpoint::open(options.output);
    for (const MadeTensor& tensor : tensors) {
      std::vector<float> expected = tensor.values;
      if (kind == FileKind::kF16 && is_quantizable(tensor.name, tensor.shape)) {
        for (float& x : expected) x = f16_to_f32(f32_to_f16(x));
      }
      EXPECT_EQ(read_tensor(out, tensor.name), expected) << tensor.name;
    }
  }
}

TEST(QuantizeFile, SplitInputAndKeptSplit) {
  const ScratchFolder whole;
  const ScratchFolder cut;
  const std::vector<MadeTensor> tensors = small_model();
  const QuantizeOptions plain = options_for(write_model(whole, tensors), FileKind::kQ5_K_M);
  Quantization(plain).run();
  QuantizeOptions split = options_for(write_model(cut, tensors, 150'000), FileKind::kQ5_K_M);
  const Checkpoint shards = Checkpoint::open(split.input);
  ASSERT_GT(shards.files().size(), 2U);
  Quantization(split).run();
  EXPECT_EQ(bytes_of(split.output), bytes_of(plain.output));
  split.keep_split = true;
  Quantization(split).run();
  const Checkpoint kept = Checkpoint::open(shard_path(split.output, 0, shards.files().size()));
  ASSERT_EQ(kept.files().size(), shards.files().size());
  ASSERT_EQ(kept.tensors().size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(kept.tensors()[i].file, shards.tensors()[i].file);
    EXPECT_EQ(kept.tensors()[i].name, tensors[i].name);
  }
}

TEST(QuantizeFile, TypesByHand) {
  const ScratchFolder folder;
  QuantizeOptions options = options_for(write_model(folder, small_model()), FileKind::kQ4_K_M);
  options.recipe.output_type = DType::kBF16;
  options.recipe.token_embedding_type = DType::kQ8_0;
  options.overrides = {
      {"attn_q\\.weight$", DType::kQ5_K}, {"^blk\\.[01]\\.attn", DType::kQ3_K}, {"nowhere", DType::kQ8_0}};
  const Quantization quantization(options);
  std::map<std::string, DType> types;
  for (const TensorChange& change : quantization.changes()) types[change.name] = change.to;
  EXPECT_EQ(types["output.weight"], DType::kBF16);
  EXPECT_EQ(types["token_embd.weight"], DType::kQ8_0);
  EXPECT_EQ(types["blk.0.attn_q.weight"], DType::kQ5_K) << "the first match decides";
  EXPECT_EQ(types["blk.2.attn_q.weight"], DType::kQ5_K);
  EXPECT_EQ(types["blk.1.attn_v.weight"], DType::kQ3_K);
  EXPECT_EQ(types["blk.1.attn_q_norm.weight"], DType::kF32) << "norms are no matrices";
  std::string notes;
  for (const std::string& note : quantization.notes()) notes += note + "\n";
  EXPECT_NE(notes.find("nowhere"), std::string::npos);
  EXPECT_NE(notes.find("blk.0.ffn_down.weight: rows of 288 are no multiple of 256: Q4_K → Q5_0"),
            std::string::npos)
      << notes;
  options.overrides.clear();
  options.recipe = {.kind = FileKind::kQ4_K_M, .pure = true};
  types = planned_types(options);
  EXPECT_EQ(types["output.weight"], DType::kQ4_K);
  EXPECT_EQ(types["blk.2.attn_v.weight"], DType::kQ4_K);
  options.recipe = {.kind = FileKind::kQ4_K_M, .official = true};
  EXPECT_EQ(planned_types(options)["blk.2.attn_q.weight"], DType::kQ4_K);
}

TEST(QuantizeFile, QuantizedInputs) {
  const ScratchFolder folder;
  QuantizeOptions options = options_for(write_model(folder, small_model()), FileKind::kQ4_K_M);
  Quantization(options).run();
  const fs::path first = folder.path() / "first.gguf";
  fs::rename(options.output, first);
  options.input = first;
  options.recipe.kind = FileKind::kQ6_K;
  EXPECT_THROW(Quantization{options}, Error);
  options.allow_requantize = true;
  const Quantization larger(options);
  for (const TensorChange& change : larger.changes()) {
    EXPECT_EQ(change.from, name(change.to)) << change.name << ": larger blocks bring nothing back";
  }
  options.allow_requantize = false;
  options.recipe.kind = FileKind::kQ2_K;
  const Quantization smaller(options);
  ASSERT_FALSE(smaller.notes().empty());
  EXPECT_NE(smaller.notes().back().find("quantized already"), std::string::npos);
  options.recipe.kind = FileKind::kF32;
  EXPECT_EQ(planned_types(options)["blk.0.attn_q.weight"], DType::kF32);
}

TEST(QuantizeFile, ImportanceGuidesTheSearch) {
  const ScratchFolder folder;
  const std::vector<MadeTensor> tensors = small_model();
  const fs::path input = write_model(folder, tensors);
  Imatrix imatrix{.datasets = {"korean.txt"}, .n_chunks = 7, .chunk_tokens = 512, .entries = {}};
  for (const MadeTensor& tensor : tensors) {
    if (!is_quantizable(tensor.name, tensor.shape) || tensor.name == "token_embd.weight") continue;
    const std::uint64_t n = tensor.shape.size() == 3 ? tensor.shape[0] : 1;
    ImatrixEntry entry{tensor.name, tensor.shape.back(), {}, {}};
    for (std::uint64_t m = 0; m < n; ++m) {
      entry.counts.push_back(m == 1 ? 0.0F : 100.0F);  // no token came to the second expert
      for (std::uint64_t i = 0; i < entry.n_cols; ++i) {
        entry.sums.push_back(m == 1 ? 0.0F : (i + m) % 5 == 0 ? 5000.0F : 50.0F);
      }
    }
    imatrix.entries.push_back(std::move(entry));
  }
  const fs::path file = folder.path() / "imatrix.gguf";
  write_imatrix(file, imatrix);

  QuantizeOptions options = options_for(input, FileKind::kQ4_K_M);
  Quantization(options).run();
  const Checkpoint plain = Checkpoint::open(options.output);
  options.output = folder.path() / "weighed.gguf";
  options.imatrix = file;
  Quantization(options).run();
  const Checkpoint weighed = Checkpoint::open(options.output);
  EXPECT_EQ(*weighed.get_string("quantize.imatrix.file"), "imatrix.gguf");
  EXPECT_EQ(*weighed.get_string("quantize.imatrix.dataset"), "korean.txt");
  EXPECT_EQ(weighed.get_u64("quantize.imatrix.chunks_count"), 7U);
  EXPECT_EQ(weighed.get_u64("quantize.imatrix.entries_count"), imatrix.entries.size());

  const std::string name = "blk.0.ffn_up_exps.weight";
  const std::vector<float> original = tensors[5].values;
  ASSERT_EQ(tensors[5].name, name);
  const std::vector<float> a = read_tensor(plain, name);
  const std::vector<float> b = read_tensor(weighed, name);
  for (std::size_t expert = 0; expert < 3; ++expert) {
    double important_before = 0;
    double important_after = 0;
    bool same = true;
    for (std::size_t i = expert * 32 * 256; i < (expert + 1) * 32 * 256; ++i) {
      same = same && a[i] == b[i];
      if ((i % 256 + expert) % 5 != 0) continue;
      important_before += std::pow(static_cast<double>(a[i] - original[i]), 2);
      important_after += std::pow(static_cast<double>(b[i] - original[i]), 2);
    }
    if (expert == 1) {
      EXPECT_LT(std::fabs(important_after / important_before - 1), 0.05) << "even weights";
    } else {
      EXPECT_FALSE(same);
      EXPECT_LT(important_after, 0.8 * important_before) << expert;
    }
  }
}

TEST(QuantizeFile, ImatrixOfAnotherModel) {
  const ScratchFolder folder;
  QuantizeOptions options = options_for(write_model(folder, small_model()), FileKind::kQ4_K_M);
  options.imatrix = folder.path() / "imatrix.gguf";
  const auto fails = [&](const std::string& saying) {
    try {
      Quantization(options).run();
      ADD_FAILURE() << "expected " << saying;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput) << error.what();
      EXPECT_NE(std::string(error.what()).find(saying), std::string::npos) << error.what();
    }
    EXPECT_FALSE(fs::exists(options.output));
  };
  Imatrix imatrix;
  imatrix.entries = {{"blk.7.other.weight", 4, {1, 1, 1, 1}, {1}}};
  write_imatrix(*options.imatrix, imatrix);
  fails("none of the");
  imatrix.entries = {{"blk.0.attn_q.weight", 4, {1, 1, 1, 1}, {1}}};
  write_imatrix(*options.imatrix, imatrix);
  fails("1 x 4");
  imatrix.entries = {{"blk.0.attn_q.weight", 256, std::vector<float>(256, 1.0F), {1}}};
  imatrix.entries[0].sums[9] = std::numeric_limits<float>::quiet_NaN();
  write_imatrix(*options.imatrix, imatrix);
  fails("nan");
  fs::copy_file(options.input, *options.imatrix, fs::copy_options::overwrite_existing);
  fails("in_sum2");
  options.output = *options.imatrix;
  imatrix.entries[0].sums[9] = 1;
  write_imatrix(*options.imatrix, imatrix);
  EXPECT_THROW(Quantization(options).run(), Error) << "the output would replace the imatrix";
}

TEST(ImatrixFileTest, ComesBack) {
  const ScratchFolder folder;
  Imatrix imatrix{.datasets = {"a", "b"}, .n_chunks = 3, .chunk_tokens = 256, .entries = {}};
  imatrix.entries.push_back({"blk.1.w.weight", 2, {4, 0, 9, 27}, {2, 3}});
  imatrix.entries.push_back({"blk.0.w.weight", 3, {1, 2, 3}, {1}});
  write_imatrix(folder.path() / "i.gguf", imatrix);
  const ImatrixFile file = ImatrixFile::open(folder.path() / "i.gguf");
  EXPECT_EQ(file.n_entries(), 2U);
  EXPECT_EQ(file.datasets(), imatrix.datasets);
  EXPECT_EQ(file.n_chunks(), 3U);
  EXPECT_EQ(file.chunk_tokens(), 256U);
  EXPECT_EQ(file.read("blk.1.w.weight").sums, imatrix.entries[0].sums);
  EXPECT_EQ(file.read("blk.1.w.weight").counts, imatrix.entries[0].counts);
  EXPECT_EQ(file.importance("blk.1.w.weight", 2, 2), (std::vector<float>{2, 1e-4F, 0.5F, 1.5F}));
  EXPECT_EQ(file.importance("blk.9.w.weight", 2, 2), std::nullopt);
  EXPECT_THROW(file.importance("blk.1.w.weight", 1, 2), Error);
}

TEST(QuantizeFile, NumbersThatFitNoBlockAreNamed) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {nan, std::numeric_limits<float>::infinity(), 1e6F}) {
    const ScratchFolder folder;
    std::vector<MadeTensor> tensors = small_model();
    tensors[1].values[256 * 17 + 5] = bad;
    QuantizeOptions options = options_for(write_model(folder, tensors), FileKind::kQ4_K_M);
    try {
      Quantization(options).run();
      FAIL() << bad;
    } catch (const Error& error) {
      const std::string what = error.what();
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
      for (const char* part : {"blk.0.attn_q.weight", "row 17", "column 5", "65504", "Q4_K"}) {
        EXPECT_NE(what.find(part), std::string::npos) << what;
      }
    }
    EXPECT_FALSE(fs::exists(options.output));
    options.recipe.kind = FileKind::kF32;
    EXPECT_NO_THROW(Quantization(options).run()) << "F32 holds anything";
  }
}

TEST(QuantizeFile, RefusesToOverwriteItsInput) {
  const ScratchFolder folder;
  QuantizeOptions options = options_for(write_model(folder, small_model()), FileKind::kQ8_0);
  const std::string before = bytes_of(options.input);
  options.output = options.input;
  EXPECT_THROW(Quantization(options).run(), Error);
  fs::create_symlink(options.input, folder.path() / "link.gguf");
  options.output = folder.path() / "link.gguf";
  EXPECT_THROW(Quantization(options).run(), Error);
  options.output = folder.path();
  EXPECT_THROW(Quantization(options).run(), Error);
  options.output = folder.path() / "none" / "out.gguf";
  EXPECT_THROW(Quantization(options).run(), Error);
  EXPECT_EQ(bytes_of(options.input), before);
}

TEST(QuantizeFile, FolderInOnePassIsConvertThenQuantize) {
  for (const char* model : {"tiny-exaone4", "tiny-exaone4-hybrid", "tiny-exaone4_5"}) {
    const test::TinyFolder folder(model);
    convert_huggingface(folder.options());
    const fs::path converted = folder.output().parent_path() / "converted.gguf";
    fs::rename(folder.output(), converted);
    for (const FileKind kind : {FileKind::kQ4_K_M, FileKind::kQ8_0, FileKind::kF16}) {
      QuantizeOptions options = options_for(converted, kind);
      Quantization(options).run();
      const std::string two_passes = bytes_of(options.output);
      options.input = folder.path();
      Quantization(options).run();
      EXPECT_EQ(bytes_of(options.output), two_passes) << model << ", " << traits(kind).name;
    }
  }
}

TEST(QuantizeFile, VisionTowerAtQ8_0) {
  if (!fs::exists(kModels)) GTEST_SKIP() << "no golden data at " << kModels;
  const ScratchFolder folder;
  QuantizeOptions options = options_for(kModels / "exaone4_5", FileKind::kQ4_K_M);
  options.output = folder.path() / "out.gguf";
  options.one_file = true;
  Quantization(options).run();
  const Checkpoint out = Checkpoint::open(options.output);
  ASSERT_NE(out.find("mm.0.weight"), nullptr);
  EXPECT_EQ(out.find("mm.0.weight")->type, DType::kQ8_0);
  EXPECT_EQ(out.find("v.patch_embd.weight")->type, DType::kF32);
  options.one_file = false;
  const Quantization without(options);
  ASSERT_FALSE(without.notes().empty());
  EXPECT_NE(without.notes().front().find("vision tower"), std::string::npos);
}

TEST(QuantizeFile, LineOfATensor) {
  TensorChange change{
      .name = "blk.0.attn_q.weight", .shape = {5120, 5120}, .from = "BF16", .to = DType::kQ4_K};
  change.from_bytes = 52428800;
  change.to_bytes = 14745600;
  EXPECT_EQ(describe(change), "5120 x 5120  BF16 → Q4_K  50.0 → 14.1 MiB");
  change.from = "Q4_K";
  EXPECT_EQ(describe(change), "5120 x 5120  Q4_K  14.1 MiB");
  change.from = "int4 group 128";
  change.from_bytes = 0;
  EXPECT_EQ(describe(change), "5120 x 5120  int4 group 128 → Q4_K  14.1 MiB");
}

TEST(NamePatternTest, SearchesAndLimits) {
  EXPECT_TRUE(NamePattern("ffn_(up|down)").matches("blk.3.ffn_down.weight"));
  EXPECT_FALSE(NamePattern("^ffn").matches("blk.3.ffn_down.weight"));
  EXPECT_TRUE(NamePattern("blk\\.(0|1[0-9])\\.").matches("blk.17.attn_q.weight"));
  EXPECT_TRUE(NamePattern("").matches("anything"));
  for (const char* broken : {"(", "[a", "*", "a{2,1}", "(?<n"}) {
    try {
      NamePattern pattern(broken);
      ADD_FAILURE() << broken;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    }
  }
  try {
    NamePattern("(a|a)+$").matches(std::string(40, 'a') + "b");
    ADD_FAILURE() << "expected a limit";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
  }
}

// --- against files of llama.cpp's quantizer ---

TEST(QuantizeGolden, TypesOfEveryTensor) {
  if (!fs::exists(kModels)) GTEST_SKIP() << "no golden data at " << kModels;
  const auto compare = [](const std::string& model, FileKind kind, bool official) {
    const ScratchFolder folder;
    QuantizeOptions options = options_for(kModels / model, kind);
    options.output = folder.path() / "out.gguf";
    options.recipe.official = official;
    const std::map<std::string, DType> ours = planned_types(options);
    const Checkpoint theirs =
        Checkpoint::open(kModels / model / "gguf" / (std::string(traits(kind).name) + ".gguf"));
    EXPECT_EQ(ours.size(), theirs.tensors().size());
    for (const TensorInfo& tensor : theirs.tensors()) {
      ASSERT_TRUE(ours.contains(tensor.name)) << tensor.name;
      EXPECT_EQ(name(ours.at(tensor.name)), name(tensor.type))
          << model << " " << traits(kind).name << " " << tensor.name;
    }
  };
  for (const FileKind kind : {FileKind::kBF16, FileKind::kF16, FileKind::kQ8_0, FileKind::kQ6_K,
                              FileKind::kQ5_K_M, FileKind::kQ4_K_M, FileKind::kQ4_0, FileKind::kIQ4_XS}) {
    compare("exaone4-dense", kind, false);
  }
  compare("exaone4-hybrid", FileKind::kQ4_K_M, false);
  compare("exaone4_5", FileKind::kQ4_K_M, true);
}

TEST(QuantizeGolden, TensorsAreAsCloseAsTheirs) {
  if (!fs::exists(kModels)) GTEST_SKIP() << "no golden data at " << kModels;
  const fs::path dense = kModels / "exaone4-dense";
  const Checkpoint original = Checkpoint::open(dense / "gguf" / "BF16.gguf");
  for (const FileKind kind : {FileKind::kQ8_0, FileKind::kQ6_K, FileKind::kQ5_K_M, FileKind::kQ4_K_M,
                              FileKind::kQ4_0, FileKind::kIQ4_XS}) {
    const ScratchFolder folder;
    QuantizeOptions options = options_for(dense, kind);
    options.output = folder.path() / "out.gguf";
    Quantization(options).run();
    const Checkpoint ours = Checkpoint::open(options.output);
    const Checkpoint theirs = Checkpoint::open(dense / "gguf" / (std::string(traits(kind).name) + ".gguf"));
    for (const TensorInfo& tensor : theirs.tensors()) {
      const std::vector<float> expected = read_tensor(original, tensor.name);
      const double our_error = relative_error(read_tensor(ours, tensor.name), expected);
      const double their_error = relative_error(read_tensor(theirs, tensor.name), expected);
      EXPECT_LE(our_error, 1.0 * their_error) << traits(kind).name << " " << tensor.name;
    }
  }
}

}  // namespace
}  // namespace exa
