#include "images/jail.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace exa {
namespace {

constexpr std::size_t kMostMessageBytes = 1000;

// What goes to the jail with the two descriptors of a picture: its file, and where the answer is written.
struct Order {
  ImageHeader header;
  std::uint64_t file_bytes;
};

// What a worker answers first; then its pixels or the text of its error.
struct Reply {
  enum class Kind : std::uint32_t { kImage, kError, kNoSeccomp };
  Kind kind;
  ErrorKind error;
  std::uint32_t message_bytes;
};

Error system_error(const std::string& what) {
  return Error(ErrorKind::kIo, what + ": " + std::strerror(errno), "image jail");
}

bool write_all(int fd, const void* bytes, std::size_t n_bytes) {
  const auto* at = static_cast<const std::byte*>(bytes);
  while (n_bytes > 0) {
    const ssize_t n = ::write(fd, at, n_bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    n_bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

bool send_order(int socket, const Order& order, int file, int answer) {
  Order copy = order;
  iovec data{&copy, sizeof copy};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(2 * sizeof(int));
  const int descriptors[] = {file, answer};
  std::memcpy(CMSG_DATA(header), descriptors, sizeof descriptors);
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof copy);
}

// False at the end of the socket: our maker is gone.
bool receive_order(int socket, Order& order, int& file, int& answer) {
  iovec data{&order, sizeof order};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = 0;
  do {
    n = ::recvmsg(socket, &message, 0);
  } while (n < 0 && errno == EINTR);
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (n != static_cast<ssize_t>(sizeof order) || header == nullptr || header->cmsg_type != SCM_RIGHTS)
    return false;
  int descriptors[2];
  std::memcpy(descriptors, CMSG_DATA(header), sizeof descriptors);
  file = descriptors[0];
  answer = descriptors[1];
  return true;
}

void limit(int resource, rlim_t value) {
  const rlimit both{value, value};
  ::setrlimit(static_cast<__rlimit_resource_t>(resource), &both);
}

void set_limits(const ImageJail::Limits& limits) {
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_NPROC, 0);
  limit(RLIMIT_CPU, static_cast<rlim_t>(limits.cpu_seconds));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  limit(RLIMIT_NOFILE, 0);
  limit(RLIMIT_AS, limits.memory_bytes);
#endif
}

// Runs in a worker and never returns.
[[noreturn]] void work(const Order& order, int file, int answer, ImageJailMode mode,
                       const ImageJail::Limits& limits, const ImageJail::Decoder& decoder) {
  Reply reply{Reply::Kind::kImage, ErrorKind::kBadInput, 0};
  const auto finish = [&](const std::string& message) {
    const std::string cut = message.substr(0, kMostMessageBytes);
    reply.message_bytes = static_cast<std::uint32_t>(cut.size());
    write_all(answer, &reply, sizeof reply);
    write_all(answer, cut.data(), cut.size());
    ::_exit(0);
  };
  const auto n_bytes = static_cast<std::size_t>(order.file_bytes);
  void* const bytes = ::mmap(nullptr, n_bytes, PROT_READ, MAP_PRIVATE, file, 0);
  if (bytes == MAP_FAILED) {
    reply = {Reply::Kind::kError, ErrorKind::kMemory, 0};
    finish("the picture does not fit into memory");
  }
  set_limits(limits);
  if (!renounce_rights() && mode == ImageJailMode::kOn) {
    reply.kind = Reply::Kind::kNoSeccomp;
    finish("");
  }
  try {
    const Image image = decoder({static_cast<const std::byte*>(bytes), n_bytes}, order.header, "");
    write_all(answer, &reply, sizeof reply);
    write_all(answer, image.rgb.data(), image.rgb.size());
  } catch (const Error& error) {
    reply = {Reply::Kind::kError, error.kind(), 0};
    finish(error.message());
  } catch (...) {
    reply = {Reply::Kind::kError, ErrorKind::kMemory, 0};
    finish("the picture does not fit into memory");
  }
  ::_exit(0);
}

void replace_standard_streams() {
  const int nothing = ::open("/dev/null", O_RDWR);
  if (nothing < 0) return;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nothing, fd);
  if (nothing > STDERR_FILENO) ::close(nothing);
}

// The jail's process: forks a worker for each order until its maker is gone.
[[noreturn]] void serve(int socket, ImageJailMode mode, const ImageJail::Limits& limits,
                        const ImageJail::Decoder& decoder) {
  // Keys typed at our maker are not meant for us, and its files are none of our business.
  ::setpgid(0, 0);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) std::signal(signal, SIG_DFL);
  std::signal(SIGCHLD, SIG_IGN);
  replace_standard_streams();
  constexpr int kSocket = 3;
  if (socket != kSocket) ::dup2(socket, kSocket);
  ::close_range(kSocket + 1, ~0U, 0);
  Order order{};
  int file = -1;
  int answer = -1;
  while (receive_order(kSocket, order, file, answer)) {
    const pid_t worker = ::fork();
    if (worker == 0) {
      ::close(kSocket);
      work(order, file, answer, mode, limits, decoder);
    }
    ::close(file);
    ::close(answer);
  }
  ::_exit(0);
}

// Reads what the worker writes, until it has written enough, is gone, or is late.
class Answer {
 public:
  Answer(int fd, int wall_milliseconds, const std::string& where)
      : fd_(fd), end_(Clock::now() + std::chrono::milliseconds(wall_milliseconds)), where_(where) {}

  void read(void* out, std::size_t n_bytes) {
    auto* at = static_cast<std::byte*>(out);
    while (n_bytes > 0) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - Clock::now()).count();
      pollfd ready{fd_, POLLIN, 0};
      const int n_ready = left > 0 ? ::poll(&ready, 1, static_cast<int>(left)) : 0;
      if (n_ready < 0 && errno == EINTR) continue;
      if (n_ready == 0) throw Error(ErrorKind::kBadInput, "the picture took too long to decode", where_);
      const ssize_t n = ::read(fd_, at, n_bytes);
      if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (n <= 0) {
        throw Error(ErrorKind::kBadInput,
                    "the picture's decoder was stopped before its end, expected a picture it can decode in "
                    "its limits",
                    where_);
      }
      at += n;
      n_bytes -= static_cast<std::size_t>(n);
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  int fd_;
  Clock::time_point end_;
  const std::string& where_;
};

}  // namespace

ImageJail::ImageJail(ImageJailMode mode, Limits limits, Decoder decoder)
    : mode_(mode), limits_(limits), decoder_(std::move(decoder)) {
  if (mode_ != ImageJailMode::kOff) start();
}

ImageJail::~ImageJail() {
  stop();
}

void ImageJail::start() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) throw system_error("socketpair");
  process_ = ::fork();
  if (process_ == 0) serve(ends[1], mode_, limits_, decoder_);
  ::close(ends[1]);
  if (process_ < 0) {
    ::close(ends[0]);
    throw system_error("fork");
  }
  socket_ = ends[0];
}

void ImageJail::stop() {
  if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
    process_ = -1;
  }
}

Image ImageJail::decode(std::span<const std::byte> file, const ImageHeader& header,
                        const std::string& where) {
  if (mode_ == ImageJailMode::kOff) return decoder_(file, header, where);
  const Descriptor copy(::memfd_create("picture", MFD_CLOEXEC));
  if (copy.get() < 0 || !write_all(copy.get(), file.data(), file.size())) throw system_error("memfd");
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) throw system_error("pipe");
  const Descriptor from_worker(pipe_ends[0]);
  Descriptor to_us(pipe_ends[1]);
  {
    const Order order{header, file.size()};
    const std::lock_guard lock(mutex_);
    if (socket_ < 0 || !send_order(socket_, order, copy.get(), to_us.get())) {
      // Somebody ended the jail's process; this picture gets a new one.
      stop();
      start();
      if (!send_order(socket_, order, copy.get(), to_us.get())) throw system_error("sendmsg");
    }
  }
  to_us.close();

  Answer answer(from_worker.get(), limits_.wall_milliseconds, where);
  Reply reply{};
  answer.read(&reply, sizeof reply);
  if (reply.kind == Reply::Kind::kImage) {
    Image image{header.width(), header.height(),
                std::vector<std::uint8_t>(std::size_t{3} * header.width() * header.height())};
    answer.read(image.rgb.data(), image.rgb.size());
    return image;
  }
  if (reply.kind == Reply::Kind::kNoSeccomp) {
    throw Error(ErrorKind::kUnsupported, "this system has no seccomp, expected --image-jail auto or off",
                where);
  }
  std::string message(std::min<std::size_t>(reply.message_bytes, kMostMessageBytes), ' ');
  answer.read(message.data(), message.size());
  // The worker's word counts only as far as it may have one.
  const bool known = reply.error == ErrorKind::kUnsupported || reply.error == ErrorKind::kMemory;
  throw Error(known ? reply.error : ErrorKind::kBadInput, message, where);
}

}  // namespace exa
