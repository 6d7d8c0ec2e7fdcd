#include "convert/gguf_writer.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "convert/gguf_encoding.h"
#include "formats/tensor_list_sum.h"

namespace exa {
namespace {

constexpr std::uint64_t kAlignment = 32;
constexpr std::size_t kMaxNameBytes = 63;
constexpr std::size_t kMaxDimensions = 4;
constexpr std::size_t kMaxShards = 512;

std::uint64_t padded(std::uint64_t n) {
  return (n + kAlignment - 1) / kAlignment * kAlignment;
}

std::string five_digits(std::size_t number) {
  const std::string digits = std::to_string(number);
  return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

std::uint64_t bytes_of(const GgufTensor& tensor, const std::string& where) {
  if (tensor.name.empty() || tensor.name.size() > kMaxNameBytes) {
    throw Error(ErrorKind::kBadInput,
                "name has " + std::to_string(tensor.name.size()) + " bytes, expected 1 to " +
                    std::to_string(kMaxNameBytes),
                where);
  }
  if (!ggml_from_dtype(tensor.type)) {
    throw Error(ErrorKind::kUnsupported,
                "GGUF has no type " + std::string(name(tensor.type)) + ", expected one it has", where);
  }
  if (tensor.shape.empty() || tensor.shape.size() > kMaxDimensions) {
    throw Error(ErrorKind::kBadInput,
                "tensor has " + std::to_string(tensor.shape.size()) + " dimensions, expected 1 to 4", where);
  }
  const DTypeTraits& type = traits(tensor.type);
  std::optional<std::uint64_t> n = 1;
  for (const std::uint64_t dimension : tensor.shape) {
    n = checked_mul<std::uint64_t>(*n, dimension);
    if (!n) break;
  }
  if (n && tensor.shape.back() % type.block_size == 0) {
    n = checked_mul<std::uint64_t>(*n / type.block_size, type.block_bytes);
  } else {
    n.reset();
  }
  if (!n) {
    throw Error(ErrorKind::kBadInput,
                "rows of " + std::to_string(tensor.shape.back()) + " elements, expected a multiple of " +
                    std::to_string(type.block_size) + " and fewer than 2^64 bytes in all",
                where);
  }
  return *n;
}

}  // namespace

std::filesystem::path shard_path(const std::filesystem::path& path, std::size_t number, std::size_t count) {
  std::string stem = path.filename().string();
  if (stem.ends_with(".gguf")) stem.resize(stem.size() - 5);
  return path.parent_path() / (stem + "-" + five_digits(number + 1) + "-of-" + five_digits(count) + ".gguf");
}

GgufWriter::GgufWriter(const std::filesystem::path& path, GgufMetadata metadata,
                       std::vector<GgufTensor> tensors, std::uint64_t split_bytes,
                       const std::vector<std::size_t>& first_tensors)
    : metadata_(std::move(metadata)), tensors_(std::move(tensors)) {
  std::set<std::string_view> names;
  for (const GgufTensor& tensor : tensors_) {
    const std::string where = path.string() + ", tensor " + tensor.name;
    places_.push_back({.n_bytes = bytes_of(tensor, where)});
    if (!names.insert(tensor.name).second) {
      throw Error(ErrorKind::kBadInput, "tensor occurs twice, expected once", where);
    }
  }
  lay_out(split_bytes, first_tensors);

  const std::size_t count = shards_.size();
  constexpr std::size_t kFewTensors = 8;
  if (split_bytes > 0 && tensors_.size() > kFewTensors && 4 * count > 3 * tensors_.size()) {
    throw Error(ErrorKind::kUsage,
                "files of " + std::to_string(split_bytes) + " bytes make " + std::to_string(count) + " of " +
                    std::to_string(tensors_.size()) + " tensors; expected a larger size, such as 4G",
                "--split-size");
  }
  if (count > kMaxShards) {
    throw Error(
        ErrorKind::kBadInput,
        "the split makes " + std::to_string(count) + " files, expected at most " + std::to_string(kMaxShards),
        path.string());
  }
  metadata_.erase(kChecksumKey);
  metadata_.erase(kChecksumOfKey);
  metadata_.erase("general.alignment");  // ours is the default
  for (const std::string_view key : {"split.no", "split.count", "split.tensors.count"}) metadata_.erase(key);
  if (count > 1) {
    metadata_.set_u16("split.no", 0);
    metadata_.set_u16("split.count", static_cast<std::uint16_t>(count));
    metadata_.set_i32("split.tensors.count", static_cast<std::int32_t>(tensors_.size()));
  }
  std::uint64_t needed = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Shard& shard = shards_[i];
    shard.path = count > 1 ? shard_path(path, i, count) : path;
    shard.header_bytes = padded(header(i).size());
    needed += shard.header_bytes + shard.data_bytes;
  }
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(folder, error);
  if (!error && space.capacity > 0 && space.available < needed) {
    throw Error(ErrorKind::kIo,
                "not enough space: the result needs " + std::to_string(needed) + " bytes, found " +
                    std::to_string(space.available) + " free",
                folder.string());
  }
  for (Shard& shard : shards_) shard.file = std::make_unique<AtomicFile>(shard.path);
}

GgufWriter::~GgufWriter() = default;

void GgufWriter::lay_out(std::uint64_t split_bytes, const std::vector<std::size_t>& first_tensors) {
  shards_.emplace_back();
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    Place& place = places_[i];
    const bool full = split_bytes > 0 && shards_.back().data_bytes + padded(place.n_bytes) > split_bytes;
    const bool begins = std::binary_search(first_tensors.begin(), first_tensors.end(), i);
    if (shards_.back().n_tensors > 0 && (full || begins)) shards_.emplace_back().first_tensor = i;
    Shard& shard = shards_.back();
    place.file = shards_.size() - 1;
    place.offset = shard.data_bytes;
    shard.data_bytes += padded(place.n_bytes);
    ++shard.n_tensors;
  }
}

std::string GgufWriter::header(std::size_t number) const {
  const Shard& shard = shards_[number];
  GgufMetadata metadata;
  if (number == 0) {
    metadata = metadata_;
    std::vector<std::uint32_t> sums;
    for (const Place& place : places_) sums.push_back(place.crc);
    metadata.set_u32s(kChecksumKey, sums);
    TensorListSum list;
    for (const GgufTensor& tensor : tensors_) list.add(tensor.name, tensor.type, tensor.shape);
    metadata.set_u32(kChecksumOfKey, list.value());
  } else {
    metadata.set_u16("split.no", static_cast<std::uint16_t>(number));
    metadata.set_u16("split.count", static_cast<std::uint16_t>(shards_.size()));
    metadata.set_i32("split.tensors.count", static_cast<std::int32_t>(tensors_.size()));
  }
  std::string out = "GGUF";
  append_number<std::uint32_t>(out, 3);
  append_number<std::uint64_t>(out, shard.n_tensors);
  append_number<std::uint64_t>(out, metadata.entries().size());
  for (const GgufMetadata::Entry& entry : metadata.entries()) {
    append_string(out, entry.key);
    out += entry.encoded;
  }
  for (std::size_t i = shard.first_tensor; i < shard.first_tensor + shard.n_tensors; ++i) {
    const GgufTensor& tensor = tensors_[i];
    append_string(out, tensor.name);
    append_number(out, static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto dimension = tensor.shape.rbegin(); dimension != tensor.shape.rend(); ++dimension) {
      append_number<std::uint64_t>(out, *dimension);
    }
    append_number(out, ggml_from_dtype(tensor.type).value_or(0));
    append_number<std::uint64_t>(out, places_[i].offset);
  }
  return out;
}

std::uint64_t GgufWriter::total_bytes() const {
  std::uint64_t total = 0;
  for (const Place& place : places_) total += place.n_bytes;
  return total;
}

std::vector<std::filesystem::path> GgufWriter::paths() const {
  std::vector<std::filesystem::path> paths;
  for (const Shard& shard : shards_) paths.push_back(shard.path);
  return paths;
}

void GgufWriter::append(std::size_t tensor, std::span<const std::byte> bytes) {
  Place& place = places_[tensor];
  Shard& shard = shards_[place.file];
  if (bytes.size() > place.n_bytes - place.written) {
    throw Error(ErrorKind::kInternal,
                "more than " + std::to_string(place.n_bytes) + " bytes for tensor " + tensors_[tensor].name,
                shard.path.string());
  }
  shard.file->write_at(shard.header_bytes + place.offset + place.written, bytes);
  place.crc = crc32c(place.crc, bytes);
  place.written += bytes.size();
}

void GgufWriter::commit() {
  constexpr std::byte kZeros[kAlignment] = {};
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    const Shard& shard = shards_[place.file];
    if (place.written != place.n_bytes) {
      throw Error(ErrorKind::kInternal,
                  std::to_string(place.written) + " of " + std::to_string(place.n_bytes) +
                      " bytes written of tensor " + tensors_[i].name,
                  shard.path.string());
    }
    shard.file->write_at(shard.header_bytes + place.offset + place.n_bytes,
                         std::span(kZeros).first(padded(place.n_bytes) - place.n_bytes));
  }
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    std::string front = header(i);
    front.resize(static_cast<std::size_t>(shards_[i].header_bytes), '\0');
    shards_[i].file->write_at(0, std::as_bytes(std::span(front.data(), front.size())));
  }
  for (std::size_t i = shards_.size(); i-- > 0;) shards_[i].file->commit();
}

}  // namespace exa
