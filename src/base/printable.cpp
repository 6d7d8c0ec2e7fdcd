#include "base/printable.h"

namespace exa {

std::string printable(std::string_view foreign) {
  constexpr std::string_view kHex = "0123456789abcdef";
  constexpr std::size_t kMaxBytes = 80;
  std::string text;
  for (const char c : foreign.substr(0, kMaxBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += "\\x";
      text += kHex[byte >> 4];
      text += kHex[byte & 15];
    }
  }
  if (foreign.size() > kMaxBytes) text += "...";
  return text;
}

}  // namespace exa
