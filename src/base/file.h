// Files: reading at an offset, reading a small one whole, and writing one that appears whole or not at all.
//
// Ownership and threads: FileReader owns its descriptor; read_at may be called from several threads at once.
// AtomicFile belongs to one thread, but for write_at.
// Source: promises G10, G11 and rule R14 of the reliability specification; POSIX pread, rename, fsync.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace exa {

// A file descriptor that closes itself; below 0: none.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void close();

 private:
  int fd_;
};

class FileReader {
 public:
  // Errors: kIo where the file is missing, a folder, or cannot be opened.
  explicit FileReader(const std::filesystem::path& path);
  ~FileReader();
  FileReader(FileReader&& other) noexcept;
  FileReader& operator=(FileReader&& other) noexcept;
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size_bytes() const { return size_bytes_; }

  // Fills all of `out` from `offset`. Errors: kIo on a read error, kBadInput where the file ends early (it
  // was cut after it was opened).
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;
  // Tells the kernel that this range will be read soon; never fails.
  void will_need(std::uint64_t offset, std::uint64_t n_bytes) const;

 private:
  std::filesystem::path path_;
  std::uint64_t size_bytes_ = 0;
  int fd_ = -1;
};

// The whole file. Errors: as FileReader; kBadInput where it is larger than max_bytes.
std::string read_text_file(const std::filesystem::path& path, std::uint64_t max_bytes);

// Errors: kBadInput where something other than a file stands at the path: it is not replaced.
void require_file_path(const std::filesystem::path& path);

// A new file under its final name only after commit(): written in the same folder without a name (under a
// temporary one where the file system wants names), fsynced, renamed, folder fsynced. Without commit() it
// leaves nothing.
class AtomicFile {
 public:
  enum class Readers { kAll, kOwner };  // as far as the umask lets them, or nobody else
  // Errors: kBadInput where something other than a file stands under the name (a folder, a device, a pipe);
  // kIo.
  explicit AtomicFile(std::filesystem::path path, Readers readers = Readers::kAll);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Errors: kIo with the path and the system's reason.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  // At a place of one's own choosing, beside what write() appends; several threads may call it at once.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void commit();

 private:
  void name_temporary();

  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty while the file has no name
  int fd_ = -1;
};

}  // namespace exa
