// Files that a person names on a command line or in a chat, read whole.
//
// Ownership and threads: free functions.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "exaone/messages.h"

namespace exa {

// Errors: kIo; kBadInput beyond 64 MiB or where it is not UTF-8.
std::string read_utf8_file(const std::filesystem::path& path);

// A conversation; pictures may be named by paths from its folder. Errors: as read_utf8_file and
// read_messages.
std::vector<Message> read_messages_file(const std::filesystem::path& path);

// The file's bytes, for ContentPart::image. Errors: kIo; kBadInput where it is larger than any picture may
// be, and as read_image_header.
std::shared_ptr<const std::string> read_picture_file(const std::filesystem::path& path);

}  // namespace exa
