// A safetensors file of reference data, for the tests of a room that does not see formats/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace exa {

// A safetensors file read far enough for `"name":{… "data_offsets":[a,b]}`.
class GoldenFile {
 public:
  explicit GoldenFile(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::uint64_t header_bytes = 0;
    in.read(reinterpret_cast<char*>(&header_bytes), 8);
    header_.resize(header_bytes);
    in.read(header_.data(), static_cast<std::streamsize>(header_bytes));
    data_.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::vector<std::byte> tensor(const std::string& name) const {
    std::size_t at = header_.find("\"" + name + "\":");
    if (at == std::string::npos) return {};
    at = header_.find("\"data_offsets\":[", at) + 16;
    const std::size_t begin = number(at);
    const std::size_t end = number(header_.find(',', at) + 1);
    const auto* first = reinterpret_cast<const std::byte*>(data_.data());
    return {first + begin, first + end};
  }

 private:
  std::size_t number(std::size_t at) const {
    std::size_t value = 0;
    for (; header_[at] >= '0' && header_[at] <= '9'; ++at)
      value = value * 10 + static_cast<std::size_t>(header_[at] - '0');
    return value;
  }
  std::string header_;
  std::string data_;
};

}  // namespace exa
