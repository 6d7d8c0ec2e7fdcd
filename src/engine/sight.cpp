#include "engine/sight.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace exa {
namespace {

struct Cancelled {};

std::span<const std::byte> bytes_of(const std::string& file) {
  return std::as_bytes(std::span(file));
}

class Hasher {
 public:
  Hasher() : context_(EVP_MD_CTX_new()) {
    if (!context_ || EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) != 1) fail();
  }
  ~Hasher() { EVP_MD_CTX_free(context_); }
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void add(std::span<const std::byte> bytes) {
    if (EVP_DigestUpdate(context_, bytes.data(), bytes.size()) != 1) fail();
  }
  PictureHash finish() {
    PictureHash hash;
    if (EVP_DigestFinal_ex(context_, hash.data(), nullptr) != 1) fail();
    return hash;
  }

 private:
  [[noreturn]] static void fail() { throw Error(ErrorKind::kInternal, "SHA-256 is not to be had"); }

  EVP_MD_CTX* context_;
};

// A video of one frame is not the picture of it: the number and lengths of files are part of the content.
PictureHash hash_of(const Picture& picture) {
  Hasher hasher;
  const std::uint64_t kind = picture.video ? 1 : 0;
  hasher.add(std::as_bytes(std::span(&kind, 1)));
  for (const auto& file : picture.files) {
    const std::uint64_t n_bytes = file->size();
    hasher.add(std::as_bytes(std::span(&n_bytes, 1)));
    hasher.add(bytes_of(*file));
  }
  return hasher.finish();
}

}  // namespace

std::unique_ptr<Sight> Sight::open(const Checkpoint& model, const std::filesystem::path& mmproj,
                                   std::int64_t hidden, const Options& options) {
  if (mmproj.empty() && !has_vision(model)) return nullptr;
  std::unique_ptr<const Checkpoint> own;
  if (!mmproj.empty()) own = std::make_unique<const Checkpoint>(Checkpoint::open(mmproj));
  const Checkpoint& tower = own ? *own : model;
  const std::string where = tower.path().string();
  if (!has_vision(tower)) {
    throw Error(ErrorKind::kUnsupported,
                "the file has no vision tower, expected an mmproj GGUF of EXAONE 4.5", where);
  }
  VisionConfig config = read_vision_config(tower);
  if (config.out_hidden != hidden) {
    throw Error(ErrorKind::kBadInput,
                "the vision tower gives rows of " + std::to_string(config.out_hidden) +
                    " values, expected the text model's hidden = " + std::to_string(hidden),
                where);
  }
  set_image_tokens(config, options.min_tokens, options.max_tokens);
  return std::unique_ptr<Sight>(new Sight(std::move(own), tower, std::move(config), options));
}

Sight::Sight(std::unique_ptr<const Checkpoint> own, const Checkpoint& tower, VisionConfig config,
             const Options& options)
    : jail_(options.jail),
      own_(std::move(own)),
      checkpoint_(tower),
      config_(std::move(config)),
      most_cached_bytes_(options.cache_bytes) {}

Picture Sight::look(std::shared_ptr<const std::string> file, const std::string& where) const {
  Picture picture;
  picture.where = where;
  picture.headers.push_back(read_image_header(bytes_of(*file), {}, where));
  picture.grid = image_grid(picture.headers[0].width(), picture.headers[0].height(), config_, where);
  picture.n_tokens = n_vision_tokens(picture.grid, config_);
  picture.files.push_back(std::move(file));
  picture.hash = hash_of(picture);
  return picture;
}

Picture Sight::look_at_video(std::vector<std::shared_ptr<const std::string>> frames,
                             const std::string& where) const {
  constexpr std::size_t kMostFrames = 768;
  if (frames.empty() || frames.size() > kMostFrames) {
    throw Error(ErrorKind::kBadInput,
                "the video has " + std::to_string(frames.size()) + " frames, expected 1 to " +
                    std::to_string(kMostFrames),
                where);
  }
  Picture picture;
  picture.video = true;
  picture.where = where;
  for (const auto& frame : frames) picture.headers.push_back(read_image_header(bytes_of(*frame), {}, where));
  for (const ImageHeader& header : picture.headers) {
    const ImageHeader& first = picture.headers.front();
    if (header.width() == first.width() && header.height() == first.height()) continue;
    throw Error(ErrorKind::kBadInput, "the video's frames differ in size, expected one size", where);
  }
  picture.grid = image_grid(picture.headers[0].width(), picture.headers[0].height(), config_, where);
  const auto n_frames = static_cast<std::int64_t>(frames.size());
  picture.grid.t = (n_frames + VisionConfig::kFramesAPatch - 1) / VisionConfig::kFramesAPatch;
  picture.n_tokens = n_vision_tokens(picture.grid, config_);
  picture.files = std::move(frames);
  picture.hash = hash_of(picture);
  return picture;
}

VisionInput Sight::decode(const Picture& picture) {
  std::vector<Image> frames;
  for (std::size_t i = 0; i < picture.files.size(); ++i) {
    frames.push_back(jail_.decode(bytes_of(*picture.files[i]), picture.headers[i], picture.where));
  }
  return picture.video ? vision_input(std::move(frames), config_, picture.where)
                       : vision_input(std::move(frames.front()), config_, picture.where);
}

std::optional<Sight::Seen> Sight::see(std::span<PlacedPicture> pictures, Backend& backend,
                                      const std::function<bool()>& cancelled) {
  const auto stop_if_cancelled = [&] {
    if (cancelled && cancelled()) throw Cancelled();
  };
  // What this request shows is held here, so that the cache's bound cannot take it away.
  std::map<PictureHash, PictureRows> known;
  Seen seen;
  std::vector<PictureHash> missing;
  std::vector<VisionInput> inputs;
  try {
    for (const auto& [picture, first, rows] : pictures) {
      if (known.contains(picture.hash)) continue;
      if (const auto found = cache_.find(picture.hash); found != cache_.end()) {
        uses_.splice(uses_.begin(), uses_, found->second.use);
        known[picture.hash] = found->second.rows;
        ++seen.n_found;
        continue;
      }
      known[picture.hash] = nullptr;
      missing.push_back(picture.hash);
      inputs.push_back(decode(picture));
      stop_if_cancelled();
    }
    if (!inputs.empty()) {
      if (!weights_) {
        weights_ = load_vision_weights(checkpoint_, backend, Precision::kProduction,
                                       [&](std::uint64_t) { stop_if_cancelled(); });
        weights_->config = config_;
      }
      VisionTower tower(*weights_, backend);
      std::vector<std::vector<float>> encoded = tower.encode(inputs, [&](double) { stop_if_cancelled(); });
      for (std::size_t i = 0; i < encoded.size(); ++i) {
        known[missing[i]] = std::make_shared<const std::vector<float>>(std::move(encoded[i]));
        remember(missing[i], known[missing[i]]);
        ++seen.n_encoded;
      }
    }
  } catch (const Cancelled&) {
    return std::nullopt;
  }
  for (PlacedPicture& placed : pictures) placed.rows = known[placed.picture.hash];
  return seen;
}

void Sight::remember(const PictureHash& hash, PictureRows rows) {
  const auto size = [](const PictureRows& r) { return r->size() * sizeof(float); };
  if (size(rows) > most_cached_bytes_) return;
  cached_bytes_ += size(rows);
  uses_.push_front(hash);
  cache_[hash] = {std::move(rows), uses_.begin()};
  while (cached_bytes_ > most_cached_bytes_) {
    const auto oldest = cache_.find(uses_.back());
    cached_bytes_ -= size(oldest->second.rows);
    cache_.erase(oldest);
    uses_.pop_back();
  }
}

std::vector<PlacedPicture> expand_placeholders(std::vector<TokenId>& ids, std::optional<TokenId> image,
                                               std::optional<TokenId> video, std::vector<Picture> pictures) {
  std::vector<TokenId> expanded;
  std::vector<PlacedPicture> placed;
  std::size_t n_found = 0;
  for (const TokenId id : ids) {
    const bool is_image = image && id == *image;
    const bool is_video = video && id == *video;
    if (!is_image && !is_video) {
      expanded.push_back(id);
      continue;
    }
    if (n_found < pictures.size() && pictures[n_found].video == is_video) {
      Picture& picture = pictures[n_found];
      const auto n_tokens = static_cast<std::size_t>(picture.n_tokens);
      placed.push_back({std::move(picture), static_cast<std::int64_t>(expanded.size())});
      expanded.insert(expanded.end(), n_tokens, id);
    }
    ++n_found;
  }
  if (n_found != pictures.size() || placed.size() != pictures.size()) {
    throw Error(ErrorKind::kBadInput, "the prompt has places for " + std::to_string(n_found) +
                                          " pictures, the request shows " + std::to_string(pictures.size()));
  }
  ids = std::move(expanded);
  return placed;
}

std::vector<TokenKey> token_keys(std::span<const TokenId> ids, std::span<const PlacedPicture> pictures) {
  std::vector<TokenKey> keys;
  keys.reserve(ids.size());
  for (const TokenId id : ids) keys.push_back(static_cast<std::uint32_t>(id));
  for (const auto& [picture, first, rows] : pictures) {
    TokenKey key = 0;
    std::memcpy(&key, picture.hash.data(), sizeof key);
    // Tokens of one picture differ, so that no shift of it looks the same.
    for (std::int64_t k = 0; k < picture.n_tokens; ++k) {
      keys[static_cast<std::size_t>(first + k)] = (key + static_cast<TokenKey>(k)) | kPictureKey;
    }
  }
  return keys;
}

std::vector<GivenRow> given_rows(std::span<const PlacedPicture> pictures, std::int64_t first,
                                 std::int64_t n) {
  std::vector<GivenRow> given;
  for (const PlacedPicture& placed : pictures) {
    const std::int64_t begin = std::max(placed.first, first);
    const std::int64_t end = std::min(placed.end(), first + n);
    if (begin >= end) continue;
    const std::int64_t hidden = static_cast<std::int64_t>(placed.rows->size()) / placed.picture.n_tokens;
    for (std::int64_t p = begin; p < end; ++p) {
      given.push_back({p - first, placed.rows->data() + (p - placed.first) * hidden});
    }
  }
  return given;
}

}  // namespace exa
