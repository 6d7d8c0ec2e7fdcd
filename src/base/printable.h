// Foreign names as they may stand in a message.
//
// Ownership and threads: a pure function.
#pragma once

#include <string>
#include <string_view>

namespace exa {

// Bytes that are not printable ASCII are escaped as \x1b; cut after 80 bytes.
std::string printable(std::string_view foreign);

}  // namespace exa
