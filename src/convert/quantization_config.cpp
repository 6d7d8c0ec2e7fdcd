#include "convert/quantization_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/config_reader.h"

namespace exa {
namespace {

using nlohmann::ordered_json;

[[noreturn]] void unsupported(const JsonReader& json, std::string_view key, const std::string& expected) {
  const ordered_json* found = json.find(key);
  throw Error(ErrorKind::kUnsupported,
              "expected " + expected + ", found " +
                  (found ? found->dump(-1, ' ', false, ordered_json::error_handler_t::replace)
                         : std::string("no such key")),
              json.where(key));
}

std::vector<std::string> names(const JsonReader& json, std::string_view key) {
  std::vector<std::string> list;
  const ordered_json* found = json.find(key);
  if (!found) return list;
  if (!found->is_array()) throw json.error(key, "a list of module names", found->type_name());
  for (const ordered_json& entry : *found) {
    if (!entry.is_string()) throw json.error(key, "a list of module names", entry.type_name());
    list.push_back(entry.get<std::string>());
  }
  return list;
}

void read_compressed_tensors(const JsonReader& json, QuantizationConfig& config) {
  const JsonReader groups = json.object("config_groups");
  const ordered_json& all = *json.find("config_groups");
  if (all.size() != 1) {
    throw Error(ErrorKind::kUnsupported, "expected one group of layers, found " + std::to_string(all.size()),
                json.where("config_groups"));
  }
  const JsonReader group = groups.object(all.begin().key());
  if (names(group, "targets") != std::vector<std::string>{"Linear"})
    unsupported(group, "targets", "[\"Linear\"]");
  const JsonReader weights = group.object("weights");
  // Older files give the format for all groups, newer ones for each.
  const JsonReader& format_holder = group.find("format") ? group : json;
  const std::string format = format_holder.string("format");
  const std::string type = weights.string("type");
  const std::string strategy = weights.string("strategy");
  const std::int64_t n_bits = weights.integer("num_bits", 1, 32);
  if (!weights.boolean("symmetric")) unsupported(weights, "symmetric", "true");
  if (weights.find("actorder")) unsupported(weights, "actorder", "null");
  if (format == "pack-quantized") {
    if (type != "int") unsupported(weights, "type", "\"int\"");
    if (n_bits != 4) unsupported(weights, "num_bits", "4");
    if (strategy != "group") unsupported(weights, "strategy", "\"group\"");
    config.packed = LinearStorage::kInt4Group;
    config.group = static_cast<std::uint64_t>(weights.integer("group_size", 1, kMaxWidth));
  } else if (format == "float-quantized") {
    if (type != "float") unsupported(weights, "type", "\"float\"");
    if (n_bits != 8) unsupported(weights, "num_bits", "8");
    if (strategy != "channel") unsupported(weights, "strategy", "\"channel\"");
    config.packed = LinearStorage::kFp8Channel;
  } else {
    unsupported(format_holder, "format", "\"pack-quantized\" or \"float-quantized\"");
  }
  config.ignored = names(json, "ignore");
}

void read_fp8(const JsonReader& json, QuantizationConfig& config) {
  const ordered_json* block = json.find("weight_block_size");
  const auto side = [&](std::size_t i) -> std::uint64_t {
    const ordered_json& entry = (*block)[i];
    return entry.is_number_unsigned() ? entry.get<std::uint64_t>() : 0;
  };
  if (!block || !block->is_array() || block->size() != 2 || side(0) < 1 || side(0) > kMaxWidth ||
      side(1) < 1 || side(1) > kMaxWidth) {
    unsupported(json, "weight_block_size", "two sizes such as [128, 128]");
  }
  config.packed = LinearStorage::kFp8Block;
  config.block_rows = side(0);
  config.block_cols = side(1);
}

void read_awq(const JsonReader& json, QuantizationConfig& config) {
  const char* const bits = json.find("bits") ? "bits" : "w_bit";
  const char* const group = json.find("group_size") ? "group_size" : "q_group_size";
  if (json.integer(bits, 1, 32) != 4) unsupported(json, bits, "4");
  if (json.find("version")) {
    std::string version = json.string("version");
    std::transform(version.begin(), version.end(), version.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    if (version != "gemm") unsupported(json, "version", "\"gemm\"");
  }
  if (json.find("zero_point") && !json.boolean("zero_point")) unsupported(json, "zero_point", "true");
  config.packed = LinearStorage::kAwqGemm;
  config.group = static_cast<std::uint64_t>(json.integer(group, 1, kMaxWidth));
}

}  // namespace

bool matches_module(std::string_view entry, std::string_view module) {
  constexpr std::string_view kExpression = "re:";
  if (!entry.starts_with(kExpression)) return entry == module;
  entry.remove_prefix(kExpression.size());
  if (entry.starts_with("^")) entry.remove_prefix(1);
  const bool to_the_end = entry.ends_with("$");
  if (to_the_end) entry.remove_suffix(1);

  std::vector<std::string> literals(1);  // what lies between the ".*"
  for (std::size_t i = 0; i < entry.size(); ++i) {
    if (entry.substr(i, 2) == ".*") {
      literals.emplace_back();
      ++i;
    } else {
      if (entry[i] == '\\' && i + 1 < entry.size()) ++i;
      literals.back() += entry[i];
    }
  }
  if (!module.starts_with(literals.front())) return false;
  std::size_t position = literals.front().size();
  for (std::size_t i = 1; i < literals.size(); ++i) {
    const bool last = i + 1 == literals.size();
    if (last && to_the_end) {
      return module.size() >= position + literals[i].size() && module.ends_with(literals[i]);
    }
    const std::size_t found = module.find(literals[i], position);
    if (found == std::string_view::npos) return false;
    position = found + literals[i].size();
  }
  return !to_the_end || position == module.size();
}

LinearStorage QuantizationConfig::of(std::string_view module) const {
  // transformers and AutoAWQ leave the head alone without being told.
  if (ignore_by_part && module == "lm_head") return LinearStorage::kPlain;
  for (const std::string& entry : ignored) {
    const bool hit =
        ignore_by_part ? module.find(entry) != std::string_view::npos : matches_module(entry, module);
    if (hit) return LinearStorage::kPlain;
  }
  return packed;
}

QuantizationConfig read_quantization_config(const Checkpoint& checkpoint) {
  const JsonReader root(checkpoint.config(), (checkpoint.path() / "config.json").string());
  QuantizationConfig config;
  const JsonReader* holder = &root;
  const JsonReader text = root.find("text_config") ? root.object("text_config") : root;
  if (!root.find("quantization_config")) holder = &text;
  if (!holder->find("quantization_config")) return config;
  const JsonReader json = holder->object("quantization_config");
  const std::string method = json.string("quant_method");
  if (method == "compressed-tensors") {
    read_compressed_tensors(json, config);
    return config;
  }
  config.ignore_by_part = true;
  config.ignored = names(json, "modules_to_not_convert");
  if (method == "fp8") {
    read_fp8(json, config);
  } else if (method == "awq") {
    read_awq(json, config);
  } else {
    unsupported(json, "quant_method", "\"compressed-tensors\", \"fp8\" or \"awq\"");
  }
  return config;
}

}  // namespace exa
