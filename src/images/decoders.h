// One decoder a picture format behind decode_image: stored pixels, not yet turned upright.
//
// Ownership and threads: pure functions. Sizes were read from the header; a decoder that finds others
// refuses. Source: libjpeg-turbo, libpng and libwebp do the decoding; GIF's LZW is our own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "images/image.h"

namespace exa {

// rgb: [stored_height, stored_width, 3]. Errors: kBadInput, kUnsupported.
void decode_jpeg(std::span<const std::byte> file, const ImageHeader& header, std::span<std::uint8_t> rgb,
                 const std::string& where);
void decode_png(std::span<const std::byte> file, const ImageHeader& header, std::span<std::uint8_t> rgb,
                const std::string& where);
void decode_webp(std::span<const std::byte> file, const ImageHeader& header, std::span<std::uint8_t> rgb,
                 const std::string& where);
void decode_gif(std::span<const std::byte> file, const ImageHeader& header, std::span<std::uint8_t> rgb,
                const std::string& where);

// The orientation in a TIFF structure (what an Exif segment holds), 1 where it says none.
int exif_orientation(std::span<const std::byte> tiff);

}  // namespace exa
