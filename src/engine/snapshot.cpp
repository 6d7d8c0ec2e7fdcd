#include "engine/snapshot.h"

#include <xxhash.h>

#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "base/file.h"

namespace exa {
namespace {

constexpr char kMagic[] = "EXAKV002";

struct Head {
  char magic[8];
  PackFingerprint model;
  std::int32_t type;
  PromptPath path;
};

std::string options_of(PromptPath path) {
  switch (path) {
    case PromptPath::kDeterministic:
      return "with --deterministic";
    case PromptPath::kFast:
      return "with --fast-prefill";
    default:
      return "with neither --deterministic nor --fast-prefill";
  }
}

Head head_of(const SnapshotOrigin& origin) {
  Head head{};
  std::memcpy(head.magic, kMagic, sizeof head.magic);
  head.model = origin.model;
  head.type = static_cast<std::int32_t>(origin.type);
  head.path = origin.path;
  return head;
}

class Checksum {
 public:
  Checksum() : state_(XXH3_createState(), XXH3_freeState) {
    if (!state_ || XXH3_64bits_reset(state_.get()) != XXH_OK) {
      throw Error(ErrorKind::kMemory, "no memory for a checksum");
    }
  }
  void add(std::span<const std::byte> bytes) { XXH3_64bits_update(state_.get(), bytes.data(), bytes.size()); }
  std::uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
};

}  // namespace

void save_snapshot(const std::filesystem::path& path, const SnapshotOrigin& origin, const TokenCache& cache) {
  AtomicFile file(path);
  Checksum sum;
  const auto write = [&](std::span<const std::byte> bytes) {
    sum.add(bytes);
    file.write(bytes);
  };
  const Head head = head_of(origin);
  write(std::as_bytes(std::span(&head, 1)));
  cache.save(write);
  const std::uint64_t value = sum.value();
  file.write(std::as_bytes(std::span(&value, 1)));
  file.commit();
}

void load_snapshot(const std::filesystem::path& path, const SnapshotOrigin& origin, std::int64_t most_tokens,
                   TokenCache& cache) {
  const FileReader file(path);
  const auto refuse = [&path](const std::string& why) {
    throw Error(ErrorKind::kBadInput, why, path.string());
  };
  Checksum sum;
  std::uint64_t at = 0;
  const auto read = [&](std::span<std::byte> bytes) {
    if (file.size_bytes() - at < bytes.size()) refuse("the snapshot ends early");
    file.read_at(at, bytes);
    at += bytes.size();
    sum.add(bytes);
  };
  Head head{};
  read(std::as_writable_bytes(std::span(&head, 1)));
  const Head expected = head_of(origin);
  if (std::memcmp(head.magic, expected.magic, sizeof head.magic) != 0) refuse("it is no snapshot");
  if (head.model != expected.model || head.type != expected.type) {
    refuse("the snapshot is of another model or cache type");
  }
  if (head.path != expected.path) {
    refuse("the snapshot was computed " + options_of(head.path) + ", expected " + options_of(expected.path));
  }
  try {
    cache.load(read, most_tokens);
    const std::uint64_t value = sum.value();
    std::uint64_t stored = 0;
    read(std::as_writable_bytes(std::span(&stored, 1)));
    if (stored != value || at != file.size_bytes()) refuse("the snapshot is broken");
  } catch (const Error& error) {
    cache.clear();
    if (error.where().empty()) throw Error(error.kind(), error.message(), path.string());
    throw;
  }
}

}  // namespace exa
