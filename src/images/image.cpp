#include "images/image.h"

#include <new>
#include <utility>

#include "base/error.h"
#include "images/decoders.h"

namespace exa {
namespace {

// Pixel (x, y) of the upright picture in the stored one, by Exif orientation.
std::pair<std::size_t, std::size_t> stored_place(int orientation, std::size_t x, std::size_t y,
                                                 std::size_t width, std::size_t height) {
  switch (orientation) {
    case 2:
      return {width - 1 - x, y};
    case 3:
      return {width - 1 - x, height - 1 - y};
    case 4:
      return {x, height - 1 - y};
    case 5:
      return {y, x};
    case 6:
      return {y, height - 1 - x};
    case 7:
      return {width - 1 - y, height - 1 - x};
    case 8:
      return {width - 1 - y, x};
    default:
      return {x, y};
  }
}

std::vector<std::uint8_t> upright(std::vector<std::uint8_t> stored, const ImageHeader& header) {
  if (header.orientation == 1) return stored;
  const std::size_t stored_width = header.stored_width;
  std::vector<std::uint8_t> rgb(stored.size());
  std::uint8_t* out = rgb.data();
  for (std::size_t y = 0; y < header.height(); ++y) {
    for (std::size_t x = 0; x < header.width(); ++x, out += 3) {
      const auto [from_x, from_y] =
          stored_place(header.orientation, x, y, stored_width, header.stored_height);
      const std::uint8_t* const from = stored.data() + 3 * (from_y * stored_width + from_x);
      for (int c = 0; c < 3; ++c) out[c] = from[c];
    }
  }
  return rgb;
}

}  // namespace

Image decode_image(std::span<const std::byte> file, const ImageHeader& header, const std::string& where) {
  try {
    std::vector<std::uint8_t> rgb(std::size_t{3} * header.stored_width * header.stored_height);
    switch (header.format) {
      case ImageFormat::kJpeg:
        decode_jpeg(file, header, rgb, where);
        break;
      case ImageFormat::kPng:
        decode_png(file, header, rgb, where);
        break;
      case ImageFormat::kWebp:
        decode_webp(file, header, rgb, where);
        break;
      case ImageFormat::kGif:
        decode_gif(file, header, rgb, where);
        break;
    }
    return {header.width(), header.height(), upright(std::move(rgb), header)};
  } catch (const std::bad_alloc&) {
    throw Error(ErrorKind::kMemory, "the picture does not fit into memory", where);
  }
}

}  // namespace exa
