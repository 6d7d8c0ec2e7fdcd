#include "engine/sight.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/threads.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
const fs::path kData = fs::path(EXAONE_SOURCE_DIR) / "tests/data";
const fs::path kTower = kData / "models/tiny-vision";
constexpr std::int64_t kHidden = 128;  // tiny-exaone4_5's

std::shared_ptr<const std::string> file_of(const std::string& name) {
  std::ifstream stream(kData / "images" / name, std::ios::binary);
  return std::make_shared<const std::string>(std::istreambuf_iterator<char>(stream),
                                             std::istreambuf_iterator<char>());
}

struct Eyes {
  explicit Eyes(const Sight::Options& options = {})
      : checkpoint(Checkpoint::open(kTower)),
        sight(Sight::open(checkpoint, {}, kHidden, options)),
        pool(2),
        backend(make_cpu_backend(pool)) {}

  Picture look(const std::string& name) { return sight->look(file_of(name), name); }
  // Counts all that was encoded and found.
  std::optional<std::vector<PictureRows>> rows(const std::vector<Picture>& pictures,
                                               const std::function<bool()>& cancelled = {}) {
    std::vector<PlacedPicture> placed;
    for (const Picture& picture : pictures) placed.push_back({picture, 0});
    const auto seen = sight->see(placed, *backend, cancelled);
    if (!seen) return std::nullopt;
    n_encoded += seen->n_encoded;
    n_found += seen->n_found;
    std::vector<PictureRows> all;
    for (const PlacedPicture& each : placed) all.push_back(each.rows);
    return all;
  }

  Checkpoint checkpoint;
  std::int64_t n_encoded = 0;
  std::int64_t n_found = 0;
  std::unique_ptr<Sight> sight;
  ThreadPool pool;
  std::unique_ptr<Backend> backend;
};

TEST(Sight, KnowsTheTokensBeforeItDecodes) {
  Eyes eyes;
  const Picture picture = eyes.look("gif-large.gif");  // 150 x 120
  EXPECT_EQ(picture.n_tokens, 5 * 4);
  // The header is all that is looked at.
  auto cut = std::make_shared<const std::string>(file_of("gif-large.gif")->substr(0, 200));
  EXPECT_EQ(eyes.sight->look(cut, "X").n_tokens, 20);
  EXPECT_THROW(eyes.rows({eyes.sight->look(cut, "X")}), Error);
}

TEST(Sight, EncodesEachContentOnce) {
  Eyes eyes;
  const std::vector<Picture> pictures = {eyes.look("gif-large.gif"), eyes.look("png-rgba.png"),
                                         eyes.look("gif-large.gif")};
  const auto first = eyes.rows(pictures);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ((*first)[0]->size(), static_cast<std::size_t>(20 * kHidden));
  EXPECT_EQ((*first)[0], (*first)[2]);
  EXPECT_EQ(eyes.n_encoded, 2);
  const auto again = eyes.rows({eyes.look("png-rgba.png"), eyes.look("gif-large.gif")});
  EXPECT_EQ((*again)[1], (*first)[0]);
  EXPECT_EQ(eyes.n_encoded, 2);
  EXPECT_EQ(eyes.n_found, 2);
}

TEST(Sight, TheCacheIsBounded) {
  Sight::Options options;
  options.cache_bytes = 27 * kHidden * sizeof(float);
  Eyes eyes(options);
  eyes.rows({eyes.look("gif-large.gif")});  // 20 tokens
  eyes.rows({eyes.look("png-rgba.png")});   // 6 tokens
  EXPECT_EQ(eyes.sight->cached_bytes(), 26 * kHidden * sizeof(float));
  eyes.rows({eyes.look("png-interlaced.png")});  // 6 more: the oldest goes
  EXPECT_EQ(eyes.sight->cached_bytes(), 12 * kHidden * sizeof(float));
  eyes.rows({eyes.look("png-rgba.png")});
  EXPECT_EQ(eyes.n_encoded, 3);
  eyes.rows({eyes.look("gif-large.gif")});
  EXPECT_EQ(eyes.n_encoded, 4);
}

TEST(Sight, StopsWhenAsked) {
  Eyes eyes;
  const std::vector<Picture> pictures = {eyes.look("gif-large.gif")};
  int n_asked = 0;
  EXPECT_FALSE(eyes.rows(pictures, [&] { return ++n_asked > 2; }).has_value());
  EXPECT_EQ(eyes.n_encoded, 0);
  EXPECT_TRUE(eyes.rows(pictures).has_value());
}

TEST(Sight, ABadPictureEndsItsOwnRequestOnly) {
  Eyes eyes;
  for (const char* name : {"bad-animated.png", "bad-animated.webp"}) EXPECT_THROW(eyes.look(name), Error);
  EXPECT_THROW(eyes.sight->look(std::make_shared<const std::string>("text"), "X"), Error);
  std::string half = *file_of("jpeg-420.jpg");
  half.resize(half.size() * 3 / 4);
  const Picture broken = eyes.sight->look(std::make_shared<const std::string>(half), "half.jpg");
  try {
    eyes.rows({broken});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.where(), "half.jpg");
  }
  EXPECT_TRUE(eyes.rows({eyes.look("jpeg-420.jpg")}).has_value());
}

TEST(Sight, AVideoIsNoPicture) {
  Eyes eyes;
  const Picture picture = eyes.look("png-rgba.png");
  const Picture video = eyes.sight->look_at_video(
      {file_of("png-rgba.png"), file_of("png-interlaced.png"), file_of("png-gamma.png")}, "X");
  EXPECT_EQ(video.grid.t, 2);
  EXPECT_EQ(video.n_tokens, 2 * picture.n_tokens);
  EXPECT_NE(eyes.sight->look_at_video({file_of("png-rgba.png")}, "X").hash, picture.hash);
  EXPECT_EQ((*eyes.rows({video}))[0]->size(), static_cast<std::size_t>(video.n_tokens * kHidden));
  EXPECT_THROW(eyes.sight->look_at_video({}, "X"), Error);
  EXPECT_THROW(eyes.sight->look_at_video({file_of("png-rgba.png"), file_of("gif-large.gif")}, "X"), Error);
}

TEST(Sight, LimitsOfTokens) {
  Sight::Options options;
  options.max_tokens = 6;
  EXPECT_LE(Eyes(options).look("gif-large.gif").n_tokens, 6);
  options = {};
  options.min_tokens = 50;
  EXPECT_GE(Eyes(options).look("gif-large.gif").n_tokens, 50);
  options.max_tokens = 40;
  EXPECT_THROW(Eyes{options}, Error);
}

TEST(Sight, ATowerOfAnotherModelIsRefused) {
  EXPECT_THROW(Sight::open(Checkpoint::open(kTower), {}, 64, {}), Error);
  const fs::path folder = kData / "models/tiny-exaone4";
  const Checkpoint blind = Checkpoint::open(folder);
  EXPECT_EQ(Sight::open(blind, {}, 64, {}), nullptr);
  EXPECT_THROW(Sight::open(blind, folder / "tiny-exaone4.Q8_0.gguf", 64, {}), Error);
  EXPECT_NE(Sight::open(blind, kTower, kHidden, {}), nullptr);
}

TEST(Placeholders, BecomeAsManyAsTheirPicturesHaveTokens) {
  Eyes eyes;
  const Picture small = eyes.look("png-rgba.png");
  const Picture large = eyes.look("gif-large.gif");
  const Picture video = eyes.sight->look_at_video({file_of("png-rgba.png")}, "X");
  std::vector<TokenId> ids = {1, 67, 2, 67, 68, 3};
  const std::vector<Picture> pictures = {small, large, video};
  std::vector<PlacedPicture> places = expand_placeholders(ids, 67, 68, pictures);
  ASSERT_EQ(ids.size(), 3U + 6 + 20 + 6);
  EXPECT_EQ(places[0].first, 1);
  EXPECT_EQ(places[1].first, 8);
  EXPECT_EQ(places[2].first, 28);
  EXPECT_EQ(ids[27], 67);
  EXPECT_EQ(ids[28], 68);
  EXPECT_EQ(ids.back(), 3);

  const std::vector<TokenKey> keys = token_keys(ids, places);
  EXPECT_EQ(keys[0], 1U);
  EXPECT_NE(keys[1], keys[2]);
  EXPECT_NE(keys[1], keys[8]);
  EXPECT_NE(keys[1], 67U);

  places[0].rows = std::make_shared<const std::vector<float>>(6 * kHidden);
  places[1].rows = std::make_shared<const std::vector<float>>(20 * kHidden);
  const std::vector<GivenRow> given = given_rows(places, 5, 6);  // tokens 5 … 10
  ASSERT_EQ(given.size(), 5U);
  EXPECT_EQ(given[0].row, 0);
  EXPECT_EQ(given[0].values, places[0].rows->data() + 4 * kHidden);
  EXPECT_EQ(given[2].row, 3);
  EXPECT_EQ(given[2].values, places[1].rows->data());
}

TEST(Placeholders, MustMatchThePictures) {
  Eyes eyes;
  const std::vector<Picture> one = {eyes.look("png-rgba.png")};
  const std::vector<std::vector<TokenId>> wrong = {{1, 2}, {67, 67}, {68}};
  for (std::vector<TokenId> ids : wrong) {
    EXPECT_THROW(expand_placeholders(ids, 67, 68, one), Error);
  }
  std::vector<TokenId> none = {1, 67};
  EXPECT_THROW(expand_placeholders(none, 67, 68, {}), Error);
  EXPECT_NO_THROW(expand_placeholders(none, std::nullopt, std::nullopt, {}));
}

}  // namespace
}  // namespace exa
