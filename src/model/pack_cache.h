// Packed weights kept in a file, so that the next start maps them instead of packing them again.
//
// A file holds a header (which checkpoint it was made from, which matrix lies where, a checksum of each
// piece) and, from a multiple of the huge page size on, the bytes of a weight region. It appears under its
// final name whole or not at all, is mapped read-only and shared between processes, and is only ever
// unlinked, never cut. It is its owner's alone. Nothing in it is believed before it was checked: the header
// has a checksum of its own, each piece is read against its checksum before it is used, and load_weights
// packs one row block of each matrix again. A file that does not answer is removed, and the weights are
// packed as if it were not there. One that somebody cuts while it is in use ends the process in a sentence
// (Region::end_process_on_loss). Ownership and threads: a value that knows a folder; const members may be
// called from several threads. Source: kernels specification 3.11; promises G10 and G11 of the reliability
// specification; the XDG base directory specification.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "base/threads.h"
#include "formats/checkpoint.h"

namespace exa {

// A packed matrix within a weight region.
struct PackEntry {
  std::string name;
  std::uint64_t offset;  // a multiple of 64
  std::uint64_t n_bytes;
};

// What a checkpoint's packed bytes are made from, in 128 bits: size, inode and times of its files, names,
// types, shapes and places of its tensors, and the layout that they are packed in.
using PackFingerprint = std::array<std::byte, 16>;
// layout: Backend::layout(). Errors: kIo where a file of the checkpoint is gone.
PackFingerprint pack_fingerprint(const Checkpoint& checkpoint, std::string_view layout);

class PackCache {
 public:
  struct Limits {
    std::uint64_t least_bytes = std::uint64_t{64}
                                << 20;  // smaller packs are made faster than a file is opened
    std::uint64_t most_bytes = 0;       // of all files; 0: a quarter of what would be free without them
  };
  explicit PackCache(std::filesystem::path folder) : PackCache(std::move(folder), Limits()) {}
  PackCache(std::filesystem::path folder, Limits limits) : folder_(std::move(folder)), limits_(limits) {}
  // $XDG_CACHE_HOME/exaone or ~/.cache/exaone; nothing where neither variable holds an absolute path.
  static std::optional<PackCache> of_user();

  struct Hit {
    std::shared_ptr<Region> region;
    std::vector<PackEntry> entries;
  };
  // The weights of this fingerprint, or nothing; all threads of the pool read the file through to check it.
  // Marks the file as used now; removes a broken one. Never throws but for lack of memory.
  std::optional<Hit> find(const PackFingerprint& fingerprint, ThreadPool& pool) const;
  // Removes the file of this fingerprint.
  void remove(const PackFingerprint& fingerprint) const;

  // Writes a file piece by piece.
  class Writer {
   public:
    virtual ~Writer() = default;
    // Writes the next piece; false where none is left. Errors: kIo.
    virtual bool step() = 0;
    // Flushes the file to the disk and gives it its name. Errors: kIo.
    virtual void commit() = 0;
  };
  // Makes room first: all files together take at most a quarter of what would be free without them, the
  // longest unused go. Nothing where the pack is too small or too large for that. `region` outlives the
  // writer. Errors: kIo.
  std::unique_ptr<Writer> write(const PackFingerprint& fingerprint, std::span<const PackEntry> entries,
                                const Region& region) const;
  // Puts the file of this fingerprint in place of the region's anonymous memory, whose bytes it was written
  // from, in checked pieces; between() is called before each. False where it is not there, a piece is another
  // or the system refuses; what was replaced until then stays.
  bool adopt(const PackFingerprint& fingerprint, Region& region, const std::function<void()>& between) const;

 private:
  std::filesystem::path path(const PackFingerprint& fingerprint) const;
  bool make_room(std::uint64_t n_bytes) const;

  std::filesystem::path folder_;
  Limits limits_;
};

}  // namespace exa
