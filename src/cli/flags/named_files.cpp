#include "cli/flags/named_files.h"

#include <cstdint>
#include <span>

#include "base/file.h"
#include "cli/terminal/streams.h"
#include "images/image.h"

namespace exa {

std::string read_utf8_file(const std::filesystem::path& path) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;
  std::string text = read_text_file(path, kMostBytes);
  require_utf8(text, path.string());
  return text;
}

std::vector<Message> read_messages_file(const std::filesystem::path& path) {
  return read_messages(read_utf8_file(path), {path.string(), std::filesystem::absolute(path).parent_path()});
}

std::shared_ptr<const std::string> read_picture_file(const std::filesystem::path& path) {
  constexpr std::uint64_t kMostBytes = 10'000'000;
  auto bytes = std::make_shared<const std::string>(read_text_file(path, kMostBytes));
  read_image_header(std::as_bytes(std::span(*bytes)), {}, path.string());
  return bytes;
}

}  // namespace exa
