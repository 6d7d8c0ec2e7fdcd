#include "formats/gguf.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "base/printable.h"
#include "formats/name_index.h"

namespace exa {
namespace {

constexpr std::uint64_t kMaxTensors = 65'536;
constexpr std::uint64_t kMaxKeys = 65'536;
constexpr std::uint64_t kMaxKeyBytes = 256;
constexpr std::uint64_t kMaxNameBytes = 128;
constexpr std::uint64_t kMaxStringBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kMaxMetadataBytes = std::uint64_t{512} << 20;
constexpr std::uint64_t kMaxArrayCount = std::uint64_t{4} << 20;
// Elements of one or two bytes become eight in memory; so many of them all together stay within the slack
// that rule R2 grants a header.
constexpr std::uint64_t kMaxNarrowElements = std::uint64_t{1} << 20;
constexpr std::uint32_t kMaxDimensions = 4;
constexpr std::uint64_t kMaxDimension = std::uint64_t{1} << 32;
constexpr std::uint32_t kDefaultAlignment = 32;
constexpr std::uint32_t kMinAlignment = 8;
constexpr std::uint32_t kMaxAlignment = std::uint32_t{1} << 20;
// Shortest possible entries: a key of one byte with a one-byte value; a name of one byte with one dimension.
constexpr std::uint64_t kMinKeyEntryBytes = 8 + 1 + 4 + 1;
constexpr std::uint64_t kMinTensorEntryBytes = 8 + 1 + 4 + 8 + 4 + 8;

enum ValueType : std::uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};
constexpr std::array<std::string_view, 13> kValueTypeNames = {
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
// Fewest bytes a value of the type takes.
constexpr std::array<std::uint64_t, 13> kValueTypeBytes = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

// A cursor over the front of a file that holds only a window of it in memory, so that a header of any length
// is read once, in order, by copy.
class HeaderReader {
 public:
  explicit HeaderReader(const FileReader& file) : file_(file) {}

  std::uint64_t offset() const { return offset_; }
  std::uint64_t remaining() const { return file_.size_bytes() - offset_; }
  std::string where() const { return file_.path().string() + ", byte " + std::to_string(offset_); }

  // The next n bytes, valid until the next call.
  std::span<const std::byte> take(std::uint64_t n, std::string_view what) {
    if (n > remaining()) {
      throw Error(ErrorKind::kBadInput,
                  "truncated: " + std::string(what) + " needs " + std::to_string(n) + " bytes, " +
                      std::to_string(remaining()) + " left",
                  where());
    }
    const auto wanted = static_cast<std::size_t>(n);
    if (wanted > window_.size() - position_) refill(wanted);
    const auto taken = std::span<const std::byte>(window_).subspan(position_, wanted);
    position_ += wanted;
    offset_ += n;
    return taken;
  }

  template <typename T>
  Foreign<T> number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return Foreign<T>(value);
  }

  // where_found: whom to blame for a length out of bounds.
  std::string string(std::uint64_t min_bytes, std::uint64_t max_bytes, std::string_view what,
                     const std::string& where_found) {
    const std::uint64_t n = number<std::uint64_t>(what).within(min_bytes, max_bytes, what, where_found);
    const auto bytes = take(n, what);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

 private:
  // Called with `wanted` bytes proved to lie in the file.
  void refill(std::size_t wanted) {
    constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 20;
    const auto size =
        static_cast<std::size_t>(std::max<std::uint64_t>(wanted, std::min(kWindowBytes, remaining())));
    window_.clear();
    window_.resize(size);
    position_ = 0;
    file_.read_at(offset_, window_);
  }

  const FileReader& file_;
  std::vector<std::byte> window_;
  std::size_t position_ = 0;  // of the next byte in the window
  std::uint64_t offset_ = 0;  // of the next byte in the file
};

class HeaderParser {
 public:
  explicit HeaderParser(const FileReader& file) : file_(file), reader_(file) {}

  GgufHeader parse() {
    const std::uint64_t n_tensors = parse_front();
    for (std::uint64_t i = 0; i < n_keys_; ++i) parse_key();
    const NameIndex keys(header_.metadata, [](const auto& entry) { return std::string_view(entry.first); });
    if (const auto twice = keys.duplicate()) {
      throw Error(ErrorKind::kBadInput, "key occurs twice, expected once",
                  in_file("key " + std::string(*twice)));
    }
    parse_tensors(n_tensors);
    return std::move(header_);
  }

 private:
  std::string in_file(const std::string& what) const { return file_.path().string() + ", " + what; }

  std::uint64_t parse_front() {
    const auto magic = reader_.take(4, "magic");
    if (std::memcmp(magic.data(), "GGUF", 4) != 0) {
      const std::string_view found(reinterpret_cast<const char*>(magic.data()), magic.size());
      throw Error(ErrorKind::kBadInput, "magic is \"" + printable(found) + "\", expected \"GGUF\"",
                  file_.path().string());
    }
    const std::uint32_t version = reader_.number<std::uint32_t>("version").raw();
    if (version != 2 && version != 3) {
      const bool swapped = version == 0x01000000 || version == 0x02000000 || version == 0x03000000;
      throw Error(ErrorKind::kUnsupported,
                  swapped ? std::string("the file is big-endian, expected little-endian")
                          : "GGUF version is " + std::to_string(version) + ", expected 2 or 3",
                  file_.path().string());
    }
    const std::uint64_t n_tensors = count(kMaxTensors, kMinTensorEntryBytes, "tensor count");
    n_keys_ = count(kMaxKeys, kMinKeyEntryBytes, "key count");
    header_.metadata.reserve(static_cast<std::size_t>(n_keys_));
    return n_tensors;
  }

  // A count of entries of at least min_bytes each, proved to fit into what is left of the file.
  std::uint64_t count(std::uint64_t limit, std::uint64_t min_bytes, std::string_view what) {
    const std::string at = reader_.where();
    const auto foreign = reader_.number<std::uint64_t>(what);
    foreign.within(0, limit, what, at);
    return foreign.within(0, reader_.remaining() / min_bytes, what, at);
  }

  void parse_key() {
    const std::string at = reader_.where();
    std::string key = reader_.string(1, kMaxKeyBytes, "key length", at);
    for (const char c : key) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
      if (!plain) {
        throw Error(ErrorKind::kUnsupported,
                    "key is \"" + printable(key) + "\", expected only a-z, 0-9, _ . and -", at);
      }
    }
    key_where_ = in_file("key " + key);
    const std::uint32_t type = value_type();
    if (key == "general.alignment") {
      if (type != kU32) {
        throw Error(ErrorKind::kBadInput, "type is " + std::string(kValueTypeNames[type]) + ", expected u32",
                    key_where_);
      }
      header_.metadata.emplace_back(std::move(key), parse_alignment());
    } else {
      header_.metadata.emplace_back(std::move(key), type == kArray ? parse_array() : parse_scalar(type));
    }
    if (reader_.offset() > kMaxMetadataBytes) {
      throw Error(ErrorKind::kBadInput,
                  "metadata reaches byte " + std::to_string(reader_.offset()) + ", expected at most " +
                      std::to_string(kMaxMetadataBytes),
                  key_where_);
    }
  }

  std::uint32_t value_type() {
    return reader_.number<std::uint32_t>("value type").within(kU8, kF64, "value type", key_where_);
  }

  MetadataValue parse_alignment() {
    const auto foreign = reader_.number<std::uint32_t>("alignment");
    alignment_ = foreign.within(kMinAlignment, kMaxAlignment, "alignment", key_where_);
    if (!std::has_single_bit(alignment_)) {
      throw Error(ErrorKind::kBadInput,
                  "alignment is " + std::to_string(alignment_) + ", expected a power of two", key_where_);
    }
    return std::uint64_t{alignment_};
  }

  bool boolean() { return reader_.number<std::uint8_t>("bool").within(0, 1, "bool", key_where_) == 1; }

  std::uint64_t unsigned_integer(std::uint32_t type) {
    switch (type) {
      case kU8:
        return reader_.number<std::uint8_t>("u8").raw();
      case kU16:
        return reader_.number<std::uint16_t>("u16").raw();
      case kU32:
        return reader_.number<std::uint32_t>("u32").raw();
      default:
        return reader_.number<std::uint64_t>("u64").raw();
    }
  }

  std::int64_t signed_integer(std::uint32_t type) {
    switch (type) {
      case kI8:
        return reader_.number<std::int8_t>("i8").raw();
      case kI16:
        return reader_.number<std::int16_t>("i16").raw();
      case kI32:
        return reader_.number<std::int32_t>("i32").raw();
      default:
        return reader_.number<std::int64_t>("i64").raw();
    }
  }

  double real(std::uint32_t type) {
    if (type == kF32) return static_cast<double>(reader_.number<float>("f32").raw());
    return reader_.number<double>("f64").raw();
  }

  MetadataValue parse_scalar(std::uint32_t type) {
    switch (type) {
      case kU8:
      case kU16:
      case kU32:
      case kU64:
        return unsigned_integer(type);
      case kI8:
      case kI16:
      case kI32:
      case kI64:
        return signed_integer(type);
      case kF32:
      case kF64:
        return real(type);
      case kBool:
        return boolean();
      default:
        return reader_.string(0, kMaxStringBytes, "string length", key_where_);
    }
  }

  MetadataValue parse_array() {
    const std::uint32_t type =
        reader_.number<std::uint32_t>("element type").within(kU8, kF64, "element type", key_where_);
    if (type == kArray) {
      throw Error(ErrorKind::kUnsupported, "element type is array, expected a number, bool or string",
                  key_where_);
    }
    const auto foreign = reader_.number<std::uint64_t>("array count");
    foreign.within(0, kMaxArrayCount, "array count", key_where_);
    const auto n = static_cast<std::size_t>(
        foreign.within(0, reader_.remaining() / kValueTypeBytes[type], "array count", key_where_));
    if (kValueTypeBytes[type] <= 2 && type != kBool) {
      n_narrow_elements_ += n;
      if (n_narrow_elements_ > kMaxNarrowElements) {
        throw Error(ErrorKind::kUnsupported,
                    "arrays of 8- and 16-bit integers have " + std::to_string(n_narrow_elements_) +
                        " elements, expected at most " + std::to_string(kMaxNarrowElements),
                    key_where_);
      }
    }
    switch (type) {
      case kU8:
      case kU16:
      case kU32:
      case kU64:
        return elements<std::uint64_t>(n, [&] { return unsigned_integer(type); });
      case kI8:
      case kI16:
      case kI32:
      case kI64:
        return elements<std::int64_t>(n, [&] { return signed_integer(type); });
      case kF32:
      case kF64:
        return elements<double>(n, [&] { return real(type); });
      case kBool:
        return elements<bool>(n, [&] { return boolean(); });
      default:
        return elements<std::string>(
            n, [&] { return reader_.string(0, kMaxStringBytes, "string length", key_where_); });
    }
  }

  template <typename T, typename Next>
  std::vector<T> elements(std::size_t n, Next next) {
    std::vector<T> values;
    values.reserve(n);
    for (std::size_t i = 0; i < n; ++i) values.push_back(next());
    return values;
  }

  void parse_tensors(std::uint64_t n_tensors) {
    const std::string at = reader_.where();
    Foreign<std::uint64_t>(n_tensors).within(0, reader_.remaining() / kMinTensorEntryBytes, "tensor count",
                                             at);
    header_.tensors.reserve(static_cast<std::size_t>(n_tensors));
    std::uint64_t next_offset = 0;
    for (std::uint64_t i = 0; i < n_tensors; ++i) parse_tensor(next_offset);

    const NameIndex names(header_.tensors,
                          [](const TensorInfo& tensor) { return std::string_view(tensor.name); });
    if (const auto twice = names.duplicate()) {
      throw Error(ErrorKind::kBadInput, "tensor occurs twice, expected once",
                  in_file("tensor " + printable(*twice)));
    }
    place_tensors();
  }

  // next_offset: where in the data section the previous tensor's last byte is followed; moved behind this
  // one.
  void parse_tensor(std::uint64_t& next_offset) {
    TensorInfo tensor;
    tensor.name = reader_.string(1, kMaxNameBytes, "tensor name length", reader_.where());
    const std::string at = in_file("tensor " + printable(tensor.name));
    const std::uint32_t n_dims =
        reader_.number<std::uint32_t>("dimension count").within(1, kMaxDimensions, "dimension count", at);
    tensor.shape.resize(n_dims);
    // The file lists the contiguous dimension first, TensorInfo lists it last.
    for (std::uint32_t i = 0; i < n_dims; ++i) {
      tensor.shape[n_dims - 1 - i] =
          reader_.number<std::uint64_t>("dimension").within(1, kMaxDimension, "dimension", at);
    }
    const std::uint32_t type_id = reader_.number<std::uint32_t>("tensor type").raw();
    const std::optional<DType> type = dtype_from_ggml(type_id);
    if (!type) {
      const std::string_view ggml_name = ggml_type_name(type_id);
      throw Error(ErrorKind::kUnsupported,
                  "tensor type is " + std::to_string(type_id) + " (" +
                      (ggml_name.empty() ? std::string("unknown to ggml") : std::string(ggml_name)) +
                      "), expected one this program reads, such as F32, BF16, Q4_K, Q6_K or Q8_0",
                  at);
    }
    tensor.type = *type;
    tensor.n_bytes = tensor_bytes(*type, tensor.shape, at);

    const std::optional<std::uint64_t> expected = checked_align<std::uint64_t>(next_offset, alignment_);
    const std::uint64_t offset = reader_.number<std::uint64_t>("tensor offset").raw();
    if (!expected || offset != *expected) {
      throw Error(ErrorKind::kBadInput,
                  "data offset is " + std::to_string(offset) + ", expected " +
                      (expected ? std::to_string(*expected) : std::string("less than 2^64")) +
                      " (after the previous tensor, aligned to " + std::to_string(alignment_) + ")",
                  at);
    }
    tensor.offset = offset;
    const std::optional<std::uint64_t> end = checked_add(offset, tensor.n_bytes);
    if (!end || *end > file_.size_bytes()) {
      throw Error(ErrorKind::kBadInput,
                  "data has " + std::to_string(tensor.n_bytes) + " bytes from data offset " +
                      std::to_string(offset) + ", expected it to end inside the file of " +
                      std::to_string(file_.size_bytes()) + " bytes",
                  at);
    }
    next_offset = *end;
    header_.tensors.push_back(std::move(tensor));
  }

  // From offsets in the data section to offsets in the file, which must end with the last tensor and its
  // padding.
  void place_tensors() {
    std::uint64_t end = reader_.offset();
    if (!header_.tensors.empty()) {
      const std::optional<std::uint64_t> data_start = checked_align<std::uint64_t>(end, alignment_);
      for (TensorInfo& tensor : header_.tensors) {
        const auto first = data_start ? checked_add(*data_start, tensor.offset) : std::nullopt;
        const auto last = first ? checked_add(*first, tensor.n_bytes) : std::nullopt;
        if (!last || *last > file_.size_bytes()) {
          throw Error(ErrorKind::kBadInput,
                      "data ends at byte " + (last ? std::to_string(*last) : std::string("2^64 or more")) +
                          ", expected at most the file's " + std::to_string(file_.size_bytes()) + " bytes",
                      in_file("tensor " + printable(tensor.name)));
        }
        tensor.offset = *first;
        end = *last;
      }
    }
    if (file_.size_bytes() - end >= alignment_) {
      throw Error(ErrorKind::kBadInput,
                  std::to_string(file_.size_bytes() - end) +
                      " bytes follow the last tensor, expected fewer than " + std::to_string(alignment_),
                  in_file("byte " + std::to_string(end)));
    }
  }

  const FileReader& file_;
  HeaderReader reader_;
  GgufHeader header_;
  std::uint64_t n_keys_ = 0;
  std::uint64_t n_narrow_elements_ = 0;
  std::uint32_t alignment_ = kDefaultAlignment;
  std::string key_where_;
};

}  // namespace

GgufHeader read_gguf_header(const FileReader& file) {
  return HeaderParser(file).parse();
}

}  // namespace exa
