#include "convert/recipes.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"

namespace exa {
namespace {

// EXAONE 4.5 33B: 64 layers and one drafting layer, 40 heads over 8.
constexpr RecipeModel kLarge{.n_layers = 64, .n_draft_layers = 1, .n_heads = 40, .n_kv_heads = 8};

DType text_type(FileKind kind, const std::string& name, RecipeModel model = kLarge) {
  return recipe_type({.kind = kind}, model, name, TensorPart::kText);
}

std::string block(int layer, const char* what) {
  return "blk." + std::to_string(layer) + "." + what + ".weight";
}

// The layers whose `what` gets `type`.
std::vector<int> layers_with(FileKind kind, const char* what, DType type, RecipeModel model) {
  std::vector<int> layers;
  for (int i = 0; i < model.n_layers; ++i) {
    if (text_type(kind, block(i, what), model) == type) layers.push_back(i);
  }
  return layers;
}

TEST(Recipes, KindsByName) {
  EXPECT_EQ(file_kinds().size(), 17U);
  for (const FileKindTraits& file : file_kinds()) {
    EXPECT_EQ(parse_file_kind(file.name), file.kind);
    EXPECT_EQ(&traits(file.kind), &file);
  }
  EXPECT_EQ(parse_file_kind("q4_k_m"), FileKind::kQ4_K_M);
  EXPECT_EQ(traits(FileKind::kQ4_K_M).file_type, 15U);
  EXPECT_EQ(traits(FileKind::kIQ4_XS).file_type, 30U);
  EXPECT_EQ(traits(FileKind::kBF16).file_type, 32U);
  for (const char* wrong : {"", "Q4", "Q4_K_L", "Q4_K_M ", "IQ2_XXS"}) {
    try {
      parse_file_kind(wrong);
      FAIL() << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_NE(error.message().find("Q4_K_M"), std::string::npos) << "lists the known ones";
      EXPECT_NE(error.message().find("IQ4_XS"), std::string::npos);
    }
  }
  EXPECT_EQ(parse_tensor_type("bf16", "--x"), DType::kBF16);
  EXPECT_EQ(parse_tensor_type("Q6_k", "--x"), DType::kQ6_K);
  EXPECT_THROW(parse_tensor_type("Q4_K_M", "--x"), Error);
  EXPECT_THROW(parse_tensor_type("I32", "--x"), Error);
}

TEST(Recipes, MoreBitsForEarlyLateAndEveryThirdLayer) {
  const std::vector<int> of_64 = {0,  1,  2,  3,  4,  5,  6,  7,  10, 13, 16, 19, 22, 25, 28, 31,
                                  34, 37, 40, 43, 46, 49, 52, 55, 56, 57, 58, 59, 60, 61, 62, 63};
  const RecipeModel small{.n_layers = 30, .n_heads = 32, .n_kv_heads = 8, .tied_head = true};
  const std::vector<int> of_30 = {0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29};
  for (const FileKind kind : {FileKind::kQ4_K_M, FileKind::kQ5_K_M}) {
    for (const char* what : {"attn_v", "ffn_down", "ffn_down_exps", "ffn_down_shexp"}) {
      EXPECT_EQ(layers_with(kind, what, DType::kQ6_K, kLarge), of_64) << what;
      EXPECT_EQ(layers_with(kind, what, DType::kQ6_K, small), of_30) << what;
    }
    for (const char* what : {"attn_q", "attn_k", "attn_output", "ffn_up", "ffn_gate", "ffn_gate_exps"}) {
      EXPECT_EQ(layers_with(kind, what, traits(kind).type, kLarge).size(), 64U) << what;
    }
  }
}

TEST(Recipes, OtherKinds) {
  EXPECT_EQ(layers_with(FileKind::kQ4_K_S, "attn_v", DType::kQ5_K, kLarge), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(layers_with(FileKind::kQ4_K_S, "ffn_down", DType::kQ5_K, kLarge).size(), 8U);
  EXPECT_EQ(layers_with(FileKind::kQ3_K_M, "attn_v", DType::kQ5_K, kLarge), (std::vector<int>{0, 1}));
  EXPECT_EQ(layers_with(FileKind::kQ3_K_M, "attn_v", DType::kQ4_K, kLarge).size(), 62U);
  EXPECT_EQ(layers_with(FileKind::kQ3_K_M, "ffn_down", DType::kQ5_K, kLarge).size(), 4U);
  EXPECT_EQ(text_type(FileKind::kQ3_K_M, block(9, "attn_output")), DType::kQ4_K);
  EXPECT_EQ(text_type(FileKind::kQ3_K_M, block(9, "attn_q")), DType::kQ3_K);
  EXPECT_EQ(text_type(FileKind::kQ2_K, block(9, "attn_v")), DType::kQ4_K);
  EXPECT_EQ(text_type(FileKind::kQ2_K, block(9, "ffn_down")), DType::kQ3_K);
  EXPECT_EQ(text_type(FileKind::kQ2_K, block(9, "attn_output")), DType::kQ3_K);
  RecipeModel few_shared = kLarge;
  few_shared.n_kv_heads = 20;
  EXPECT_EQ(text_type(FileKind::kQ2_K, block(9, "attn_v"), few_shared), DType::kQ3_K);
  EXPECT_EQ(text_type(FileKind::kIQ4_XS, block(9, "attn_v")), DType::kQ5_K);
  EXPECT_EQ(text_type(FileKind::kIQ4_XS, block(9, "attn_v"), few_shared), DType::kIQ4_XS);
  EXPECT_EQ(layers_with(FileKind::kIQ4_XS, "ffn_down", DType::kQ5_K, kLarge).size(), 8U);
  RecipeModel weighed = kLarge;
  weighed.has_importance = true;
  EXPECT_EQ(layers_with(FileKind::kIQ4_XS, "ffn_down", DType::kQ5_K, weighed).size(), 0U);
  EXPECT_EQ(layers_with(FileKind::kQ4_0, "ffn_down", DType::kQ4_1, weighed).size(), 8U);
  EXPECT_EQ(layers_with(FileKind::kQ4_0, "ffn_down", DType::kQ4_1, kLarge).size(), 0U);
  EXPECT_EQ(layers_with(FileKind::kQ5_0, "ffn_down", DType::kQ5_1, weighed).size(), 8U);
}

TEST(Recipes, HeadAndEmbedding) {
  RecipeModel tied = kLarge;
  tied.tied_head = true;
  for (const FileKindTraits& file : file_kinds()) {
    const DType head = !is_quantized(file.type) || file.type == DType::kQ8_0 ? file.type : DType::kQ6_K;
    EXPECT_EQ(text_type(file.kind, "output.weight"), head) << file.name;
    EXPECT_EQ(text_type(file.kind, "token_embd.weight", tied), head) << file.name;
    EXPECT_EQ(text_type(file.kind, "token_embd.weight"), file.type) << file.name;
  }
  const Recipe recipe{.output_type = DType::kQ8_0, .token_embedding_type = DType::kQ5_K};
  EXPECT_EQ(recipe_type(recipe, kLarge, "output.weight", TensorPart::kText), DType::kQ8_0);
  EXPECT_EQ(recipe_type(recipe, kLarge, "token_embd.weight", TensorPart::kText), DType::kQ5_K);
  EXPECT_EQ(recipe_type({.output_type = DType::kQ8_0}, tied, "token_embd.weight", TensorPart::kText),
            DType::kQ8_0);
}

TEST(Recipes, DraftAndVisionAreQ8_0UnlessPlain) {
  for (const FileKindTraits& file : file_kinds()) {
    const DType expected = is_quantized(file.type) ? DType::kQ8_0 : file.type;
    EXPECT_EQ(recipe_type({.kind = file.kind}, kLarge, block(64, "ffn_up"), TensorPart::kDraft), expected);
    EXPECT_EQ(recipe_type({.kind = file.kind}, kLarge, block(64, "nextn.eh_proj"), TensorPart::kDraft),
              expected);
    EXPECT_EQ(recipe_type({.kind = file.kind}, kLarge, "v.blk.3.attn_qkv.weight", TensorPart::kVision),
              expected);
    EXPECT_EQ(recipe_type({.kind = file.kind, .pure = true}, kLarge, block(64, "ffn_up"), TensorPart::kDraft),
              file.type);
    EXPECT_EQ(recipe_type({.kind = file.kind, .pure = true}, kLarge, "output.weight", TensorPart::kText),
              file.type);
  }
}

// The published EXAONE 4.5 33B Q4_K_M has 20,047,839,424 bytes: what its tensors do not take is the header,
// most of it the vocabulary.
TEST(Recipes, OfficialFileHasThePublishedSize) {
  constexpr std::uint64_t kHidden = 5120, kFfn = 27392, kVocab = 153600, kKeys = 1024;
  std::vector<std::pair<std::string, std::vector<std::uint64_t>>> tensors = {
      {"token_embd.weight", {kVocab, kHidden}},
      {"output.weight", {kVocab, kHidden}},
      {"output_norm.weight", {kHidden}},
      {"rope_freqs.weight", {64}},
      {block(64, "nextn.eh_proj"), {kHidden, 2 * kHidden}},
      {block(64, "nextn.enorm"), {kHidden}},
      {block(64, "nextn.hnorm"), {kHidden}},
      {block(64, "nextn.shared_head_norm"), {kHidden}}};
  for (int i = 0; i < 65; ++i) {
    const auto add = [&](const char* what, std::vector<std::uint64_t> shape) {
      tensors.emplace_back(block(i, what), std::move(shape));
    };
    add("attn_q", {kHidden, kHidden});
    add("attn_k", {kKeys, kHidden});
    add("attn_v", {kKeys, kHidden});
    add("attn_output", {kHidden, kHidden});
    add("ffn_gate", {kFfn, kHidden});
    add("ffn_up", {kFfn, kHidden});
    add("ffn_down", {kHidden, kFfn});
    for (const char* norm : {"attn_q_norm", "attn_k_norm"}) add(norm, {128});
    for (const char* norm : {"post_attention_norm", "post_ffw_norm"}) add(norm, {kHidden});
  }
  std::uint64_t total = 0;
  std::map<DType, int> counts;
  for (const auto& [name, shape] : tensors) {
    const TensorPart part = name.starts_with("blk.64.") ? TensorPart::kDraft : TensorPart::kText;
    const DType type =
        is_quantizable(name, shape) ? recipe_type({.official = true}, kLarge, name, part) : DType::kF32;
    ++counts[type];
    total += row_bytes(type, shape.size() == 2 ? shape[0] * shape[1] : shape[0]);
  }
  EXPECT_EQ(counts.size(), 3U);
  EXPECT_EQ(counts[DType::kF32], 265);
  constexpr std::uint64_t kPublished = 20'047'839'424;
  ASSERT_LT(total, kPublished);
  EXPECT_GT(kPublished - total, 3'000'000U);
  EXPECT_LT(kPublished - total, 12'000'000U);
}

TEST(Recipes, WhatIsQuantizable) {
  const std::vector<std::uint64_t> matrix = {64, 64};
  for (const char* name :
       {"token_embd.weight", "output.weight", "blk.0.attn_q.weight", "blk.1.ffn_gate_exps.weight",
        "blk.4.nextn.eh_proj.weight", "v.blk.0.attn_qkv.weight", "mm.0.weight"}) {
    EXPECT_TRUE(is_quantizable(name, matrix)) << name;
  }
  EXPECT_TRUE(is_quantizable("blk.1.ffn_up_exps.weight", std::vector<std::uint64_t>{8, 64, 64}));
  for (const char* name :
       {"output_norm.weight", "blk.0.attn_q_norm.weight", "blk.1.ffn_gate_inp.weight", "v.patch_embd.weight",
        "v.patch_embd.weight.1", "v.position_embd.weight", "blk.0.attn_q.bias"}) {
    EXPECT_FALSE(is_quantizable(name, matrix)) << name;
  }
  EXPECT_FALSE(is_quantizable("blk.0.attn_q.weight", std::vector<std::uint64_t>{64}));
  EXPECT_FALSE(is_quantizable("blk.0.attn_q.weight", std::vector<std::uint64_t>{1, 64}));
  EXPECT_FALSE(is_quantizable("", {}));
}

TEST(Recipes, RowsThatFitNoBlock) {
  EXPECT_EQ(fitting_type(DType::kQ4_K, 512), DType::kQ4_K);
  const std::vector<std::pair<DType, DType>> pairs = {
      {DType::kQ2_K, DType::kQ4_0}, {DType::kQ3_K, DType::kQ4_0}, {DType::kQ4_K, DType::kQ5_0},
      {DType::kQ5_K, DType::kQ5_1}, {DType::kQ6_K, DType::kQ8_0}, {DType::kIQ4_XS, DType::kIQ4_NL}};
  for (const auto& [wanted, instead] : pairs) {
    EXPECT_EQ(fitting_type(wanted, 288), instead);
    EXPECT_EQ(fitting_type(wanted, 100), DType::kF16);
  }
  EXPECT_EQ(fitting_type(DType::kQ8_0, 100), DType::kF16);
  EXPECT_EQ(fitting_type(DType::kBF16, 100), DType::kBF16);
}

TEST(Recipes, OddLayerNumbers) {
  for (const char* name :
       {"blk..attn_v.weight", "blk.99999999999999999999.attn_v.weight", "blk.attn_v.weight"}) {
    EXPECT_EQ(text_type(FileKind::kQ4_K_M, name), DType::kQ4_K) << name;
  }
}

}  // namespace
}  // namespace exa
