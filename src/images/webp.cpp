#include <webp/decode.h>

#include "base/error.h"
#include "images/decoders.h"

namespace exa {
namespace {

const char* reason(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return "out of memory";
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return "the file ends too early";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "a feature nobody decodes";
    default:
      return "broken data";
  }
}

}  // namespace

void decode_webp(std::span<const std::byte> file, const ImageHeader& header, std::span<std::uint8_t> rgb,
                 const std::string& where) {
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(file.data());
  WebPDecoderConfig config;
  VP8StatusCode status = WebPInitDecoderConfig(&config) != 0 ? VP8_STATUS_OK : VP8_STATUS_INVALID_PARAM;
  if (status == VP8_STATUS_OK) status = WebPGetFeatures(bytes, file.size(), &config.input);
  if (status == VP8_STATUS_OK && (config.input.width != static_cast<int>(header.stored_width) ||
                                  config.input.height != static_cast<int>(header.stored_height))) {
    throw Error(ErrorKind::kBadInput,
                "the WebP's canvas is " + std::to_string(header.stored_width) + " x " +
                    std::to_string(header.stored_height) + ", expected its picture's " +
                    std::to_string(config.input.width) + " x " + std::to_string(config.input.height),
                where);
  }
  if (status == VP8_STATUS_OK) {
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA = {rgb.data(), static_cast<int>(3 * header.stored_width), rgb.size()};
    status = WebPDecode(bytes, file.size(), &config);
  }
  if (status != VP8_STATUS_OK) {
    throw Error(ErrorKind::kBadInput, std::string("the WebP cannot be decoded: ") + reason(status), where);
  }
}

}  // namespace exa
