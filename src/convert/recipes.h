// Which tensor of a model gets which type in a file of a given kind: Q4_K_M and its relatives.
//
// Ownership and threads: values and pure functions.
// Source: exaone-models specification 7.2 and 11; the names, numbers and rules are llama.cpp's, so that a
// file means what its name says everywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "convert/tensor_plan.h"

namespace exa {

enum class FileKind : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ6_K,
  kQ5_K_M,
  kQ5_K_S,
  kQ4_K_M,
  kQ4_K_S,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ3_K_M,
  kQ2_K,
  kIQ4_NL,
  kIQ4_XS,
};

struct FileKindTraits {
  FileKind kind;
  std::string_view name;
  std::uint32_t file_type;  // the value of general.file_type
  DType type;               // of most matrices
};

std::span<const FileKindTraits> file_kinds();
const FileKindTraits& traits(FileKind kind);
// By name, in any case. Errors: kUsage with the names there are.
FileKind parse_file_kind(std::string_view name);
// A type that a file may hold ("Q6_K", "bf16"), in any case. Errors: kUsage naming the option and the known
// types.
DType parse_tensor_type(std::string_view name, std::string_view option);

// What the rules ask about the model.
struct RecipeModel {
  std::int64_t n_layers = 0;  // without drafting layers
  std::int64_t n_draft_layers = 0;
  std::int64_t n_heads = 0;
  std::int64_t n_kv_heads = 0;
  bool tied_head = false;  // token_embd is also the head
  bool has_importance = false;
};

struct Recipe {
  FileKind kind = FileKind::kQ4_K_M;
  bool pure = false;      // one type for all matrices
  bool official = false;  // drafting layers like the others, as in LG's files
  std::optional<DType> output_type = std::nullopt;
  std::optional<DType> token_embedding_type = std::nullopt;
};

// The matrices that a file's kind decides about. Norms, biases, routers and kernels of patches are not among
// them.
bool is_quantizable(std::string_view name, std::span<const std::uint64_t> shape);

// The type of a quantizable tensor, before rows that do not fit its block are looked at.
DType recipe_type(const Recipe& recipe, const RecipeModel& model, std::string_view name, TensorPart part);

// `type`, or what stands in for it where rows of n_cols are no whole number of blocks.
DType fitting_type(DType type, std::uint64_t n_cols);

}  // namespace exa
