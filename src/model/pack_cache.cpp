#include "model/pack_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"

namespace exa {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "EXAPACK3";
constexpr std::string_view kSuffix = ".p16";
constexpr std::size_t kFrontBytes = 8 + 8 + 8;  // magic, bytes of the description, its checksum
constexpr std::uint64_t kMostDescriptionBytes = std::uint64_t{32} << 20;
constexpr std::size_t kPieceBytes = kHugePageBytes;  // written, and checked, at once
constexpr auto kForgottenAfter = std::chrono::hours(1);

// Everything behind the front, little-endian, without gaps.
class Description {
 public:
  template <typename T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void text(std::string_view value) {
    number(static_cast<std::uint64_t>(value.size()));
    bytes_.append(value);
  }
  void raw(std::span<const std::byte> value) {
    bytes_.append(reinterpret_cast<const char*>(value.data()), value.size());
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Below 0 for what cannot be opened, and for links.
int open_own(const fs::path& path) {
  return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

std::uint64_t round_up(std::uint64_t n, std::uint64_t step) {
  return (n + step - 1) / step * step;
}

// A file's description, proved to fit the file.
struct Described {
  std::uint64_t data_offset = 0;
  std::uint64_t data_bytes = 0;
  std::vector<std::uint64_t> checksums;  // of each piece
  std::vector<PackEntry> entries;
};

std::uint64_t checksum_of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t n_pieces(std::uint64_t data_bytes) {
  return (data_bytes + kPieceBytes - 1) / kPieceBytes;
}

std::size_t piece_bytes(std::uint64_t data_bytes, std::uint64_t piece) {
  return static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, data_bytes - piece * kPieceBytes));
}

std::string loss_line(const fs::path& path) {
  return "exaone: " + path.string() + ": the pack cache's file was cut while it was in use\n";
}

bool read_all(int fd, std::uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    offset += static_cast<std::uint64_t>(n);
    out = out.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

// Errors: kBadInput.
Described parse(std::span<const std::byte> bytes, std::uint64_t file_bytes,
                const PackFingerprint& fingerprint, const std::string& name) {
  ByteReader in(bytes, name);
  const std::span<const std::byte> found = in.take(fingerprint.size(), "fingerprint");
  if (!std::ranges::equal(found, fingerprint)) {
    throw Error(ErrorKind::kBadInput, "the fingerprint is another one", name);
  }
  Described d;
  d.data_offset = in.number<std::uint64_t>("data offset").within(1, file_bytes, "data offset", name);
  d.data_bytes = in.number<std::uint64_t>("data size").within(1, file_bytes, "data size", name);
  const std::uint64_t n_entries =
      in.number<std::uint64_t>("entries").within(1, bytes.size(), "entries", name);
  if (d.data_offset % kHugePageBytes != 0 || d.data_bytes != file_bytes - d.data_offset) {
    throw Error(ErrorKind::kBadInput, "the file's size is not the described one", name);
  }
  const std::span<const std::byte> checksums =
      in.take(n_pieces(d.data_bytes) * sizeof(std::uint64_t), "checksums");
  d.checksums.resize(checksums.size() / sizeof(std::uint64_t));
  std::memcpy(d.checksums.data(), checksums.data(), checksums.size());
  for (std::uint64_t i = 0; i < n_entries; ++i) {
    PackEntry entry;
    const std::uint64_t length = in.number<std::uint64_t>("name length").within(1, 4096, "name length", name);
    const std::span<const std::byte> text = in.take(length, "name");
    entry.name.assign(reinterpret_cast<const char*>(text.data()), text.size());
    entry.offset = in.number<std::uint64_t>("offset").within(0, d.data_bytes, "offset", name);
    entry.n_bytes = in.number<std::uint64_t>("size").within(1, d.data_bytes - entry.offset, "size", name);
    if (entry.offset % 64 != 0) throw Error(ErrorKind::kBadInput, "an offset is not aligned", name);
    d.entries.push_back(std::move(entry));
  }
  return d;
}

// Nothing for a file that is not there; a file that is there and not what it should be is an error.
std::optional<Described> describe(int fd, const fs::path& path, const PackFingerprint& fingerprint) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return std::nullopt;
  const std::string name = path.string();
  // Weights from a file that others may write would be theirs to choose.
  const bool alone = (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid() || !alone) {
    throw Error(ErrorKind::kBadInput, "not a file of this user alone", name);
  }
  const auto file_bytes = static_cast<std::uint64_t>(info.st_size);
  std::array<std::byte, kFrontBytes> front{};
  if (!read_all(fd, 0, front)) throw Error(ErrorKind::kBadInput, "truncated", name);
  ByteReader in(front, name);
  const std::span<const std::byte> magic = in.take(kMagic.size(), "magic");
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0) {
    throw Error(ErrorKind::kBadInput, "not a pack", name);
  }
  const std::uint64_t n_bytes =
      in.number<std::uint64_t>("description size").within(1, kMostDescriptionBytes, "description size", name);
  const std::uint64_t checksum = in.number<std::uint64_t>("checksum").raw();
  if (n_bytes > file_bytes) throw Error(ErrorKind::kBadInput, "truncated", name);
  std::vector<std::byte> bytes(static_cast<std::size_t>(n_bytes));
  if (!read_all(fd, kFrontBytes, bytes)) throw Error(ErrorKind::kBadInput, "truncated", name);
  if (checksum_of(bytes) != checksum) {
    throw Error(ErrorKind::kBadInput, "the description's checksum differs", name);
  }
  return parse(bytes, file_bytes, fingerprint, name);
}

class FileWriter final : public PackCache::Writer {
 public:
  FileWriter(const fs::path& path, const PackFingerprint& fingerprint, std::span<const PackEntry> entries,
             std::uint64_t data_bytes, const Region& region)
      : file_(path, AtomicFile::Readers::kOwner),
        region_(region),
        fingerprint_(fingerprint),
        n_entries_(entries.size()),
        data_bytes_(data_bytes) {
    for (const PackEntry& entry : entries) {
      entries_.text(entry.name);
      entries_.number(entry.offset);
      entries_.number(entry.n_bytes);
    }
    description_bytes_ =
        fingerprint.size() + (3 + n_pieces(data_bytes)) * sizeof(std::uint64_t) + entries_.bytes().size();
    data_offset_ = round_up(kFrontBytes + description_bytes_, kHugePageBytes);
  }

  bool step() override {
    const std::uint64_t piece = checksums_.size();
    if (piece == n_pieces(data_bytes_)) return false;
    // Pieces of a huge page's size and alignment become folios of that size where the file system has them.
    const std::span<const std::byte> bytes{region_.data() + piece * kPieceBytes,
                                           piece_bytes(data_bytes_, piece)};
    file_.write_at(data_offset_ + piece * kPieceBytes, bytes);
    checksums_.push_back(checksum_of(bytes));
    return true;
  }

  // What describes the pieces is known when all have been written.
  void commit() override {
    Description all;
    all.raw(fingerprint_);
    all.number(data_offset_);
    all.number(data_bytes_);
    all.number(n_entries_);
    all.raw(std::as_bytes(std::span(checksums_)));
    all.raw(std::as_bytes(std::span(entries_.bytes())));
    Description front;
    front.raw(std::as_bytes(std::span(kMagic)));
    front.number(description_bytes_);
    front.number(checksum_of(std::as_bytes(std::span(all.bytes()))));
    file_.write_at(0, std::as_bytes(std::span(front.bytes())));
    file_.write_at(kFrontBytes, std::as_bytes(std::span(all.bytes())));
    file_.commit();
  }

 private:
  AtomicFile file_;
  const Region& region_;
  PackFingerprint fingerprint_;
  Description entries_;
  std::uint64_t n_entries_;
  std::vector<std::uint64_t> checksums_;  // of the pieces written so far
  std::uint64_t description_bytes_ = 0;
  std::uint64_t data_offset_ = 0;
  std::uint64_t data_bytes_;
};

// Whether all pieces are what was written. Each is read by the thread that takes it next.
bool is_intact(const Region& region, const Described& described, ThreadPool& pool) {
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> intact{true};
  pool.parallel([&](int, int) {
    for (std::uint64_t i = next++; i < described.checksums.size() && intact.load(); i = next++) {
      const std::size_t n_bytes = piece_bytes(described.data_bytes, i);
      if (checksum_of({region.data() + i * kPieceBytes, n_bytes}) != described.checksums[i]) {
        intact.store(false);
      }
    }
  });
  return intact.load();
}

std::optional<fs::path> absolute_path_in(const char* variable) {
  const char* const value = std::getenv(variable);
  if (value == nullptr || value[0] != '/') return std::nullopt;
  return fs::path(value);
}

}  // namespace

PackFingerprint pack_fingerprint(const Checkpoint& checkpoint, std::string_view layout) {
  Description d;
  d.text(kMagic);
  d.text(layout);
  for (const Checkpoint::File& file : checkpoint.files()) {
    struct stat info {};
    if (::stat(file.path.c_str(), &info) != 0) {
      throw Error(ErrorKind::kIo, std::string("cannot stat: ") + std::strerror(errno), file.path.string());
    }
    d.number(file.size_bytes);
    d.number(static_cast<std::uint64_t>(info.st_size));
    d.number(static_cast<std::uint64_t>(info.st_ino));
    for (const timespec& time : {info.st_mtim, info.st_ctim}) {
      d.number(static_cast<std::int64_t>(time.tv_sec));
      d.number(static_cast<std::int64_t>(time.tv_nsec));
    }
  }
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    d.text(tensor.name);
    d.number(static_cast<std::uint8_t>(tensor.type));
    d.number(static_cast<std::uint64_t>(tensor.shape.size()));
    for (const std::uint64_t n : tensor.shape) d.number(n);
    d.number(static_cast<std::uint64_t>(tensor.file));
    d.number(tensor.offset);
  }
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(d.bytes().data(), d.bytes().size()));
  PackFingerprint fingerprint;
  static_assert(sizeof(canonical.digest) == sizeof(fingerprint));
  std::memcpy(fingerprint.data(), canonical.digest, fingerprint.size());
  return fingerprint;
}

std::optional<PackCache> PackCache::of_user() {
  if (const auto cache = absolute_path_in("XDG_CACHE_HOME")) return PackCache(*cache / "exaone");
  if (const auto home = absolute_path_in("HOME")) return PackCache(*home / ".cache" / "exaone");
  return std::nullopt;
}

fs::path PackCache::path(const PackFingerprint& fingerprint) const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string name;
  for (const std::byte byte : fingerprint) {
    name += kDigits[std::to_integer<std::size_t>(byte) >> 4];
    name += kDigits[std::to_integer<std::size_t>(byte) & 15];
  }
  return folder_ / (name + std::string(kSuffix));
}

std::optional<PackCache::Hit> PackCache::find(const PackFingerprint& fingerprint, ThreadPool& pool) const {
  const fs::path file = path(fingerprint);
  const Descriptor descriptor(open_own(file));
  if (descriptor.get() < 0) return std::nullopt;
  try {
    std::optional<Described> described = describe(descriptor.get(), file, fingerprint);
    if (!described) return std::nullopt;
    Hit hit;
    hit.region = std::make_shared<Region>(descriptor.get(), described->data_offset,
                                          static_cast<std::size_t>(described->data_bytes));
    hit.region->end_process_on_loss(loss_line(file));
    if (!is_intact(*hit.region, *described, pool)) {
      throw Error(ErrorKind::kBadInput, "a piece's checksum differs", file.string());
    }
    hit.entries = std::move(described->entries);
    ::futimens(descriptor.get(), nullptr);
    return hit;
  } catch (const Error&) {
    remove(fingerprint);
    return std::nullopt;
  }
}

void PackCache::remove(const PackFingerprint& fingerprint) const {
  std::error_code ignored;
  fs::remove(path(fingerprint), ignored);
}

bool PackCache::adopt(const PackFingerprint& fingerprint, Region& region,
                      const std::function<void()>& between) const {
  const fs::path file = path(fingerprint);
  const Descriptor descriptor(open_own(file));
  if (descriptor.get() < 0) return false;
  try {
    const std::optional<Described> described = describe(descriptor.get(), file, fingerprint);
    if (!described || described->data_bytes > region.size_bytes()) return false;
    region.end_process_on_loss(loss_line(file));
    std::vector<std::byte> read(kPieceBytes);
    for (std::uint64_t i = 0; i < described->checksums.size(); ++i) {
      between();
      const std::size_t n_bytes = piece_bytes(described->data_bytes, i);
      const std::uint64_t offset = described->data_offset + i * kPieceBytes;
      const std::span<std::byte> piece(read.data(), n_bytes);
      if (!read_all(descriptor.get(), offset, piece)) return false;
      if (checksum_of(piece) != described->checksums[i]) return false;
      const auto begin = static_cast<std::size_t>(i * kPieceBytes);
      if (!region.replace_by_file(begin, n_bytes, descriptor.get(), offset)) return false;
    }
    return true;
  } catch (const Error&) {
    return false;
  }
}

bool PackCache::make_room(std::uint64_t n_bytes) const {
  struct Kept {
    fs::path path;
    fs::file_time_type used;
    std::uint64_t n_bytes;
  };
  std::error_code error;
  std::vector<Kept> files;
  std::uint64_t total = 0;
  for (fs::directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    const fs::path& file = it->path();
    const fs::file_time_type used = it->last_write_time(gone);
    if (gone || !it->is_regular_file(gone)) continue;
    const std::string name = file.filename().string();
    if (name.starts_with('.') && name.find(kSuffix) != std::string::npos) {
      // A writer that was killed while it named its file.
      if (fs::file_time_type::clock::now() - used > kForgottenAfter) fs::remove(file, gone);
      continue;
    }
    if (!name.ends_with(kSuffix)) continue;
    const std::uint64_t size = it->file_size(gone);
    if (gone) continue;
    files.push_back({file, used, size});
    total += size;
  }
  const fs::space_info space = fs::space(folder_, error);
  if (error) return false;
  const std::uint64_t limit = limits_.most_bytes > 0 ? limits_.most_bytes : (space.available + total) / 4;
  if (n_bytes > limit) return false;
  std::ranges::sort(files, {}, &Kept::used);
  for (const Kept& file : files) {
    if (total + n_bytes <= limit) break;
    std::error_code gone;
    if (fs::remove(file.path, gone)) total -= file.n_bytes;
  }
  return total + n_bytes <= limit;
}

std::unique_ptr<PackCache::Writer> PackCache::write(const PackFingerprint& fingerprint,
                                                    std::span<const PackEntry> entries,
                                                    const Region& region) const {
  std::uint64_t data_bytes = 0;
  for (const PackEntry& entry : entries) data_bytes = std::max(data_bytes, entry.offset + entry.n_bytes);
  if (data_bytes < std::max<std::uint64_t>(limits_.least_bytes, 1)) return nullptr;
  std::error_code error;
  fs::create_directories(folder_, error);
  // What somebody asks a model for is not in here, but which models are used is nobody else's business.
  if (!error) fs::permissions(folder_, fs::perms::owner_all, error);
  if (error) throw Error(ErrorKind::kIo, "cannot create: " + error.message(), folder_.string());
  if (!make_room(data_bytes + kHugePageBytes)) return nullptr;
  return std::make_unique<FileWriter>(path(fingerprint), fingerprint, entries, data_bytes, region);
}

}  // namespace exa
