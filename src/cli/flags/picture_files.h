// Pictures that the user names: files as they are, read whole.
//
// Ownership and threads: pure functions.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace exa {

// The file's bytes, for ContentPart::image. Errors: kIo; kBadInput where it is larger than any picture may
// be, and as read_image_header.
std::shared_ptr<const std::string> read_picture_file(const std::filesystem::path& path);

}  // namespace exa
