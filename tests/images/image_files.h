// Pictures of tests/data and of the golden folder, read whole, decoded, compared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "images/image.h"

namespace exa::test {

inline const std::filesystem::path kImages = std::filesystem::path(EXAONE_SOURCE_DIR) / "tests/data/images";

inline std::vector<std::byte> file_bytes(const std::filesystem::path& path) {
  const FileReader file(path);
  std::vector<std::byte> bytes(static_cast<std::size_t>(file.size_bytes()));
  file.read_at(0, bytes);
  return bytes;
}

inline Image decode(std::span<const std::byte> file, const std::string& where = "picture") {
  return decode_image(file, read_image_header(file, {}, where), where);
}

// The largest difference of a sample; 256 where the sizes differ.
inline int most_difference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height || a.rgb.size() != b.rgb.size()) return 256;
  int most = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i)
    most = std::max(most, std::abs(int{a.rgb[i]} - int{b.rgb[i]}));
  return most;
}

}  // namespace exa::test
