#include "convert/checksums.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "base/threads.h"
#include "convert/packed_linears.h"
#include "kernels/quant.h"

namespace exa {
namespace {

constexpr std::uint64_t kReadBytes = std::uint64_t{1} << 20;

std::string hex(std::span<const unsigned char> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

void scan(std::span<const float> values, TensorSums& sums) {
  for (const float value : values) {
    sums.n_nan += std::isnan(value) ? 1 : 0;
    sums.n_inf += std::isinf(value) ? 1 : 0;
  }
}

FileSums sum_file(const Checkpoint::File& file) {
  const FileReader reader(file.path);
  StreamSums sums;
  std::vector<std::byte> chunk;
  for (std::uint64_t at = 0; at < reader.size_bytes(); at += chunk.size()) {
    chunk.resize(static_cast<std::size_t>(std::min(kReadBytes, reader.size_bytes() - at)));
    reader.read_at(at, chunk);
    sums.update(chunk);
  }
  return {file.path.string(), reader.size_bytes(), sums.finish()};
}

TensorSums sum_tensor(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  TensorSums result;
  result.name = tensor.name;
  const bool fp8 = tensor.type == DType::kF8E4M3;
  result.scanned = fp8 || can_decode(tensor.type);
  const DTypeTraits& type = traits(tensor.type);
  const std::uint64_t step = kReadBytes / type.block_bytes * type.block_bytes;
  StreamSums sums;
  std::uint32_t crc = 0;
  std::vector<std::byte> chunk;
  std::vector<float> values;
  for (std::uint64_t at = 0; at < tensor.n_bytes; at += chunk.size()) {
    chunk.resize(static_cast<std::size_t>(std::min(step, tensor.n_bytes - at)));
    checkpoint.read(tensor, at, chunk);
    sums.update(chunk);
    crc = crc32c(crc, chunk);
    if (!result.scanned) continue;
    values.resize(chunk.size() / type.block_bytes * type.block_size);
    if (fp8) {
      for (std::size_t i = 0; i < chunk.size(); ++i) {
        values[i] = f8_e4m3_values()[std::to_integer<std::size_t>(chunk[i])];
      }
    } else {
      decode_row(tensor.type, chunk.data(), values.size(), values.data());
    }
    scan(values, result);
  }
  result.sums = sums.finish();
  if (const auto stated = checkpoint.crc32c(tensor)) result.crc32c_holds = *stated == crc;
  return result;
}

}  // namespace

struct StreamSums::State {
  XXH3_state_t* xxh3 = XXH3_createState();
  EVP_MD_CTX* sha256 = EVP_MD_CTX_new();
  ~State() {
    XXH3_freeState(xxh3);
    EVP_MD_CTX_free(sha256);
  }
};

StreamSums::StreamSums() : state_(std::make_unique<State>()) {
  if (!state_->xxh3 || !state_->sha256 || XXH3_64bits_reset(state_->xxh3) != XXH_OK ||
      EVP_DigestInit_ex(state_->sha256, EVP_sha256(), nullptr) != 1) {
    throw Error(ErrorKind::kMemory, "cannot start a checksum", "checksums");
  }
}

StreamSums::~StreamSums() = default;

void StreamSums::update(std::span<const std::byte> bytes) {
  if (XXH3_64bits_update(state_->xxh3, bytes.data(), bytes.size()) != XXH_OK ||
      EVP_DigestUpdate(state_->sha256, bytes.data(), bytes.size()) != 1) {
    throw Error(ErrorKind::kInternal, "cannot continue a checksum", "checksums");
  }
}

StreamSums::Result StreamSums::finish() {
  XXH64_canonical_t canonical;
  XXH64_canonicalFromHash(&canonical, XXH3_64bits_digest(state_->xxh3));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned n = 0;
  if (EVP_DigestFinal_ex(state_->sha256, digest.data(), &n) != 1) {
    throw Error(ErrorKind::kInternal, "cannot finish a checksum", "checksums");
  }
  return {hex(canonical.digest), hex(std::span(digest).first(n))};
}

ModelSums checksum_model(const Checkpoint& checkpoint, int n_threads) {
  const std::vector<Checkpoint::File> files = checkpoint.files();
  const auto tensors = checkpoint.tensors();
  ModelSums model{checkpoint.has_foreign_crc32c(), std::vector<FileSums>(files.size()),
                  std::vector<TensorSums>(tensors.size())};
  std::atomic<std::size_t> next = 0;
  FirstError error;
  ThreadPool pool(n_threads);
  pool.parallel([&](int, int) {
    try {
      for (std::size_t i = next++; i < files.size() + tensors.size(); i = next++) {
        if (i < files.size()) {
          model.files[i] = sum_file(files[i]);
        } else {
          model.tensors[i - files.size()] = sum_tensor(checkpoint, tensors[i - files.size()]);
        }
      }
    } catch (...) {
      error.capture();
      next = files.size() + tensors.size();
    }
  });
  error.rethrow();
  return model;
}

}  // namespace exa
