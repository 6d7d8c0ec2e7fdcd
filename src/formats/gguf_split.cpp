#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/bytes.h"
#include "base/error.h"
#include "base/printable.h"
#include "formats/gguf.h"
#include "formats/name_index.h"

namespace exa {
namespace {

constexpr std::uint64_t kMaxShards = 512;

struct ShardName {
  std::string stem;  // everything before "-00001-of-00003.gguf"
  std::uint64_t number;
  std::uint64_t count;
};

std::optional<std::uint64_t> five_digits(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

std::optional<ShardName> shard_name(const std::string& file_name) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  if (file_name.size() <= kPattern.size()) return std::nullopt;
  const std::string_view tail = std::string_view(file_name).substr(file_name.size() - kPattern.size());
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || tail.substr(15) != ".gguf") return std::nullopt;
  const auto number = five_digits(tail.substr(1, 5));
  const auto count = five_digits(tail.substr(10, 5));
  if (!number || !count) return std::nullopt;
  return ShardName{file_name.substr(0, file_name.size() - kPattern.size()), *number, *count};
}

std::string padded(std::uint64_t number) {
  std::string digits = std::to_string(number);
  return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

const MetadataValue* find_key(const Metadata& metadata, std::string_view key) {
  for (const auto& [name, value] : metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

// Writers store these as u16, i32 or u32.
std::optional<std::uint64_t> split_number(const GgufHeader& header, std::string_view key, std::uint64_t high,
                                          const FileReader& file) {
  const MetadataValue* value = find_key(header.metadata, key);
  if (value == nullptr) return std::nullopt;
  const std::string where = file.path().string() + ", key " + std::string(key);
  if (const auto* number = std::get_if<std::uint64_t>(value)) {
    return Foreign<std::uint64_t>(*number).within(0, high, "value", where);
  }
  if (const auto* number = std::get_if<std::int64_t>(value)) {
    return static_cast<std::uint64_t>(
        Foreign<std::int64_t>(*number).within(0, static_cast<std::int64_t>(high), "value", where));
  }
  throw Error(ErrorKind::kBadInput, "value is no integer, expected one", where);
}

constexpr std::uint64_t kMaxSplitTensors = std::uint64_t{1} << 31;

// A later shard repeats none or some of the first one's keys, never with another value.
void check_same_metadata(const Metadata& shard, const Metadata& first, const std::string& shard_path) {
  const NameIndex first_keys(first, [](const auto& entry) { return std::string_view(entry.first); });
  for (const auto& [key, value] : shard) {
    if (key == "split.no" || key == "general.alignment") continue;
    const std::optional<std::size_t> position = first_keys.find(key);
    if (!position || first[*position].second != value) {
      throw Error(ErrorKind::kBadInput, "value differs from the first shard's, expected the same metadata",
                  shard_path + ", key " + key);
    }
  }
}

void check_tokenizer_lengths(const Metadata& metadata, const std::string& path) {
  const auto length = [](const MetadataValue& value) -> std::optional<std::size_t> {
    return std::visit(
        [](const auto& held) -> std::optional<std::size_t> {
          using T = std::decay_t<decltype(held)>;
          if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
            return std::nullopt;
          } else {
            return held.size();
          }
        },
        value);
  };
  const MetadataValue* tokens = find_key(metadata, "tokenizer.ggml.tokens");
  if (tokens == nullptr) return;
  const auto* texts = std::get_if<std::vector<std::string>>(tokens);
  if (texts == nullptr) {
    throw Error(ErrorKind::kBadInput, "value is of another type, expected an array of strings",
                path + ", key tokenizer.ggml.tokens");
  }
  for (const std::string_view key : {"tokenizer.ggml.token_type", "tokenizer.ggml.scores"}) {
    const MetadataValue* value = find_key(metadata, key);
    if (value == nullptr) continue;
    const auto found = length(*value);
    if (!found || *found != texts->size()) {
      throw Error(ErrorKind::kBadInput,
                  "array has " + (found ? std::to_string(*found) : std::string("no")) +
                      " elements, expected " + std::to_string(texts->size()) + " as in tokenizer.ggml.tokens",
                  path + ", key " + std::string(key));
    }
  }
  for (const auto& [key, value] : metadata) {
    constexpr std::string_view kSuffix = "_token_id";
    if (!key.starts_with("tokenizer.ggml.") || !key.ends_with(kSuffix)) continue;
    const auto* id = std::get_if<std::uint64_t>(&value);
    if (id != nullptr && *id >= texts->size()) {
      throw Error(
          ErrorKind::kBadInput,
          "token id is " + std::to_string(*id) + ", expected less than " + std::to_string(texts->size()),
          path + ", key " + key);
    }
  }
}

struct Shard {
  FileReader file;
  GgufHeader header;
};

Shard open_shard(const std::filesystem::path& path) {
  FileReader file(path);
  GgufHeader header = read_gguf_header(file);
  return {std::move(file), std::move(header)};
}

void append(ModelFiles& model, Shard shard) {
  const std::size_t file = model.files.size();
  for (TensorInfo& tensor : shard.header.tensors) {
    tensor.file = file;
    model.tensors.push_back(std::move(tensor));
  }
  model.files.push_back(std::move(shard.file));
}

ModelFiles open_split(const std::filesystem::path& path, Shard opened, std::uint64_t count) {
  const std::string file_name = path.filename().string();
  const auto name = shard_name(file_name);
  const std::uint64_t opened_number =
      split_number(opened.header, "split.no", count - 1, opened.file).value_or(0);
  if (!name || name->count != count || name->number != opened_number + 1) {
    throw Error(ErrorKind::kBadInput,
                "file is shard " + std::to_string(opened_number + 1) + " of " + std::to_string(count) +
                    ", expected a name that ends in -" + padded(opened_number + 1) + "-of-" + padded(count) +
                    ".gguf",
                path.string());
  }

  ModelFiles model;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::filesystem::path shard_path =
        path.parent_path() / (name->stem + "-" + padded(i + 1) + "-of-" + padded(count) + ".gguf");
    std::optional<Shard> shard;
    if (i == opened_number) {
      shard = std::move(opened);
    } else {
      std::error_code ignored;
      if (!std::filesystem::is_regular_file(shard_path, ignored)) {
        throw Error(ErrorKind::kIo,
                    "missing shard " + std::to_string(i + 1) + " of " + std::to_string(count) +
                        ", expected it beside the others",
                    shard_path.string());
      }
      shard = open_shard(shard_path);
    }
    const auto number = split_number(shard->header, "split.no", count - 1, shard->file);
    const auto shard_count = split_number(shard->header, "split.count", kMaxShards, shard->file);
    if (number != i || shard_count != count) {
      throw Error(ErrorKind::kBadInput,
                  "file says it is shard " + (number ? std::to_string(*number + 1) : std::string("(none)")) +
                      " of " + (shard_count ? std::to_string(*shard_count) : std::string("(none)")) +
                      ", expected " + std::to_string(i + 1) + " of " + std::to_string(count),
                  shard_path.string());
    }
    if (i == 0) {
      model.metadata = std::move(shard->header.metadata);
    } else {
      check_same_metadata(shard->header.metadata, model.metadata, shard_path.string());
    }
    append(model, std::move(*shard));
  }

  GgufHeader first{std::move(model.metadata), {}};
  const auto n_tensors = split_number(first, "split.tensors.count", kMaxSplitTensors, model.files.front());
  model.metadata = std::move(first.metadata);
  if (n_tensors && *n_tensors != model.tensors.size()) {
    throw Error(ErrorKind::kBadInput,
                "value is " + std::to_string(*n_tensors) + ", expected " +
                    std::to_string(model.tensors.size()) + ", the tensors of all shards",
                model.files.front().path().string() + ", key split.tensors.count");
  }
  const NameIndex names(model.tensors,
                        [](const TensorInfo& tensor) { return std::string_view(tensor.name); });
  if (const auto twice = names.duplicate()) {
    throw Error(ErrorKind::kBadInput, "tensor occurs in two shards, expected one",
                path.string() + ", tensor " + printable(*twice));
  }
  return model;
}

}  // namespace

ModelFiles open_gguf(const std::filesystem::path& path) {
  Shard opened = open_shard(path);
  const std::uint64_t count = split_number(opened.header, "split.count", kMaxShards, opened.file).value_or(1);
  ModelFiles model;
  if (count > 1) {
    model = open_split(path, std::move(opened), count);
  } else {
    model.metadata = std::move(opened.header.metadata);
    append(model, std::move(opened));
  }
  check_tokenizer_lengths(model.metadata, path.string());
  return model;
}

}  // namespace exa
