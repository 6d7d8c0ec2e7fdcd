#include "images/image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "images/image_files.h"

namespace exa::test {
namespace {

namespace fs = std::filesystem;

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::string_view text) {
  const auto* const first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

Bytes big_endian(std::uint32_t value) {
  return {std::byte(value >> 24), std::byte(value >> 16 & 255), std::byte(value >> 8 & 255),
          std::byte(value & 255)};
}

void append(Bytes& to, const Bytes& more) {
  to.insert(to.end(), more.begin(), more.end());
}

Bytes png_chunk(std::string_view kind, const Bytes& body) {
  Bytes chunk = big_endian(static_cast<std::uint32_t>(body.size()));
  append(chunk, bytes_of(kind));
  append(chunk, body);
  append(chunk, big_endian(0));
  return chunk;
}

// A PNG as far as its header goes.
Bytes png_of_size(std::uint32_t width, std::uint32_t height) {
  Bytes header = big_endian(width);
  append(header, big_endian(height));
  append(header, bytes_of(std::string_view("\x08\x02\0\0\0", 5)));
  Bytes file = bytes_of("\x89PNG\r\n\x1A\n");
  append(file, png_chunk("IHDR", header));
  append(file, png_chunk("IDAT", {}));
  append(file, png_chunk("IEND", {}));
  return file;
}

std::optional<Error> refusal(std::span<const std::byte> file) {
  try {
    decode(file, "X");
    return std::nullopt;
  } catch (const Error& error) {
    EXPECT_FALSE(error.message().empty());
    EXPECT_EQ(error.where().substr(0, 1), "X");
    return error;
  }
}

void expect_refusal(std::span<const std::byte> file, ErrorKind kind, std::string_view part) {
  const auto start = std::chrono::steady_clock::now();
  const std::optional<Error> error = refusal(file);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  ASSERT_TRUE(error.has_value()) << "decoded, expected: " << part;
  EXPECT_EQ(static_cast<int>(error->kind()), static_cast<int>(kind)) << error->what();
  EXPECT_NE(std::string_view(error->what()).find(part), std::string_view::npos) << error->what();
}

std::vector<fs::path> good_pictures() {
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(kImages)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("bad-") && !name.ends_with(".rgb.png")) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

TEST(Image, DecodesAsPillowDoes) {
  const std::vector<fs::path> paths = good_pictures();
  ASSERT_GE(paths.size(), 40U);
  for (const fs::path& path : paths) {
    fs::path expected = path;
    expected.replace_extension(".rgb.png");
    const bool lossy = path.extension() == ".jpg" || path.filename() == "webp-alpha.webp";
    EXPECT_LE(most_difference(decode(file_bytes(path)), decode(file_bytes(expected))), lossy ? 1 : 0) << path;
  }
}

TEST(Image, EveryTruncationIsAnError) {
  for (const fs::path& path : good_pictures()) {
    const Bytes file = file_bytes(path);
    for (std::size_t i = 0; i < 64; ++i) {
      // What follows the first frame of a GIF is not looked at.
      if (path.filename() == "gif-animated.gif" && i >= 32) continue;
      const std::size_t length = file.size() * i / 64;
      if (path.extension() == ".gif" && length + 2 >= file.size()) continue;
      EXPECT_TRUE(refusal(std::span(file).first(length)).has_value()) << path << " cut to " << length;
    }
  }
}

TEST(Image, EveryBrokenByteEndsInPixelsOrOneError) {
  for (const fs::path& path : good_pictures()) {
    const Bytes file = file_bytes(path);
    const std::size_t step = std::max<std::size_t>(1, file.size() / 200);
    for (std::size_t i = 0; i < file.size(); i += step) {
      Bytes broken = file;
      broken[i] ^= std::byte(0x40 + i % 64);
      try {
        const Image image = decode(broken);
        EXPECT_EQ(image.rgb.size(), static_cast<std::size_t>(3 * image.width * image.height));
      } catch (const Error& error) {
        EXPECT_NE(static_cast<int>(error.kind()), static_cast<int>(ErrorKind::kInternal)) << error.what();
      }
    }
  }
}

TEST(Image, RefusesWhatIsNoPicture) {
  expect_refusal({}, ErrorKind::kBadInput, "empty");
  expect_refusal(bytes_of("I am a text file, not a picture."), ErrorKind::kBadInput, "found other bytes");
  expect_refusal(bytes_of("BM"), ErrorKind::kBadInput, "JPEG, PNG, WebP or GIF");
  expect_refusal(bytes_of("\xFF\xD8\xFF"), ErrorKind::kBadInput, "truncated");
  expect_refusal(bytes_of("\xFF\xD8\xFF\xD9"), ErrorKind::kBadInput, "expected a scan");
}

TEST(Image, RefusesMovingPictures) {
  expect_refusal(file_bytes(kImages / "bad-animated.png"), ErrorKind::kUnsupported, "moves");
  expect_refusal(file_bytes(kImages / "bad-animated.webp"), ErrorKind::kUnsupported, "moves");
}

TEST(Image, RefusesSizesFromTheHeader) {
  expect_refusal(png_of_size(40000, 25000), ErrorKind::kBadInput, "40000 x 25000");
  expect_refusal(png_of_size(36'000'001, 1), ErrorKind::kBadInput, "at most 36000000");
  expect_refusal(png_of_size(0xFFFFFFFF, 0xFFFFFFFF), ErrorKind::kBadInput, "at most 36000000");
  expect_refusal(png_of_size(0, 5), ErrorKind::kBadInput, "0 x 5");
  expect_refusal(png_of_size(5, 0), ErrorKind::kBadInput, "5 x 0");
  const ImageHeader largest = read_image_header(png_of_size(6000, 6000), {}, "X");
  EXPECT_EQ(largest.width(), 6000U);
  ImageLimits limits;
  limits.max_pixels = 100;
  EXPECT_THROW(read_image_header(png_of_size(101, 1), limits, "X"), Error);
  limits.max_file_bytes = 10;
  EXPECT_THROW(read_image_header(png_of_size(1, 1), limits, "X"), Error);
}

TEST(Image, RefusesThousandsOfChunks) {
  Bytes file = bytes_of("\x89PNG\r\n\x1A\n");
  append(file, png_chunk("IHDR", Bytes(13, std::byte{1})));
  for (int i = 0; i < 20'000; ++i) append(file, png_chunk("tEXt", bytes_of("a")));
  expect_refusal(file, ErrorKind::kBadInput, "more than 10000 chunks");
}

// The scan of a progressive picture, thousands of times.
TEST(Image, RefusesThousandsOfScans) {
  const Bytes good = file_bytes(kImages / "jpeg-444-progressive.jpg");
  const std::byte start[] = {std::byte{0xFF}, std::byte{0xDA}};
  const auto last = std::find_end(good.begin(), good.end(), std::begin(start), std::end(start));
  const Bytes scan(last, good.end() - 2);
  Bytes file(good.begin(), good.end() - 2);
  for (int i = 0; i < 10'000; ++i) append(file, scan);
  append(file, {good.end() - 2, good.end()});
  ASSERT_LE(file.size(), ImageLimits{}.max_file_bytes);
  expect_refusal(file, ErrorKind::kBadInput, "JPEG cannot be decoded");
}

TEST(Image, OrientationTurnsTheSize) {
  const Bytes file = file_bytes(kImages / "jpeg-exif6.jpg");
  const ImageHeader header = read_image_header(file, {}, "X");
  EXPECT_EQ(header.stored_width, 19U);
  EXPECT_EQ(header.width(), 13U);
  EXPECT_EQ(header.height(), 19U);
}

}  // namespace
}  // namespace exa::test
