// The engine's eyes: pictures of a request become rows of the embedding space, each content once.
//
// A picture's number of tokens is known from its header. Decoding (in a jail) and encoding wait until its
// rows are needed; what was encoded stays in a bounded cache, so that a history that is sent again costs
// nothing. The tower's weights are read with the first picture.
// Ownership and threads: Sight owns weights, cache and jail, and the tower's file where that is not the
// model's; any thread may look, one at a time sees.
// Source: exaone-models specification 4.3, 4.4 (placeholders, positions).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/token_cache.h"
#include "formats/checkpoint.h"
#include "images/image.h"
#include "images/jail.h"
#include "kernels/backend.h"
#include "model/memory_need.h"
#include "model/vision.h"
#include "text/tokenizer.h"

namespace exa {

using PictureHash = std::array<std::uint8_t, 32>;  // SHA-256

// A still picture, or the frames of a video, as far as headers tell.
struct Picture {
  std::vector<std::shared_ptr<const std::string>> files;  // encoded; one, or a video's frames
  std::vector<ImageHeader> headers;
  bool video = false;
  VisionGrid grid;
  std::int64_t n_tokens = 0;
  PictureHash hash{};
  std::string where;  // for errors
};

using PictureRows = std::shared_ptr<const std::vector<float>>;  // [n_tokens, hidden]

// A picture whose tokens stand in a prompt from `first` on.
struct PlacedPicture {
  Picture picture;
  std::int64_t first = 0;
  PictureRows rows = nullptr;  // null: not asked for

  std::int64_t end() const { return first + picture.n_tokens; }
};

class Sight {
 public:
  struct Options {
    std::int64_t min_tokens = 0;  // of a picture; 0: the model's
    std::int64_t max_tokens = 0;
    ImageJailMode jail = ImageJailMode::kAuto;
    std::size_t cache_bytes = std::size_t{256} << 20;
  };

  // The tower in `mmproj`, or in the model's own checkpoint, which outlives this, where that is empty;
  // nothing where neither has one. Made before the engine's threads and weights: the jail's process is forked
  // here. hidden: the text model's. Errors: Checkpoint::open's, read_vision_config's; kBadInput where the
  // tower is another model's; kUnsupported where mmproj holds no tower.
  static std::unique_ptr<Sight> open(const Checkpoint& model, const std::filesystem::path& mmproj,
                                     std::int64_t hidden, const Options& options);

  VisionSource source() const { return {checkpoint_, config_}; }

  // Errors: read_image_header's and image_grid's.
  Picture look(std::shared_ptr<const std::string> file, const std::string& where) const;
  Picture look_at_video(std::vector<std::shared_ptr<const std::string>> frames,
                        const std::string& where) const;

  // How many different pictures were encoded, and how many were found in the cache.
  struct Seen {
    std::int64_t n_encoded = 0;
    std::int64_t n_found = 0;
  };
  // Fills the rows of each picture, out of the cache or encoded now; nothing where `cancelled` said so
  // meanwhile. Errors: ImageJail::decode's, load_vision_weights'.
  std::optional<Seen> see(std::span<PlacedPicture> pictures, Backend& backend,
                          const std::function<bool()>& cancelled);

  std::size_t cached_bytes() const { return cached_bytes_; }

 private:
  Sight(std::unique_ptr<const Checkpoint> own, const Checkpoint& tower, VisionConfig config,
        const Options& options);

  VisionInput decode(const Picture& picture);
  void remember(const PictureHash& hash, PictureRows rows);

  struct Entry {
    PictureRows rows;
    std::list<PictureHash>::iterator use;
  };

  ImageJail jail_;
  std::unique_ptr<const Checkpoint> own_;  // of a tower beside the model
  const Checkpoint& checkpoint_;
  VisionConfig config_;
  std::size_t most_cached_bytes_;
  std::optional<VisionWeights> weights_;
  std::map<PictureHash, Entry> cache_;
  std::list<PictureHash> uses_;  // latest first
  std::size_t cached_bytes_ = 0;
};

// Each placeholder in ids (image for a still picture, video for a video, in order of appearance) becomes as
// many as its picture has tokens. Errors: kBadInput where placeholders and pictures do not match.
std::vector<PlacedPicture> expand_placeholders(std::vector<TokenId>& ids, std::optional<TokenId> image,
                                               std::optional<TokenId> video, std::vector<Picture> pictures);

// One key a token of the prompt.
std::vector<TokenKey> token_keys(std::span<const TokenId> ids, std::span<const PlacedPicture> pictures);

// The rows of tokens [first, first + n) that pictures give; those of pictures among them have been filled.
std::vector<GivenRow> given_rows(std::span<const PlacedPicture> pictures, std::int64_t first, std::int64_t n);

}  // namespace exa
