// A model on disk, whatever its format: typed metadata, and tensors by name whose bytes are proved to lie in the file.
//
// A GGUF file (v2, v3, single or split), a safetensors file, or a Hugging Face folder (config.json, one or many
// safetensors shards, tokenizer.json, chat_template.jinja, generation_config.json). Other rooms see this face only.
// Ownership and threads: a Checkpoint owns its files; const members may be called from several threads at once.
// Headers are read by copy, weights with positioned reads: nothing is mapped, so a file cut under us is an error,
// not a signal.
// Source: ggml's gguf.md, the safetensors format notes, exaone-models specification chapter 7, reliability 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/dtype.h"

namespace exa {

enum class CheckpointFormat { kGguf, kSafetensors, kHuggingFace };

struct TensorInfo {
  std::string name;                  // as the file spells it
  DType type = DType::kF32;
  std::vector<std::uint64_t> shape;  // row-major, slowest first: a linear is [out, in] in every format
  std::uint64_t n_bytes = 0;
  std::size_t file = 0;              // which of the checkpoint's files
  std::uint64_t offset = 0;          // first byte in that file

  std::uint64_t n_elements() const;
  std::uint64_t n_rows() const;  // product of all dimensions but the last
  std::uint64_t n_cols() const;  // the last dimension; 1 for a scalar
};
// "[a, b, c]"
std::string shape_text(std::span<const std::uint64_t> shape);

// A GGUF metadata value. Integers of every width are widened, arrays keep their element kind.
using MetadataValue =
    std::variant<std::uint64_t, std::int64_t, double, bool, std::string, std::vector<std::uint64_t>,
                 std::vector<std::int64_t>, std::vector<double>, std::vector<bool>, std::vector<std::string>>;

class Checkpoint {
 public:
  // Opens and checks everything but the tensors' contents.
  // Errors: kIo missing file; kBadInput broken format (file, offset or key, expected, found); kUnsupported for what
  // is well-formed but unknown (tensor type, version).
  static Checkpoint open(const std::filesystem::path& path);
  ~Checkpoint();
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;

  CheckpointFormat format() const;
  const std::filesystem::path& path() const;
  // The files behind it, in shard order, with their sizes.
  struct File {
    std::filesystem::path path;
    std::uint64_t size_bytes;
  };
  std::vector<File> files() const;

  // Tensors in file order.
  std::span<const TensorInfo> tensors() const;
  const TensorInfo* find(std::string_view tensor_name) const;
  // Fills `out` with bytes [offset, offset + out.size()) of the tensor. Errors: kIo, kBadInput (file was cut).
  void read(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const;
  // Hints that the tensor will be read soon.
  void will_need(const TensorInfo& tensor) const;
  // The CRC32C of the tensor's bytes that a GGUF file written by exaone carries; nothing where it carries none.
  std::optional<std::uint32_t> crc32c(const TensorInfo& tensor) const;
  // It carries such sums, but of other tensors: another program rewrote the file.
  bool has_foreign_crc32c() const;

  // GGUF metadata in file order; empty for the other formats.
  std::span<const std::pair<std::string, MetadataValue>> metadata() const;
  // Typed getters. Nothing where the key is absent; kBadInput naming key, expected and found type where it is not
  // of that type (an integer may be asked for in either signedness if it fits).
  std::optional<std::uint64_t> get_u64(std::string_view key) const;
  std::optional<double> get_f64(std::string_view key) const;  // also accepts integers
  std::optional<bool> get_bool(std::string_view key) const;
  const std::string* get_string(std::string_view key) const;
  const std::vector<std::string>* get_strings(std::string_view key) const;
  std::optional<std::vector<std::int64_t>> get_integers(std::string_view key) const;  // an array of any integer kind
  std::optional<std::vector<bool>> get_bools(std::string_view key) const;
  bool has(std::string_view key) const;

  // Hugging Face folders: config.json and generation_config.json parsed (null where absent), key order kept.
  const nlohmann::ordered_json& config() const;
  const nlohmann::ordered_json& generation_config() const;
  // A text file of the folder ("tokenizer.json", "chat_template.jinja", …); nothing where absent.
  std::optional<std::string> side_file(std::string_view file_name) const;
  // A JSON file of the folder, read as config.json is; null where absent. Errors: kBadInput for what is not JSON, is
  // large or deep, or names a key twice.
  nlohmann::ordered_json side_json(std::string_view file_name) const;

  // The chat template: GGUF key tokenizer.chat_template, chat_template.jinja, or tokenizer_config.json's field.
  std::optional<std::string> chat_template() const;

 private:
  struct Impl;
  explicit Checkpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A safetensors file in memory, for reference data and for results.
struct NamedArray {
  std::string name;
  DType type;
  std::vector<std::uint64_t> shape;
  std::vector<std::byte> bytes;
};
// Writes a safetensors file atomically. Errors: kIo.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedArray> arrays);

}  // namespace exa
