#include "cli/flags/byte_size.h"

#include <charconv>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"

namespace exa {

std::uint64_t parse_byte_size(std::string_view text, const std::string& option) {
  constexpr std::string_view kLetters = "KMGT";
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  std::optional<std::uint64_t> size = number;
  bool fits = error == std::errc() && number > 0;
  if (rest != end) {
    const std::size_t power = rest + 1 == end ? kLetters.find(*rest & ~0x20) : std::string_view::npos;
    fits = fits && power != std::string_view::npos;
    for (std::size_t i = 0; fits && size && i <= power; ++i) size = checked_mul<std::uint64_t>(*size, 1000);
  }
  if (!fits || !size) {
    throw Error(ErrorKind::kUsage, "expected a size such as 4G or 500M, found \"" + std::string(text) + "\"",
                option);
  }
  return *size;
}

}  // namespace exa
