#include "base/dtype.h"

#include <array>
#include <cstddef>

namespace exa {
namespace {

constexpr std::array<DTypeTraits, 27> kTraits = {{
    {"F64", 1, 8},      {"F32", 1, 4},        {"F16", 1, 2},      {"BF16", 1, 2},     {"F8_E4M3", 1, 1},
    {"F8_E5M2", 1, 1},  {"I64", 1, 8},        {"I32", 1, 4},      {"I16", 1, 2},      {"I8", 1, 1},
    {"U64", 1, 8},      {"U32", 1, 4},        {"U16", 1, 2},      {"U8", 1, 1},       {"BOOL", 1, 1},
    {"Q4_0", 32, 18},   {"Q4_1", 32, 20},     {"Q5_0", 32, 22},   {"Q5_1", 32, 24},   {"Q8_0", 32, 34},
    {"Q2_K", 256, 84},  {"Q3_K", 256, 110},   {"Q4_K", 256, 144}, {"Q5_K", 256, 176}, {"Q6_K", 256, 210},
    {"IQ4_NL", 32, 18}, {"IQ4_XS", 256, 136},
}};

struct GgmlType {
  std::uint32_t id;
  DType type;
};

constexpr std::array<GgmlType, 20> kGgmlTypes = {{
    {0, DType::kF32},   {1, DType::kF16},   {2, DType::kQ4_0},    {3, DType::kQ4_1},    {6, DType::kQ5_0},
    {7, DType::kQ5_1},  {8, DType::kQ8_0},  {10, DType::kQ2_K},   {11, DType::kQ3_K},   {12, DType::kQ4_K},
    {13, DType::kQ5_K}, {14, DType::kQ6_K}, {20, DType::kIQ4_NL}, {23, DType::kIQ4_XS}, {24, DType::kI8},
    {25, DType::kI16},  {26, DType::kI32},  {27, DType::kI64},    {28, DType::kF64},    {30, DType::kBF16},
}};

}  // namespace

const DTypeTraits& traits(DType type) {
  return kTraits[static_cast<std::size_t>(type)];
}

bool is_quantized(DType type) {
  return traits(type).block_size > 1;
}

std::optional<DType> dtype_from_ggml(std::uint32_t ggml_type) {
  for (const GgmlType& entry : kGgmlTypes) {
    if (entry.id == ggml_type) return entry.type;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> ggml_from_dtype(DType type) {
  for (const GgmlType& entry : kGgmlTypes) {
    if (entry.type == type) return entry.id;
  }
  return std::nullopt;
}

std::string_view ggml_type_name(std::uint32_t ggml_type) {
  switch (ggml_type) {
    case 4:
      return "Q4_2 (retired)";
    case 5:
      return "Q4_3 (retired)";
    case 9:
      return "Q8_1";
    case 15:
      return "Q8_K";
    case 16:
      return "IQ2_XXS";
    case 17:
      return "IQ2_XS";
    case 18:
      return "IQ3_XXS";
    case 19:
      return "IQ1_S";
    case 21:
      return "IQ3_S";
    case 22:
      return "IQ2_S";
    case 29:
      return "IQ1_M";
    case 31:
      return "Q4_0_4_4 (retired)";
    case 32:
      return "Q4_0_4_8 (retired)";
    case 33:
      return "Q4_0_8_8 (retired)";
    case 34:
      return "TQ1_0";
    case 35:
      return "TQ2_0";
    case 39:
      return "MXFP4";
    default:
      return "";
  }
}

std::optional<DType> dtype_from_safetensors(std::string_view name) {
  for (std::size_t i = 0; i <= static_cast<std::size_t>(DType::kBool); ++i) {
    if (kTraits[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::string_view safetensors_name(DType type) {
  return traits(type).name;
}

}  // namespace exa
