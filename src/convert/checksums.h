// Sums over a model's files and tensors, and a scan for numbers that are none.
//
// Ownership and threads: SHA-256 and XXH3 states belong to one thread; checksum_model starts its own threads.
// Source: FIPS 180-4 (libcrypto), xxHash's XXH3 64 bit (libxxhash).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"

namespace exa {

// Both sums of a stream of bytes, as hexadecimal digits.
class StreamSums {
 public:
  StreamSums();
  ~StreamSums();
  StreamSums(const StreamSums&) = delete;
  StreamSums& operator=(const StreamSums&) = delete;

  void update(std::span<const std::byte> bytes);
  struct Result {
    std::string xxh3;    // 16 digits
    std::string sha256;  // 64 digits
  };
  // Ends the stream.
  Result finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct FileSums {
  std::string path;
  std::uint64_t size_bytes;
  StreamSums::Result sums;
};

struct TensorSums {
  std::string name;
  StreamSums::Result sums;
  bool scanned = false;  // false for types whose blocks this program does not decode
  std::uint64_t n_nan = 0;
  std::uint64_t n_inf = 0;
  // Where the file carries a CRC32C: whether the bytes still have it.
  std::optional<bool> crc32c_holds;
};

// What is said of sums that another program copied along.
inline constexpr std::string_view kForeignSums =
    "the CRC32C that the file carries are of other tensors: another program rewrote it, nothing is compared";

struct ModelSums {
  bool foreign_crc32c = false;  // as Checkpoint::has_foreign_crc32c
  std::vector<FileSums> files;
  std::vector<TensorSums> tensors;  // the checkpoint's order
};

// Reads everything twice, once as files and once as tensors. Errors: kIo, kBadInput (a file was cut).
ModelSums checksum_model(const Checkpoint& checkpoint, int n_threads);

}  // namespace exa
