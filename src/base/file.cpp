#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace exa {
namespace {

constexpr std::size_t kWritebackBytes = std::size_t{256} << 10;

Error io_error(const std::filesystem::path& path, const std::string& action) {
  return Error(ErrorKind::kIo, action + ": " + std::strerror(errno), path.string());
}

}  // namespace

void Descriptor::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

FileReader::FileReader(const std::filesystem::path& path) : path_(path) {
  // Without waiting: a pipe that nobody writes to is no file either.
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) throw io_error(path, "cannot open");
  struct stat info {};
  if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
    const bool regular = S_ISREG(info.st_mode);
    const Error error =
        regular ? io_error(path, "cannot stat") : Error(ErrorKind::kIo, "not a regular file", path.string());
    ::close(fd_);
    fd_ = -1;
    throw error;
  }
  size_bytes_ = static_cast<std::uint64_t>(info.st_size);
}

FileReader::~FileReader() {
  if (fd_ >= 0) ::close(fd_);
}

FileReader::FileReader(FileReader&& other) noexcept
    : path_(std::move(other.path_)), size_bytes_(other.size_bytes_), fd_(std::exchange(other.fd_, -1)) {}

FileReader& FileReader::operator=(FileReader&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    path_ = std::move(other.path_);
    size_bytes_ = other.size_bytes_;
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void FileReader::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::size_t chunk = std::min<std::size_t>(out.size() - done, std::size_t{1} << 30);
    const ssize_t n = ::pread(fd_, out.data() + done, chunk, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw io_error(path_, "cannot read at byte " + std::to_string(offset + done));
    if (n == 0) {
      throw Error(ErrorKind::kBadInput,
                  "file ends at byte " + std::to_string(offset + done) + ", expected " +
                      std::to_string(out.size() - done) + " more",
                  path_.string());
    }
    done += static_cast<std::size_t>(n);
  }
}

void FileReader::will_need(std::uint64_t offset, std::uint64_t n_bytes) const {
  ::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(n_bytes), POSIX_FADV_WILLNEED);
}

std::string read_text_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const FileReader file(path);
  if (file.size_bytes() > max_bytes) {
    throw Error(ErrorKind::kBadInput,
                "file has " + std::to_string(file.size_bytes()) + " bytes, expected at most " +
                    std::to_string(max_bytes),
                path.string());
  }
  std::string text(static_cast<std::size_t>(file.size_bytes()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text.data(), text.size())));
  return text;
}

void require_file_path(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status) || std::filesystem::is_regular_file(status)) return;
  const std::string found = std::filesystem::is_directory(status) ? "a folder" : "a device";
  throw Error(ErrorKind::kBadInput, "the output is " + found + ", expected the path of a file", path.string());
}

AtomicFile::AtomicFile(std::filesystem::path path, Readers readers) : path_(std::move(path)) {
  require_file_path(path_);
  const mode_t mode = readers == Readers::kOwner ? 0600 : 0666;
  // A file without a name leaves nothing however the process ends; not every file system has them, and
  // without /proc they cannot be given one.
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  if (::access("/proc/self/fd", X_OK) == 0) {
    fd_ = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  }
  if (fd_ >= 0) return;
  std::string name = (path_.parent_path() / ("." + path_.filename().string() + ".XXXXXX")).string();
  fd_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd_ < 0) throw io_error(path_, "cannot create a temporary file beside it");
  temporary_ = name;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(fd_, mode & ~mask);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (fd_ >= 0 && !temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::name_temporary() {
  const std::string self = "/proc/self/fd/" + std::to_string(fd_);
  const std::string stem = "." + path_.filename().string() + "." + std::to_string(::getpid()) + ".";
  for (int i = 0; i < 100; ++i) {
    const std::filesystem::path name = path_.parent_path() / (stem + std::to_string(i));
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      temporary_ = name;
      return;
    }
    if (errno != EEXIST) break;
  }
  throw io_error(path_, "cannot name the temporary file beside it");
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(fd_, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw io_error(path_, "cannot write");
    done += static_cast<std::size_t>(n);
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n =
        ::pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw io_error(path_, "cannot write");
    done += static_cast<std::size_t>(n);
  }
  // The disk begins at once, so that the flush at the end finds little left to do; where it cannot, that one
  // does it.
  if (bytes.size() >= kWritebackBytes) {
    ::sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes.size()),
                      SYNC_FILE_RANGE_WRITE);
  }
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) throw io_error(path_, "cannot flush to disk");
  if (temporary_.empty()) name_temporary();
  require_file_path(path_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw io_error(path_, "cannot rename into place");
  ::close(std::exchange(fd_, -1));
  const std::filesystem::path folder =
      path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
  const int folder_fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {
    ::fsync(folder_fd);
    ::close(folder_fd);
  }
}

}  // namespace exa
