// Pictures: any bytes are pixels of the size that the header promised, or an exa::Error.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "images/image.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  exa::ImageLimits limits;
  limits.max_pixels = 1'000'000;
  try {
    const exa::ImageHeader header = exa::read_image_header(file, limits, "X");
    const exa::Image image = exa::decode_image(file, header, "X");
    const bool promised = image.width == header.width() && image.height == header.height() &&
                          image.rgb.size() == std::size_t{3} * header.width() * header.height();
    if (!promised) __builtin_trap();
  } catch (const exa::Error& error) {
    if (error.kind() == exa::ErrorKind::kInternal) __builtin_trap();
  }
  return 0;
}
