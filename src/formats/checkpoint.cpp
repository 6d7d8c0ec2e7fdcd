#include "formats/checkpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "formats/gguf.h"
#include "formats/hf_folder.h"
#include "formats/name_index.h"
#include "formats/safetensors.h"
#include "formats/tensor_list_sum.h"
#include "json/read.h"

namespace exa {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxSideFileBytes = std::uint64_t{128} << 20;
// config.json and its like.
constexpr JsonLimits kSideJson = {.bytes = std::size_t{512} << 10, .depth = 64, .keys = 4096};

CheckpointFormat sniff_format(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    throw Error(ErrorKind::kIo, "no such file or folder, expected a model", path.string());
  }
  if (error) throw Error(ErrorKind::kIo, "cannot look at it: " + error.message(), path.string());
  if (fs::is_directory(status)) return CheckpointFormat::kHuggingFace;
  if (!fs::is_regular_file(status)) {
    throw Error(ErrorKind::kBadInput, "not a model: found neither file nor folder, expected one of them",
                path.string());
  }

  const FileReader file(path);
  std::array<std::byte, 9> front{};
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(front.size(), file.size_bytes()));
  file.read_at(0, std::span(front).first(n));
  if (n >= 4 && std::memcmp(front.data(), "GGUF", 4) == 0) return CheckpointFormat::kGguf;
  const std::string extension = path.extension().string();
  if (extension == ".safetensors" ||
      (n == front.size() && front[8] == std::byte{'{'} && front[7] == std::byte{0})) {
    return CheckpointFormat::kSafetensors;
  }
  const std::string_view found(reinterpret_cast<const char*>(front.data()), std::min<std::size_t>(n, 4));
  throw Error(ErrorKind::kBadInput,
              "not a model: the file begins with \"" + printable(found) +
                  "\", expected \"GGUF\" or a safetensors header" +
                  (extension == ".json" ? " (for a Hugging Face model give its folder)" : ""),
              path.string());
}

template <typename T>
std::string_view type_name() {
  if constexpr (std::is_same_v<T, std::uint64_t>) return "unsigned integer";
  if constexpr (std::is_same_v<T, std::int64_t>) return "signed integer";
  if constexpr (std::is_same_v<T, double>) return "number";
  if constexpr (std::is_same_v<T, bool>) return "bool";
  if constexpr (std::is_same_v<T, std::string>) return "string";
  if constexpr (std::is_same_v<T, std::vector<std::uint64_t>>) return "array of unsigned integers";
  if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) return "array of signed integers";
  if constexpr (std::is_same_v<T, std::vector<double>>) return "array of numbers";
  if constexpr (std::is_same_v<T, std::vector<bool>>) return "array of bools";
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return "array of strings";
}

std::string_view type_name(const MetadataValue& value) {
  return std::visit([](const auto& held) { return type_name<std::decay_t<decltype(held)>>(); }, value);
}

}  // namespace

std::uint64_t TensorInfo::n_elements() const {
  return n_rows() * n_cols();
}

std::uint64_t TensorInfo::n_rows() const {
  std::uint64_t product = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) product *= shape[i];
  return product;
}

std::uint64_t TensorInfo::n_cols() const {
  return shape.empty() ? 1 : shape.back();
}

struct Checkpoint::Impl {
  CheckpointFormat format;
  fs::path path;
  ModelFiles model;
  NameIndex tensor_index;
  NameIndex key_index;
  const std::vector<std::uint64_t>* checksums = nullptr;  // in model.metadata
  bool foreign_checksums = false;
  nlohmann::ordered_json config;
  nlohmann::ordered_json generation_config;

  explicit Impl(const fs::path& where) : format(sniff_format(where)), path(where) {
    switch (format) {
      case CheckpointFormat::kGguf:
        model = open_gguf(path);
        break;
      case CheckpointFormat::kSafetensors:
        open_safetensors();
        break;
      case CheckpointFormat::kHuggingFace:
        model = open_hf_weights(path);
        config = folder_json("config.json");
        generation_config = folder_json("generation_config.json");
        break;
    }
    tensor_index =
        NameIndex(model.tensors, [](const TensorInfo& tensor) { return std::string_view(tensor.name); });
    key_index = NameIndex(model.metadata, [](const auto& entry) { return std::string_view(entry.first); });
    find_checksums();
  }

  void open_safetensors() {
    FileReader file(path);
    model.tensors = read_safetensors_header(file);
    model.files.push_back(std::move(file));
  }

  nlohmann::ordered_json folder_json(std::string_view name) const {
    const std::optional<fs::path> file = file_in_folder(path, name);
    if (!file) return nullptr;
    return read_json(read_text_file(*file, kMaxSideFileBytes), file->string(), kSideJson);
  }

  void find_checksums() {
    checksums = get<std::vector<std::uint64_t>>(kChecksumKey);
    if (checksums == nullptr) return;
    const auto* const bound_to = get<std::uint64_t>(kChecksumOfKey);
    TensorListSum list;
    for (const TensorInfo& tensor : model.tensors) list.add(tensor.name, tensor.type, tensor.shape);
    // Before sums were bound to a list, this program wrote them as the last key of all; others append theirs.
    foreign_checksums =
        bound_to != nullptr ? *bound_to != list.value() : model.metadata.back().first != kChecksumKey;
    if (!foreign_checksums && checksums->size() != model.tensors.size()) {
      throw Error(ErrorKind::kBadInput,
                  "array has " + std::to_string(checksums->size()) + " elements, expected " +
                      std::to_string(model.tensors.size()) + ", one a tensor",
                  key_where(kChecksumKey));
    }
    if (foreign_checksums) checksums = nullptr;
  }

  std::string key_where(std::string_view key) const { return path.string() + ", key " + printable(key); }

  const MetadataValue* value(std::string_view key) const {
    const std::optional<std::size_t> position = key_index.find(key);
    return position ? &model.metadata[*position].second : nullptr;
  }

  [[noreturn]] void refuse(std::string_view key, const MetadataValue& found,
                           std::string_view expected) const {
    throw Error(ErrorKind::kBadInput,
                "type is " + std::string(type_name(found)) + ", expected " + std::string(expected),
                key_where(key));
  }
  [[noreturn]] void refuse_number(std::string_view key, const std::string& found,
                                  std::string_view expected) const {
    throw Error(ErrorKind::kBadInput, "value is " + found + ", expected " + std::string(expected),
                key_where(key));
  }

  // The value as exactly T; null where the key is absent.
  template <typename T>
  const T* get(std::string_view key) const {
    const MetadataValue* found = value(key);
    if (found == nullptr) return nullptr;
    const T* held = std::get_if<T>(found);
    if (held == nullptr) refuse(key, *found, type_name<T>());
    return held;
  }
};

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::~Checkpoint() = default;
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;

Checkpoint Checkpoint::open(const fs::path& path) {
  return Checkpoint(std::make_unique<Impl>(path));
}

CheckpointFormat Checkpoint::format() const {
  return impl_->format;
}
const fs::path& Checkpoint::path() const {
  return impl_->path;
}

std::vector<Checkpoint::File> Checkpoint::files() const {
  std::vector<File> files;
  for (const FileReader& file : impl_->model.files) files.push_back({file.path(), file.size_bytes()});
  return files;
}

std::span<const TensorInfo> Checkpoint::tensors() const {
  return impl_->model.tensors;
}

const TensorInfo* Checkpoint::find(std::string_view tensor_name) const {
  const std::optional<std::size_t> position = impl_->tensor_index.find(tensor_name);
  return position ? &impl_->model.tensors[*position] : nullptr;
}

void Checkpoint::read(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const {
  if (tensor.file >= impl_->model.files.size() || offset > tensor.n_bytes ||
      out.size() > tensor.n_bytes - offset) {
    throw Error(ErrorKind::kInternal,
                "read of " + std::to_string(out.size()) + " bytes at " + std::to_string(offset) +
                    ", expected to stay inside the tensor's " + std::to_string(tensor.n_bytes),
                impl_->path.string() + ", tensor " + printable(tensor.name));
  }
  impl_->model.files[tensor.file].read_at(tensor.offset + offset, out);
}

void Checkpoint::will_need(const TensorInfo& tensor) const {
  if (tensor.file < impl_->model.files.size())
    impl_->model.files[tensor.file].will_need(tensor.offset, tensor.n_bytes);
}

bool Checkpoint::has_foreign_crc32c() const {
  return impl_->foreign_checksums;
}

std::optional<std::uint32_t> Checkpoint::crc32c(const TensorInfo& tensor) const {
  const std::optional<std::size_t> position = impl_->tensor_index.find(tensor.name);
  if (impl_->checksums == nullptr || !position) return std::nullopt;
  const std::uint64_t sum = (*impl_->checksums)[*position];
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint32_t>::max();
  if (sum > kMax) impl_->refuse_number(kChecksumKey, std::to_string(sum), "32 bits");
  return static_cast<std::uint32_t>(sum);
}

std::span<const std::pair<std::string, MetadataValue>> Checkpoint::metadata() const {
  return impl_->model.metadata;
}

std::optional<std::uint64_t> Checkpoint::get_u64(std::string_view key) const {
  const MetadataValue* found = impl_->value(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<std::uint64_t>(found)) return *number;
  if (const auto* number = std::get_if<std::int64_t>(found)) {
    if (*number < 0) impl_->refuse_number(key, std::to_string(*number), "0 or more");
    return static_cast<std::uint64_t>(*number);
  }
  impl_->refuse(key, *found, "unsigned integer");
}

std::optional<double> Checkpoint::get_f64(std::string_view key) const {
  const MetadataValue* found = impl_->value(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<double>(found)) return *number;
  if (const auto* number = std::get_if<std::uint64_t>(found)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<std::int64_t>(found)) return static_cast<double>(*number);
  impl_->refuse(key, *found, "number");
}

std::optional<bool> Checkpoint::get_bool(std::string_view key) const {
  const bool* held = impl_->get<bool>(key);
  return held == nullptr ? std::nullopt : std::optional(*held);
}

const std::string* Checkpoint::get_string(std::string_view key) const {
  return impl_->get<std::string>(key);
}

const std::vector<std::string>* Checkpoint::get_strings(std::string_view key) const {
  return impl_->get<std::vector<std::string>>(key);
}

std::optional<std::vector<std::int64_t>> Checkpoint::get_integers(std::string_view key) const {
  const MetadataValue* found = impl_->value(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* numbers = std::get_if<std::vector<std::int64_t>>(found)) return *numbers;
  const auto* numbers = std::get_if<std::vector<std::uint64_t>>(found);
  if (numbers == nullptr) impl_->refuse(key, *found, "array of integers");
  std::vector<std::int64_t> signed_numbers;
  signed_numbers.reserve(numbers->size());
  for (const std::uint64_t number : *numbers) {
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      impl_->refuse_number(key, std::to_string(number), "less than 2^63");
    }
    signed_numbers.push_back(static_cast<std::int64_t>(number));
  }
  return signed_numbers;
}

std::optional<std::vector<bool>> Checkpoint::get_bools(std::string_view key) const {
  const std::vector<bool>* held = impl_->get<std::vector<bool>>(key);
  return held == nullptr ? std::nullopt : std::optional(*held);
}

bool Checkpoint::has(std::string_view key) const {
  return impl_->value(key) != nullptr;
}

const nlohmann::ordered_json& Checkpoint::config() const {
  return impl_->config;
}
const nlohmann::ordered_json& Checkpoint::generation_config() const {
  return impl_->generation_config;
}

std::optional<std::string> Checkpoint::side_file(std::string_view file_name) const {
  if (impl_->format != CheckpointFormat::kHuggingFace) return std::nullopt;
  const std::optional<fs::path> file = file_in_folder(impl_->path, file_name);
  if (!file) return std::nullopt;
  return read_text_file(*file, kMaxSideFileBytes);
}

nlohmann::ordered_json Checkpoint::side_json(std::string_view file_name) const {
  return impl_->folder_json(file_name);
}

std::optional<std::string> Checkpoint::chat_template() const {
  if (const std::string* text = get_string("tokenizer.chat_template")) return *text;
  if (std::optional<std::string> text = side_file("chat_template.jinja")) return text;
  const std::optional<std::string> json = side_file("tokenizer_config.json");
  if (!json) return std::nullopt;
  return tokenizer_config_template(*json, (impl_->path / "tokenizer_config.json").string());
}

}  // namespace exa
