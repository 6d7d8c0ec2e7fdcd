#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "images/decoders.h"
#include "images/image.h"

namespace exa {
namespace {

using Bytes = std::span<const std::byte>;

// A PNG of the largest size in chunks of 4 KB has a quarter of this.
constexpr int kMostPngChunks = 10'000;

bool starts_with(Bytes bytes, std::string_view prefix) {
  return bytes.size() >= prefix.size() && std::memcmp(bytes.data(), prefix.data(), prefix.size()) == 0;
}

std::uint32_t big_endian(Bytes bytes) {
  std::uint32_t value = 0;
  for (const std::byte byte : bytes) value = value << 8 | std::to_integer<std::uint32_t>(byte);
  return value;
}

std::uint32_t little_endian(Bytes bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | std::to_integer<std::uint32_t>(bytes[i]);
  return value;
}

Error moving(std::string_view what, const std::string& where) {
  return Error(ErrorKind::kUnsupported, std::string(what) + " moves, expected a still picture", where);
}

ImageHeader png_header(Bytes file, const std::string& where) {
  ByteReader reader(file, where);
  reader.take(8, "PNG signature");
  ImageHeader header{ImageFormat::kPng, 0, 0, 1};
  bool has_data = false;
  for (int n_chunks = 0;; ++n_chunks) {
    if (n_chunks == kMostPngChunks) {
      throw Error(ErrorKind::kBadInput,
                  "PNG of more than " + std::to_string(kMostPngChunks) + " chunks, expected fewer",
                  reader.where());
    }
    const std::uint32_t length = big_endian(reader.take(4, "PNG chunk length"));
    const Bytes type = reader.take(4, "PNG chunk type");
    const Bytes body = reader.take(length, "PNG chunk");
    reader.take(4, "PNG checksum");
    if (n_chunks == 0) {
      if (!starts_with(type, "IHDR") || length != 13) {
        throw Error(ErrorKind::kBadInput, "expected a PNG header chunk first, found another", where);
      }
      header.stored_width = big_endian(body.first(4));
      header.stored_height = big_endian(body.subspan(4, 4));
    } else if (starts_with(type, "acTL")) {
      if (length >= 4 && big_endian(body.first(4)) > 1) throw moving("the PNG", where);
    } else if (starts_with(type, "eXIf")) {
      header.orientation = exif_orientation(body);
    } else if (starts_with(type, "IDAT")) {
      has_data = true;
    } else if (starts_with(type, "IEND")) {
      if (!has_data) throw Error(ErrorKind::kBadInput, "PNG without pixels, expected an IDAT chunk", where);
      return header;
    }
  }
}

bool is_frame_header(std::uint32_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

ImageHeader jpeg_header(Bytes file, const std::string& where) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  ByteReader reader(file, where);
  reader.take(2, "JPEG signature");
  ImageHeader header{ImageFormat::kJpeg, 0, 0, 1};
  std::optional<std::uint32_t> frame;
  std::vector<std::byte> exif;
  for (;;) {
    // Up to the next marker: bytes between segments mean nothing, and a marker may be preceded by any number
    // of FF.
    std::uint32_t marker = 0;
    while (big_endian(reader.take(1, "JPEG marker")) != 0xFF) {
    }
    do {
      marker = big_endian(reader.take(1, "JPEG marker"));
    } while (marker == 0xFF);
    if (marker == 0 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) continue;
    if (marker == 0xD9) throw Error(ErrorKind::kBadInput, "JPEG without pixels, expected a scan", where);
    const std::uint32_t length = Foreign(big_endian(reader.take(2, "JPEG segment length")))
                                     .within(2, 0xFFFF, "JPEG segment length", reader.where());
    const Bytes body = reader.take(length - 2, "JPEG segment");
    if (marker == 0xE1 && starts_with(body, kExif)) {
      exif.insert(exif.end(), body.begin() + kExif.size(), body.end());
    } else if (is_frame_header(marker) && !frame) {
      if (body.size() < 6) throw Error(ErrorKind::kBadInput, "JPEG frame header is cut off", reader.where());
      frame = marker;
      header.stored_height = big_endian(body.subspan(1, 2));
      header.stored_width = big_endian(body.subspan(3, 2));
    } else if (marker == 0xDA) {
      if (!frame) throw Error(ErrorKind::kBadInput, "JPEG scan before its frame header", reader.where());
      header.orientation = exif_orientation(exif);
      return header;
    }
  }
}

// Width and height of a VP8 key frame or of a VP8L image.
void read_webp_size(Bytes type, Bytes body, ImageHeader& header, const std::string& where) {
  const bool lossless = starts_with(type, "VP8L");
  if (body.size() < 10) throw Error(ErrorKind::kBadInput, "WebP picture header is cut off", where);
  if (lossless) {
    const std::uint32_t bits = little_endian(body.subspan(1, 4));
    header.stored_width = (bits & 0x3FFF) + 1;
    header.stored_height = (bits >> 14 & 0x3FFF) + 1;
  } else {
    header.stored_width = little_endian(body.subspan(6, 2)) & 0x3FFF;
    header.stored_height = little_endian(body.subspan(8, 2)) & 0x3FFF;
  }
}

ImageHeader webp_header(Bytes file, const std::string& where) {
  ByteReader reader(file, where);
  reader.take(4, "RIFF signature");
  const std::uint32_t riff_bytes = little_endian(reader.take(4, "RIFF length"));
  ByteReader riff(reader.take(riff_bytes, "WebP"), where, 8);
  riff.take(4, "WebP signature");
  ImageHeader header{ImageFormat::kWebp, 0, 0, 1};
  bool has_canvas = false;
  while (riff.remaining() >= 8) {
    const Bytes type = riff.take(4, "WebP chunk type");
    const std::uint32_t length = little_endian(riff.take(4, "WebP chunk length"));
    const Bytes body = riff.take(length, "WebP chunk");
    if (length % 2 != 0 && riff.remaining() > 0) riff.take(1, "WebP padding");
    if (starts_with(type, "VP8X")) {
      if (length < 10) throw Error(ErrorKind::kBadInput, "WebP header is cut off", riff.where());
      if ((std::to_integer<unsigned>(body[0]) & 2u) != 0) throw moving("the WebP", where);
      header.stored_width = little_endian(body.subspan(4, 3)) + 1;
      header.stored_height = little_endian(body.subspan(7, 3)) + 1;
      has_canvas = true;
    } else if ((starts_with(type, "VP8 ") || starts_with(type, "VP8L")) && !has_canvas) {
      read_webp_size(type, body, header, riff.where());
      return header;
    } else if (starts_with(type, "EXIF")) {
      header.orientation =
          exif_orientation(starts_with(body, std::string_view("Exif\0\0", 6)) ? body.subspan(6) : body);
    }
  }
  if (!has_canvas) throw Error(ErrorKind::kBadInput, "WebP without a picture", where);
  return header;
}

ImageHeader gif_header(Bytes file, const std::string& where) {
  ByteReader reader(file, where);
  reader.take(6, "GIF signature");
  const Bytes screen = reader.take(4, "GIF screen size");
  return {ImageFormat::kGif, little_endian(screen.first(2)), little_endian(screen.subspan(2)), 1};
}

ImageHeader sniff(Bytes file, const std::string& where) {
  if (file.empty()) throw Error(ErrorKind::kBadInput, "the file is empty, expected a picture", where);
  if (starts_with(file, "\xFF\xD8\xFF")) return jpeg_header(file, where);
  if (starts_with(file, "\x89PNG\r\n\x1A\n")) return png_header(file, where);
  if (starts_with(file, "GIF87a") || starts_with(file, "GIF89a")) return gif_header(file, where);
  if (starts_with(file, "RIFF") && file.size() >= 12 && starts_with(file.subspan(8), "WEBP")) {
    return webp_header(file, where);
  }
  throw Error(ErrorKind::kBadInput, "expected a JPEG, PNG, WebP or GIF picture, found other bytes", where);
}

}  // namespace

std::string_view name(ImageFormat format) {
  switch (format) {
    case ImageFormat::kJpeg:
      return "JPEG";
    case ImageFormat::kPng:
      return "PNG";
    case ImageFormat::kWebp:
      return "WebP";
    case ImageFormat::kGif:
      break;
  }
  return "GIF";
}

int exif_orientation(Bytes tiff) {
  constexpr std::uint32_t kOrientation = 0x0112;
  if (tiff.size() < 8) return 1;
  const bool big = starts_with(tiff, "MM");
  if (!big && !starts_with(tiff, "II")) return 1;
  const auto number = [&](std::size_t at, std::size_t n) {
    return big ? big_endian(tiff.subspan(at, n)) : little_endian(tiff.subspan(at, n));
  };
  const std::size_t directory = number(4, 4);
  if (directory > tiff.size() - 2) return 1;
  const std::size_t n_entries = number(directory, 2);
  for (std::size_t i = 0; i < n_entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (entry > tiff.size() || tiff.size() - entry < 12) return 1;
    if (number(entry, 2) != kOrientation) continue;
    const std::uint32_t type = number(entry + 2, 2);
    const std::size_t width = type == 1 ? 1 : type == 3 ? 2 : type == 4 ? 4 : 0;
    if (width == 0 || number(entry + 4, 4) != 1) return 1;
    const std::uint32_t value = number(entry + 8, width);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

ImageHeader read_image_header(Bytes file, const ImageLimits& limits, const std::string& where) {
  if (file.size() > limits.max_file_bytes) {
    throw Error(ErrorKind::kBadInput,
                "the picture's file has " + std::to_string(file.size()) + " bytes, expected at most " +
                    std::to_string(limits.max_file_bytes),
                where);
  }
  const ImageHeader header = sniff(file, where);
  const std::string size = std::to_string(header.width()) + " x " + std::to_string(header.height());
  if (header.stored_width == 0 || header.stored_height == 0) {
    throw Error(ErrorKind::kBadInput, "the picture is " + size + " pixels, expected at least 1 x 1", where);
  }
  if (std::uint64_t{header.stored_width} * header.stored_height > limits.max_pixels) {
    throw Error(ErrorKind::kBadInput,
                "the picture is " + size + " pixels, expected at most " + std::to_string(limits.max_pixels) +
                    " in all",
                where);
  }
  return header;
}

}  // namespace exa
