#include "cli/picture_files.h"

#include "base/file.h"

namespace exa {

std::shared_ptr<const std::string> read_picture_file(const std::filesystem::path& path) {
  constexpr std::uint64_t kMostBytes = 10'000'000;
  return std::make_shared<const std::string>(read_text_file(path, kMostBytes));
}

}  // namespace exa
