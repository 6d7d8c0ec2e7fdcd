#include "base/base64.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>

namespace exa {
namespace {

// A multiple of both block sizes that OpenSSL's int lengths hold.
constexpr std::size_t kStep = std::size_t{12} << 20;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  std::string block;
  for (std::size_t i = 0; i < bytes.size(); i += kStep) {
    const std::string_view part = bytes.substr(i, kStep);
    block.resize((part.size() + 2) / 3 * 4 + 1);  // OpenSSL ends it with a zero
    const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(block.data()), bytes_of(part),
                                  static_cast<int>(part.size()));
    text.append(block, 0, static_cast<std::size_t>(n));
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  std::string plain;
  plain.reserve(text.size() + 3);
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    plain += c == '-' ? '+' : c == '_' ? '/' : c;
  }
  const std::size_t padding = std::min(plain.size(), plain.size() - (plain.find_last_not_of('=') + 1));
  plain.resize(plain.size() - padding);
  if (plain.find('=') != std::string::npos || plain.size() % 4 == 1 || padding > 2) return std::nullopt;
  const std::size_t n_bytes = plain.size() / 4 * 3 + (plain.size() % 4 == 0 ? 0 : plain.size() % 4 - 1);
  plain.append((4 - plain.size() % 4) % 4, '=');
  std::string bytes(plain.size() / 4 * 3, '\0');
  for (std::size_t i = 0; i < plain.size(); i += kStep) {
    const std::string_view part = std::string_view(plain).substr(i, kStep);
    const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()) + i / 4 * 3, bytes_of(part),
                                  static_cast<int>(part.size()));
    if (n < 0) return std::nullopt;
  }
  bytes.resize(n_bytes);
  return bytes;
}

}  // namespace exa
