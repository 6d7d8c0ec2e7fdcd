// Exif: any bytes are an orientation from 1 to 8.
#include <cstddef>
#include <cstdint>
#include <span>

#include "images/decoders.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int orientation = exa::exif_orientation(std::as_bytes(std::span(data, size)));
  if (orientation < 1 || orientation > 8) __builtin_trap();
  return 0;
}
