#include "cli/flags/picture_files.h"

#include <span>

#include "base/file.h"
#include "images/image.h"

namespace exa {

std::shared_ptr<const std::string> read_picture_file(const std::filesystem::path& path) {
  constexpr std::uint64_t kMostBytes = 10'000'000;
  auto bytes = std::make_shared<const std::string>(read_text_file(path, kMostBytes));
  read_image_header(std::as_bytes(std::span(*bytes)), {}, path.string());
  return bytes;
}

}  // namespace exa
