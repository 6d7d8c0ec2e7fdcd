// What must hold for every file whatsoever: it opens with all spans inside, or one exa::Error says why not;
// and memory stays in proportion to the file.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "formats/peak_memory.h"

namespace exa::test {

inline std::size_t total_file_bytes(const std::filesystem::path& path) {
  if (std::filesystem::is_regular_file(path)) return std::filesystem::file_size(path);
  if (!std::filesystem::is_directory(path)) return 0;
  std::size_t total = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) total += entry.file_size();
  }
  return total;
}

// Opens the path under all oracles; the error where there is one.
inline std::optional<Error> open_hostile(const std::filesystem::path& path) {
  const std::size_t limit = 4 * total_file_bytes(path) + (std::size_t{16} << 20);
  std::optional<Error> error;
  reset_peak();
  const std::size_t before = held_bytes();
  try {
    const Checkpoint checkpoint = Checkpoint::open(path);
    EXPECT_LE(peak_bytes() - before, limit) << path;
    const auto files = checkpoint.files();
    for (const TensorInfo& tensor : checkpoint.tensors()) {
      EXPECT_LT(tensor.file, files.size());
      EXPECT_LE(tensor.n_bytes, files[tensor.file].size_bytes);
      EXPECT_LE(tensor.offset, files[tensor.file].size_bytes - tensor.n_bytes);
      EXPECT_EQ(checkpoint.find(tensor.name), &tensor);
      std::vector<std::byte> bytes(tensor.n_bytes);
      checkpoint.read(tensor, 0, bytes);
    }
    for (const auto& entry : checkpoint.metadata()) EXPECT_TRUE(checkpoint.has(entry.first));
  } catch (const Error& caught) {
    EXPECT_LE(peak_bytes() - before, limit) << path << ": " << caught.what();
    EXPECT_FALSE(caught.message().empty());
    EXPECT_FALSE(caught.where().empty()) << caught.message();
    EXPECT_TRUE(caught.kind() == ErrorKind::kBadInput || caught.kind() == ErrorKind::kUnsupported ||
                caught.kind() == ErrorKind::kIo)
        << caught.what();
    error = caught;
  }
  return error;
}

// The path must be refused, with this kind, and a text that holds each of the parts.
inline void expect_refused(const std::filesystem::path& path, ErrorKind kind,
                           const std::vector<std::string_view>& parts) {
  const std::optional<Error> error = open_hostile(path);
  ASSERT_TRUE(error.has_value()) << path << " opened, expected a refusal";
  EXPECT_EQ(static_cast<int>(error->kind()), static_cast<int>(kind)) << error->what();
  for (const std::string_view part : parts) {
    EXPECT_NE(std::string_view(error->what()).find(part), std::string_view::npos)
        << "\"" << error->what() << "\" lacks \"" << part << "\"";
  }
}

}  // namespace exa::test
