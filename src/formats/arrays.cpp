#include "formats/arrays.h"

#include <algorithm>
#include <span>

#include "base/error.h"

namespace exa {
namespace {

template <typename T>
std::vector<T> read_array(const Checkpoint& file, const std::string& array, DType type) {
  const TensorInfo* info = file.find(array);
  const std::string where = file.path().string() + ", array " + array;
  if (!info)
    throw Error(ErrorKind::kBadInput, "expected " + std::string(name(type)) + ", found no such array", where);
  if (info->type != type) {
    throw Error(ErrorKind::kBadInput,
                "expected " + std::string(name(type)) + ", found " + std::string(name(info->type)), where);
  }
  std::vector<T> values(static_cast<std::size_t>(info->n_elements()));
  file.read(*info, 0, std::as_writable_bytes(std::span(values)));
  return values;
}

}  // namespace

std::vector<std::int32_t> read_i32(const Checkpoint& file, const std::string& array) {
  return read_array<std::int32_t>(file, array, DType::kI32);
}

std::vector<float> read_f32(const Checkpoint& file, const std::string& array) {
  return read_array<float>(file, array, DType::kF32);
}

std::size_t argmax(std::span<const float> row) {
  return static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

}  // namespace exa
