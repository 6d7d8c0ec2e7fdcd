#include "convert/recipes.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace exa {
namespace {

constexpr std::array<FileKindTraits, 17> kFileKinds = {{
    {FileKind::kF32, "F32", 0, DType::kF32},
    {FileKind::kF16, "F16", 1, DType::kF16},
    {FileKind::kBF16, "BF16", 32, DType::kBF16},
    {FileKind::kQ8_0, "Q8_0", 7, DType::kQ8_0},
    {FileKind::kQ6_K, "Q6_K", 18, DType::kQ6_K},
    {FileKind::kQ5_K_M, "Q5_K_M", 17, DType::kQ5_K},
    {FileKind::kQ5_K_S, "Q5_K_S", 16, DType::kQ5_K},
    {FileKind::kQ4_K_M, "Q4_K_M", 15, DType::kQ4_K},
    {FileKind::kQ4_K_S, "Q4_K_S", 14, DType::kQ4_K},
    {FileKind::kQ4_0, "Q4_0", 2, DType::kQ4_0},
    {FileKind::kQ4_1, "Q4_1", 3, DType::kQ4_1},
    {FileKind::kQ5_0, "Q5_0", 8, DType::kQ5_0},
    {FileKind::kQ5_1, "Q5_1", 9, DType::kQ5_1},
    {FileKind::kQ3_K_M, "Q3_K_M", 12, DType::kQ3_K},
    {FileKind::kQ2_K, "Q2_K", 10, DType::kQ2_K},
    {FileKind::kIQ4_NL, "IQ4_NL", 25, DType::kIQ4_NL},
    {FileKind::kIQ4_XS, "IQ4_XS", 30, DType::kIQ4_XS},
}};

constexpr std::array<DType, 15> kTensorTypes = {DType::kF32,  DType::kF16,    DType::kBF16,  DType::kQ8_0,
                                                DType::kQ6_K, DType::kQ5_K,   DType::kQ4_K,  DType::kQ3_K,
                                                DType::kQ2_K, DType::kQ4_0,   DType::kQ4_1,  DType::kQ5_0,
                                                DType::kQ5_1, DType::kIQ4_NL, DType::kIQ4_XS};

char upper_case(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return upper_case(x) == upper_case(y); });
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The i of blk.i.…; -1 elsewhere.
std::int64_t layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  constexpr std::int64_t kMost = 1'000'000;
  if (!name.starts_with(kPrefix)) return -1;
  std::int64_t layer = 0;
  std::size_t i = kPrefix.size();
  for (; i < name.size() && name[i] >= '0' && name[i] <= '9' && layer < kMost; ++i)
    layer = layer * 10 + (name[i] - '0');
  return i > kPrefix.size() && i < name.size() && name[i] == '.' ? layer : -1;
}

// Early layers, late layers and every third between them.
bool gets_more_bits(std::int64_t layer, std::int64_t n) {
  return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
}

DType head_type(const FileKindTraits& file) {
  return file.type == DType::kQ8_0 ? DType::kQ8_0 : DType::kQ6_K;
}

DType attention_value_type(const FileKindTraits& file, const RecipeModel& model, std::int64_t layer,
                           std::int64_t n) {
  const bool shared_by_four = model.n_kv_heads > 0 && model.n_heads >= 4 * model.n_kv_heads;
  switch (file.kind) {
    case FileKind::kQ2_K:
      return shared_by_four ? DType::kQ4_K : DType::kQ3_K;
    case FileKind::kQ3_K_M:
      return layer < 2 ? DType::kQ5_K : DType::kQ4_K;
    case FileKind::kQ4_K_S:
      return layer < 4 ? DType::kQ5_K : file.type;
    case FileKind::kQ4_K_M:
    case FileKind::kQ5_K_M:
      return gets_more_bits(layer, n) ? DType::kQ6_K : file.type;
    case FileKind::kIQ4_NL:
    case FileKind::kIQ4_XS:
      return shared_by_four ? DType::kQ5_K : file.type;
    default:
      return file.type;
  }
}

DType ffn_down_type(const FileKindTraits& file, const RecipeModel& model, std::int64_t layer,
                    std::int64_t n) {
  const bool early = layer < n / 8;
  switch (file.kind) {
    case FileKind::kQ2_K:
      return DType::kQ3_K;
    case FileKind::kQ3_K_M:
      return layer < n / 16 ? DType::kQ5_K : DType::kQ4_K;
    case FileKind::kQ4_K_S:
      return early ? DType::kQ5_K : file.type;
    case FileKind::kQ4_K_M:
    case FileKind::kQ5_K_M:
      return gets_more_bits(layer, n) ? DType::kQ6_K : file.type;
    case FileKind::kIQ4_NL:
    case FileKind::kIQ4_XS:
      return early && !model.has_importance ? DType::kQ5_K : file.type;
    case FileKind::kQ4_0:
      return early && model.has_importance ? DType::kQ4_1 : file.type;
    case FileKind::kQ5_0:
      return early && model.has_importance ? DType::kQ5_1 : file.type;
    default:
      return file.type;
  }
}

DType attention_output_type(const FileKindTraits& file) {
  if (file.kind == FileKind::kQ2_K) return DType::kQ3_K;
  if (file.kind == FileKind::kQ3_K_M) return DType::kQ4_K;
  return file.type;
}

}  // namespace

std::span<const FileKindTraits> file_kinds() {
  return kFileKinds;
}

const FileKindTraits& traits(FileKind kind) {
  return kFileKinds[static_cast<std::size_t>(kind)];
}

FileKind parse_file_kind(std::string_view name) {
  std::string known;
  for (const FileKindTraits& file : kFileKinds) {
    if (same_word(file.name, name)) return file.kind;
    known += (known.empty() ? "" : " ") + std::string(file.name);
  }
  throw Error(ErrorKind::kUsage, "unknown TYPE \"" + std::string(name) + "\", expected one of " + known);
}

DType parse_tensor_type(std::string_view name, std::string_view option) {
  std::string known;
  for (const DType type : kTensorTypes) {
    if (same_word(exa::name(type), name)) return type;
    known += (known.empty() ? "" : " ") + std::string(exa::name(type));
  }
  throw Error(ErrorKind::kUsage, "unknown type \"" + std::string(name) + "\", expected one of " + known,
              std::string(option));
}

bool is_quantizable(std::string_view name, std::span<const std::uint64_t> shape) {
  if (shape.size() < 2 || !name.ends_with(".weight")) return false;
  // Seen with leading ones, a vector is a vector.
  if (std::all_of(shape.begin(), shape.end() - 1, [](std::uint64_t n) { return n == 1; })) return false;
  for (const std::string_view part :
       {"_norm.weight", "ffn_gate_inp.weight", ".patch_embd", ".position_embd"}) {
    if (contains(name, part)) return false;
  }
  return true;
}

DType recipe_type(const Recipe& recipe, const RecipeModel& model, std::string_view name, TensorPart part) {
  const FileKindTraits& file = traits(recipe.kind);
  const bool is_embedding = name == "token_embd.weight";
  const bool is_head = name == "output.weight" || (is_embedding && model.tied_head);
  if (is_embedding && recipe.token_embedding_type) return *recipe.token_embedding_type;
  if (is_head && recipe.output_type) return *recipe.output_type;
  if (!is_quantized(file.type) || recipe.pure) return file.type;
  if (is_head) return head_type(file);
  if (part == TensorPart::kVision || (part == TensorPart::kDraft && !recipe.official)) return DType::kQ8_0;

  const std::int64_t layer = layer_of(name);
  if (layer < 0) return file.type;
  // llama.cpp counts the drafting layers among the values, but not among the other layers.
  const std::int64_t n_values = model.n_layers + (recipe.official ? model.n_draft_layers : 0);
  if (contains(name, "attn_v.weight")) return attention_value_type(file, model, layer, n_values);
  if (contains(name, "ffn_down")) return ffn_down_type(file, model, layer, model.n_layers);
  if (contains(name, "attn_output.weight")) return attention_output_type(file);
  return file.type;
}

DType fitting_type(DType type, std::uint64_t n_cols) {
  const auto fits = [n_cols](DType t) { return n_cols % traits(t).block_size == 0; };
  if (fits(type)) return type;
  DType other = DType::kF16;
  switch (type) {
    case DType::kQ2_K:
    case DType::kQ3_K:
      other = DType::kQ4_0;
      break;
    case DType::kQ4_K:
      other = DType::kQ5_0;
      break;
    case DType::kQ5_K:
      other = DType::kQ5_1;
      break;
    case DType::kQ6_K:
      other = DType::kQ8_0;
      break;
    case DType::kIQ4_XS:
      other = DType::kIQ4_NL;
      break;
    default:
      break;
  }
  return fits(other) ? other : DType::kF16;
}

}  // namespace exa
