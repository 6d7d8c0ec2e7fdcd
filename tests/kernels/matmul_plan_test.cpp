#include "kernels/matmul_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace exa {
namespace {

constexpr std::int64_t kCols = 512;

Matrix weight(DType type, std::int64_t n_rows) {
  return {.type = type,
          .n_rows = n_rows,
          .n_cols = kCols,
          .row_block_bytes = row_block_bytes(type, kCols),
          .bytes = {}};
}

bool never(DType) {
  return false;
}
bool for_bf16(DType type) {
  return type == DType::kBF16;
}
bool for_quantized(DType type) {
  return type == DType::kQ4_0 || type == DType::kQ8_0;
}
bool for_q4(DType type) {
  return type == DType::kQ4_0;
}
bool chunks_of_many(DType type, std::int64_t n_tokens) {
  return type == DType::kF32 && n_tokens > 4;
}
void prepare(const float*, std::int64_t, std::int64_t, std::byte*) {}

// Tables with nothing that multiplies.
constexpr MatmulKernels kPlain = {.quantize_row = nullptr,
                                  .reads_chunks = chunks_of_many,
                                  .matmul = nullptr,
                                  .has_prompt_path = never,
                                  .matmul_prompt = nullptr,
                                  .has_fast_prompt_path = nullptr,
                                  .matmul_fast_prompt = nullptr,
                                  .prompt_bytes = nullptr,
                                  .prepare_prompt = nullptr};

MatmulKernels with_tiles() {
  MatmulKernels kernels = kPlain;
  kernels.has_prompt_path = for_quantized;
  kernels.has_fast_prompt_path = for_q4;
  return kernels;
}

MatmulKernels with_prepared_bf16() {
  MatmulKernels kernels = kPlain;
  kernels.has_prompt_path = for_bf16;
  kernels.prepare_prompt = prepare;
  return kernels;
}

using Form = MatmulPlan::Form;

TEST(MatmulPlan, WithoutAPathForPromptsFormsFollowFromTheTypeAlone) {
  const Matrix q4 = weight(DType::kQ4_0, 32);
  const Matrix f32 = weight(DType::kF32, 48);
  const Matrix bf16 = weight(DType::kBF16, 16);
  const MatmulTarget targets[] = {{&q4, nullptr, 32}, {&f32, nullptr, 48}, {&bf16, nullptr, 16}};
  const MatmulPlan plan(kPlain, PromptSpeed::kFast, targets, 9, 5);
  EXPECT_EQ(plan.rows(targets[0]).form, Form::kInt8);
  EXPECT_EQ(plan.rows(targets[1]).form, Form::kChunks);
  EXPECT_EQ(plan.rows(targets[2]).form, Form::kFloats);
  for (const MatmulTarget& target : targets) {
    EXPECT_EQ(plan.rows(target).n_prompt, 0);
    EXPECT_FALSE(plan.rows(target).fast);
  }
  EXPECT_EQ(plan.first_quantized(), 0);
  EXPECT_EQ(plan.first_chunked(), 0);
  EXPECT_EQ(plan.n_chunked(), 9);
  EXPECT_EQ(plan.n_prepared(), 0);
  EXPECT_EQ(plan.weight_bytes(), 2 * q4.row_block_bytes + 3 * f32.row_block_bytes + bf16.row_block_bytes);
  EXPECT_GE(plan.scratch_bytes(), matmul_scratch_bytes(f32));
}

TEST(MatmulPlan, FewRowsAreReadAsTheyStand) {
  const Matrix f32 = weight(DType::kF32, 48);
  const MatmulTarget target[] = {{&f32, nullptr, 48}};
  const MatmulPlan plan(kPlain, PromptSpeed::kUsual, target, 4, 0);
  EXPECT_EQ(plan.rows(target[0]).form, Form::kFloats);
  EXPECT_EQ(plan.n_chunked(), 0);
  EXPECT_EQ(plan.first_quantized(), 4);
}

TEST(MatmulPlan, PromptRowsAreNotMadeInt8WhereTheyTakeAPathOfTheirOwn) {
  const Matrix q4 = weight(DType::kQ4_0, 16);
  const MatmulTarget target[] = {{&q4, nullptr, 16}};
  const MatmulKernels kernels = with_tiles();
  const MatmulPlan plan(kernels, PromptSpeed::kUsual, target, 9, 5);
  EXPECT_EQ(plan.rows(target[0]).n_prompt, 5);
  EXPECT_FALSE(plan.rows(target[0]).fast);
  EXPECT_EQ(plan.first_quantized(), 5);

  const MatmulPlan all(kernels, PromptSpeed::kUsual, target, 9, 9);
  EXPECT_EQ(all.first_quantized(), 9);
  // A target beside it without such a path has all rows in int8.
  const Matrix q6 = weight(DType::kQ6_K, 16);
  const MatmulTarget both[] = {{&q4, nullptr, 16}, {&q6, nullptr, 16}};
  EXPECT_EQ(MatmulPlan(kernels, PromptSpeed::kUsual, both, 9, 9).first_quantized(), 0);
}

TEST(MatmulPlan, TheFastPathIsForWhoAsksForTypesThatHaveItAndInputsWithoutOutliers) {
  const Matrix q4 = weight(DType::kQ4_0, 16);
  const Matrix q8 = weight(DType::kQ8_0, 16);
  const MatmulTarget targets[] = {{&q4, nullptr, 16},
                                  {.weight = &q4, .y = nullptr, .y_stride = 16, .has_outliers = true},
                                  {&q8, nullptr, 16}};
  const MatmulKernels kernels = with_tiles();
  const MatmulPlan fast(kernels, PromptSpeed::kFast, targets, 9, 9);
  EXPECT_TRUE(fast.rows(targets[0]).fast);
  EXPECT_FALSE(fast.rows(targets[1]).fast);
  EXPECT_FALSE(fast.rows(targets[2]).fast);
  EXPECT_FALSE(MatmulPlan(kernels, PromptSpeed::kUsual, targets, 9, 9).rows(targets[0]).fast);
}

TEST(MatmulPlan, RowsArePreparedWhereSomeTargetReadsThem) {
  const Matrix bf16 = weight(DType::kBF16, 16);
  const Matrix q4 = weight(DType::kQ4_0, 16);
  const MatmulTarget both[] = {{&q4, nullptr, 16}, {&bf16, nullptr, 16}};
  const MatmulTarget none[] = {{&q4, nullptr, 16}};
  const MatmulKernels kernels = with_prepared_bf16();
  EXPECT_EQ(MatmulPlan(kernels, PromptSpeed::kUsual, both, 9, 5).n_prepared(), 5);
  EXPECT_EQ(MatmulPlan(kernels, PromptSpeed::kUsual, both, 9, 0).n_prepared(), 0);
  EXPECT_EQ(MatmulPlan(kernels, PromptSpeed::kUsual, none, 9, 5).n_prepared(), 0);
}

TEST(MatmulPlan, ChunksBeginBehindThePromptRows) {
  const Matrix f32 = weight(DType::kF32, 16);
  const MatmulTarget target[] = {{&f32, nullptr, 16}};
  MatmulKernels kernels = kPlain;
  kernels.has_prompt_path = [](DType type) { return type == DType::kF32; };
  const MatmulPlan plan(kernels, PromptSpeed::kUsual, target, 20, 8);
  EXPECT_EQ(plan.first_chunked(), 8);
  EXPECT_EQ(plan.n_chunked(), 12);
  // As few rows behind them as are read as they stand: none is copied.
  EXPECT_EQ(MatmulPlan(kernels, PromptSpeed::kUsual, target, 12, 8).n_chunked(), 0);
}

}  // namespace
}  // namespace exa
