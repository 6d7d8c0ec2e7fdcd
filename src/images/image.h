// Pictures: JPEG, PNG, WebP and GIF files as RGB pixels, the way Pillow's convert("RGB") after exif_transpose
// shows them. What a file is, its content says, never its name.
//
// Sizes are read from the header and limited before anything is decoded. Alpha is dropped, not composited;
// samples of 16 bits keep their high byte; CMYK is taken as Adobe writes it; of a GIF the first frame counts;
// moving pictures (APNG, animated WebP) are refused. Ownership and threads: values; the functions are pure
// and may run on several threads. Source: ISO 10918-1, the PNG and WebP container specifications, GIF89a,
// Exif 2.3; Pillow's conversions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace exa {

struct ImageLimits {
  std::uint64_t max_file_bytes = 10'000'000;
  std::uint64_t max_pixels = 36'000'000;
};

enum class ImageFormat : std::uint8_t { kJpeg, kPng, kWebp, kGif };
// "JPEG", "PNG", "WebP", "GIF"
std::string_view name(ImageFormat format);

struct ImageHeader {
  ImageFormat format;
  std::uint32_t stored_width;  // before orientation, both at least 1
  std::uint32_t stored_height;
  int orientation;  // Exif: 1 (upright) … 8

  bool turned() const { return orientation >= 5; }
  std::uint32_t width() const { return turned() ? stored_height : stored_width; }
  std::uint32_t height() const { return turned() ? stored_width : stored_height; }
};

struct Image {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> rgb;  // [height, width, 3]
};

// where: what errors blame, e.g. the file's name. Errors: kBadInput for what is no picture, is cut off, is
// empty or exceeds a limit; kUnsupported for moving pictures and for what the formats allow but nobody
// decodes.
ImageHeader read_image_header(std::span<const std::byte> file, const ImageLimits& limits,
                              const std::string& where);

// Upright pixels of header.width() x header.height(). `header` is what read_image_header said about `file`.
// Errors: kBadInput (broken or cut off), kUnsupported, kMemory.
Image decode_image(std::span<const std::byte> file, const ImageHeader& header, const std::string& where);

}  // namespace exa
