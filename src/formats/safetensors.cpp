#include "formats/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "base/bytes.h"
#include "base/error.h"
#include "base/printable.h"
#include "json/walk.h"
#include "formats/model_files.h"
#include "formats/name_index.h"

namespace exa {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kMaxDepth = 4;
constexpr std::uint64_t kMaxNumber = (std::uint64_t{1} << 53) - 1;
constexpr std::size_t kMaxSafetensorsCount = 65'536;
constexpr std::size_t kMaxSafetensorsNameBytes = 1024;
constexpr std::size_t kMaxRank = 5;
constexpr std::size_t kMaxMetadataEntries = 1024;
constexpr std::size_t kMaxSafetensorsMetadataBytes = std::size_t{1} << 20;

// Takes the header's JSON event by event; nothing but the tensors is kept.
class SafetensorsHeader {
 public:
  explicit SafetensorsHeader(const FileReader& file) : path_(file.path().string()) {}

  // In header order, TensorInfo::offset still relative to the data section.
  std::vector<TensorInfo> parse(std::string_view json) {
    walk_json(json, kMaxDepth, path_, [this](const JsonEvent& event) { take(event); });
    std::sort(metadata_keys_.begin(), metadata_keys_.end());
    if (std::adjacent_find(metadata_keys_.begin(), metadata_keys_.end()) != metadata_keys_.end()) {
      throw Error(ErrorKind::kBadInput, "a key occurs twice, expected once", path_ + ", __metadata__");
    }
    return std::move(tensors_);
  }

 private:
  enum class Place { kStart, kTop, kTensor, kMetadata, kShape, kOffsets };
  enum class Field { kNone, kDType, kShape, kOffsets };

  [[noreturn]] void refuse(const JsonEvent& event, std::string_view expected) const {
    throw Error(ErrorKind::kBadInput,
                "found " + std::string(json_kind_name(event.kind)) + ", expected " + std::string(expected),
                where_);
  }

  void take(const JsonEvent& event) {
    switch (place_) {
      case Place::kStart:
        return take_start(event);
      case Place::kTop:
        return take_top(event);
      case Place::kTensor:
        return take_tensor(event);
      case Place::kMetadata:
        return take_metadata(event);
      case Place::kShape:
        return take_shape(event);
      case Place::kOffsets:
        return take_offsets(event);
    }
  }

  void take_start(const JsonEvent& event) {
    if (event.kind != JsonEvent::kObjectBegin) refuse(event, "an object of tensors");
    place_ = Place::kTop;
  }

  void take_top(const JsonEvent& event) {
    if (event.kind == JsonEvent::kObjectEnd) return;
    if (event.kind == JsonEvent::kKey) return begin_entry(event.text);
    if (event.kind != JsonEvent::kObjectBegin) refuse(event, "an object");
    if (in_metadata_) {
      place_ = Place::kMetadata;
      return;
    }
    place_ = Place::kTensor;
    field_ = Field::kNone;
    dtype_.reset();
    rank_.reset();
    n_offsets_.reset();
  }

  void begin_entry(std::string_view name) {
    where_ = path_ + ", tensor " + printable(name);
    in_metadata_ = name == "__metadata__";
    if (in_metadata_) {
      if (metadata_seen_)
        throw Error(ErrorKind::kBadInput, "__metadata__ occurs twice, expected once", path_);
      metadata_seen_ = true;
      return;
    }
    if (name.empty() || name.size() > kMaxSafetensorsNameBytes) {
      throw Error(ErrorKind::kBadInput,
                  "tensor name has " + std::to_string(name.size()) + " bytes, expected 1 to " +
                      std::to_string(kMaxSafetensorsNameBytes),
                  path_);
    }
    if (tensors_.size() == kMaxSafetensorsCount) {
      throw Error(ErrorKind::kBadInput,
                  "more than " + std::to_string(kMaxSafetensorsCount) + " tensors, expected at most that",
                  path_);
    }
    name_ = name;
  }

  void take_metadata(const JsonEvent& event) {
    if (event.kind == JsonEvent::kObjectEnd) {
      place_ = Place::kTop;
      return;
    }
    if (event.kind != JsonEvent::kKey && event.kind != JsonEvent::kString) refuse(event, "strings");
    metadata_bytes_ += event.text.size();
    if (event.kind == JsonEvent::kKey) metadata_keys_.emplace_back(event.text);
    if (metadata_bytes_ > kMaxSafetensorsMetadataBytes || metadata_keys_.size() > kMaxMetadataEntries) {
      throw Error(ErrorKind::kBadInput,
                  "found " + std::to_string(metadata_keys_.size()) + " entries of " +
                      std::to_string(metadata_bytes_) + " bytes so far, expected at most " +
                      std::to_string(kMaxMetadataEntries) + " and " +
                      std::to_string(kMaxSafetensorsMetadataBytes),
                  path_ + ", __metadata__");
    }
  }

  void take_tensor(const JsonEvent& event) {
    if (event.kind == JsonEvent::kObjectEnd) return end_tensor();
    if (event.kind == JsonEvent::kKey) {
      if (event.text == "dtype" && !dtype_) {
        field_ = Field::kDType;
      } else if (event.text == "shape" && !rank_) {
        field_ = Field::kShape;
      } else if (event.text == "data_offsets" && !n_offsets_) {
        field_ = Field::kOffsets;
      } else {
        throw Error(ErrorKind::kBadInput,
                    "field \"" + printable(event.text) +
                        "\" is unknown or repeated, expected dtype, shape and "
                        "data_offsets once each",
                    where_);
      }
    } else if (field_ == Field::kDType) {
      if (event.kind != JsonEvent::kString) refuse(event, "a dtype string");
      dtype_ = dtype_from_safetensors(event.text);
      if (!dtype_) {
        throw Error(ErrorKind::kUnsupported,
                    "dtype is \"" + printable(event.text) +
                        "\", expected one this program reads, such as BF16, F16, F32 "
                        "or F8_E4M3",
                    where_);
      }
    } else {
      if (event.kind != JsonEvent::kArrayBegin) refuse(event, "an array");
      if (field_ == Field::kShape) rank_ = 0;
      if (field_ == Field::kOffsets) n_offsets_ = 0;
      place_ = field_ == Field::kShape ? Place::kShape : Place::kOffsets;
    }
  }

  std::uint64_t number(const JsonEvent& event) const {
    if (event.kind != JsonEvent::kUnsigned) refuse(event, "a non-negative integer");
    return Foreign<std::uint64_t>(event.number).within(0, kMaxNumber, "number", where_);
  }

  void take_shape(const JsonEvent& event) {
    if (event.kind == JsonEvent::kArrayEnd) {
      place_ = Place::kTensor;
      return;
    }
    const std::uint64_t dimension = number(event);
    if (*rank_ == kMaxRank) {
      throw Error(ErrorKind::kUnsupported,
                  "shape has more than " + std::to_string(kMaxRank) + " dimensions, expected at most that",
                  where_);
    }
    shape_[(*rank_)++] = dimension;
  }

  void take_offsets(const JsonEvent& event) {
    if (event.kind == JsonEvent::kArrayEnd) {
      place_ = Place::kTensor;
      return;
    }
    const std::uint64_t offset = number(event);
    if (*n_offsets_ == offsets_.size()) {
      throw Error(ErrorKind::kBadInput, "data_offsets has more than 2 numbers, expected begin and end",
                  where_);
    }
    offsets_[(*n_offsets_)++] = offset;
  }

  void end_tensor() {
    if (!dtype_ || !rank_ || n_offsets_ != offsets_.size()) {
      throw Error(ErrorKind::kBadInput, "a field is missing, expected dtype, shape and two data_offsets",
                  where_);
    }
    TensorInfo tensor;
    tensor.name = name_;
    tensor.type = *dtype_;
    tensor.shape.assign(shape_.begin(), shape_.begin() + static_cast<std::ptrdiff_t>(*rank_));
    tensor.n_bytes = tensor_bytes(tensor.type, tensor.shape, where_);
    tensor.offset = offsets_[0];
    if (offsets_[1] < offsets_[0] || offsets_[1] - offsets_[0] != tensor.n_bytes) {
      throw Error(ErrorKind::kBadInput,
                  "data_offsets are " + std::to_string(offsets_[0]) + " and " + std::to_string(offsets_[1]) +
                      ", expected a length of " + std::to_string(tensor.n_bytes) + " bytes for " +
                      std::string(exa::name(tensor.type)) + " " + shape_text(tensor.shape),
                  where_);
    }
    tensors_.push_back(std::move(tensor));
    place_ = Place::kTop;
  }

  std::string path_;
  std::string where_ = path_;
  Place place_ = Place::kStart;
  bool in_metadata_ = false;
  bool metadata_seen_ = false;
  std::vector<std::string> metadata_keys_;
  std::size_t metadata_bytes_ = 0;

  std::string name_;
  Field field_ = Field::kNone;
  std::optional<DType> dtype_;
  std::optional<std::size_t> rank_;
  std::array<std::uint64_t, kMaxRank> shape_{};
  std::optional<std::size_t> n_offsets_;
  std::array<std::uint64_t, 2> offsets_{};

  std::vector<TensorInfo> tensors_;
};

struct Header {
  std::string json;
  std::uint64_t data_start;  // byte of the file
};

Header read_header(const FileReader& file) {
  const std::string path = file.path().string();
  if (file.size_bytes() < kLengthBytes) {
    throw Error(ErrorKind::kBadInput,
                "file has " + std::to_string(file.size_bytes()) + " bytes, expected at least 8", path);
  }
  std::array<std::byte, kLengthBytes> length_bytes{};
  file.read_at(0, length_bytes);
  std::uint64_t length = 0;
  std::memcpy(&length, length_bytes.data(), sizeof(length));
  const std::uint64_t limit = std::min(kMaxHeaderBytes, file.size_bytes() - kLengthBytes);
  const std::uint64_t n = Foreign<std::uint64_t>(length).within(2, limit, "header length", path + ", byte 0");

  std::string json(static_cast<std::size_t>(n), '\0');
  file.read_at(kLengthBytes, std::as_writable_bytes(std::span(json.data(), json.size())));
  const std::size_t last = json.find_last_not_of(' ');
  if (json.front() != '{' || json[last] != '}') {
    throw Error(ErrorKind::kBadInput, "header is no JSON object, expected { to } and then only spaces",
                path + ", byte 8");
  }
  json.resize(last + 1);
  return {std::move(json), kLengthBytes + n};
}

// Each tensor begins where the one before ended, the last one ends the file.
void place_tensors(std::vector<TensorInfo>& tensors, std::uint64_t data_start, const FileReader& file) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.offset, a.n_bytes, a.name) < std::tie(b.offset, b.n_bytes, b.name);
  });
  const std::uint64_t data_bytes = file.size_bytes() - data_start;
  std::uint64_t end = 0;
  for (TensorInfo& tensor : tensors) {
    const std::string where = file.path().string() + ", tensor " + printable(tensor.name);
    if (tensor.offset != end) {
      throw Error(ErrorKind::kBadInput,
                  "data begins at " + std::to_string(tensor.offset) + ", expected " + std::to_string(end) +
                      ", where the previous tensor ends",
                  where);
    }
    if (tensor.n_bytes > data_bytes - end) {
      throw Error(ErrorKind::kBadInput,
                  "data has " + std::to_string(tensor.n_bytes) + " bytes, expected at most the " +
                      std::to_string(data_bytes - end) + " left in the file",
                  where);
    }
    end += tensor.n_bytes;
    tensor.offset += data_start;
  }
  if (end != data_bytes) {
    throw Error(ErrorKind::kBadInput,
                std::to_string(data_bytes - end) + " bytes follow the last tensor, expected none",
                file.path().string() + ", byte " + std::to_string(data_start + end));
  }
}

}  // namespace

std::vector<TensorInfo> read_safetensors_header(const FileReader& file) {
  Header header = read_header(file);
  std::vector<TensorInfo> tensors = SafetensorsHeader(file).parse(header.json);
  header.json = std::string();
  place_tensors(tensors, header.data_start, file);
  const NameIndex names(tensors, [](const TensorInfo& tensor) { return std::string_view(tensor.name); });
  if (const auto twice = names.duplicate()) {
    throw Error(ErrorKind::kBadInput, "tensor occurs twice, expected once",
                file.path().string() + ", tensor " + printable(*twice));
  }
  return tensors;
}

}  // namespace exa
