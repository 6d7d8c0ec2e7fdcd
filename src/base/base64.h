// Bytes as base64 text.
//
// Ownership and threads: pure functions. Source: RFC 4648; OpenSSL's EVP_EncodeBlock and EVP_DecodeBlock.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace exa {

std::string to_base64(std::string_view bytes);

// Both alphabets, with and without padding, white space between. Nothing for other text.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace exa
