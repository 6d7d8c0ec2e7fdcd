// Pictures decoded by a process that can do nothing else: a hostile file at worst ends its own decoder.
//
// The jail is a small process forked when it is made, before weights and threads exist; for each picture it
// forks a worker that gives up its rights (seccomp: read, write and memory only; rlimits) and then decodes.
// The worker sees the picture's bytes and nothing of what the program learned since. Ownership and threads:
// an ImageJail owns its process and may be used from several threads at once. Source: seccomp(2),
// setrlimit(2), unix(7); promise G35 of the reliability specification.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <mutex>
#include <span>
#include <string>

#include "images/image.h"

namespace exa {

enum class ImageJailMode : std::uint8_t {
  kAuto,  // a worker with as few rights as the system lets us take away
  kOn,    // a worker under seccomp, or an error
  kOff,   // decode in this process
};

class ImageJail {
 public:
  // What a worker does with a picture; tests plant their own.
  using Decoder = std::function<Image(std::span<const std::byte> file, const ImageHeader& header,
                                      const std::string& where)>;

  struct Limits {
    int cpu_seconds = 10;
    int wall_milliseconds = 20'000;
    std::size_t memory_bytes = std::size_t{1} << 30;
  };

  // Errors: kIo where no process can be made.
  explicit ImageJail(ImageJailMode mode) : ImageJail(mode, Limits{}, decode_image) {}
  ImageJail(ImageJailMode mode, Limits limits, Decoder decoder);
  ~ImageJail();
  ImageJail(const ImageJail&) = delete;
  ImageJail& operator=(const ImageJail&) = delete;

  // As decode_image. Errors: decode_image's; kBadInput where the worker died or took too long; kIo;
  // kUnsupported where kOn finds no seccomp.
  Image decode(std::span<const std::byte> file, const ImageHeader& header, const std::string& where);

 private:
  void start();
  void stop();

  ImageJailMode mode_;
  Limits limits_;
  Decoder decoder_;
  std::mutex mutex_;  // of the socket
  int socket_ = -1;   // to the jail's process
  pid_t process_ = -1;
};

// Takes the process's rights away for good, as a worker does: it may read and write what is open, manage
// memory and exit; anything else kills it. False where the system has no seccomp.
bool renounce_rights();

}  // namespace exa
