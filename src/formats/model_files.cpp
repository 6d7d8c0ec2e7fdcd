#include "formats/model_files.h"

#include <optional>

#include "base/bytes.h"
#include "base/error.h"

namespace exa {

std::uint64_t tensor_bytes(DType type, std::span<const std::uint64_t> shape, const std::string& where) {
  const DTypeTraits& t = traits(type);
  std::optional<std::uint64_t> n_elements = 1;
  for (const std::uint64_t dimension : shape) {
    n_elements = checked_mul<std::uint64_t>(*n_elements, dimension);
    if (!n_elements) {
      throw Error(ErrorKind::kBadInput,
                  "shape " + shape_text(shape) + " has more elements than fit, expected fewer than 2^64",
                  where);
    }
  }
  const std::uint64_t n_cols = shape.empty() ? 1 : shape.back();
  if (n_cols % t.block_size != 0) {
    throw Error(ErrorKind::kBadInput,
                "rows have " + std::to_string(n_cols) + " elements, expected a multiple of " +
                    std::to_string(t.block_size) + " for type " + std::string(t.name),
                where);
  }
  const std::optional<std::uint64_t> n_bytes =
      checked_mul<std::uint64_t>(*n_elements / t.block_size, t.block_bytes);
  if (!n_bytes) {
    throw Error(ErrorKind::kBadInput,
                "shape " + shape_text(shape) + " of type " + std::string(t.name) +
                    " has more bytes than fit, expected fewer than 2^64",
                where);
  }
  return *n_bytes;
}

std::string shape_text(std::span<const std::uint64_t> shape) {
  std::string text = "[";
  for (const std::uint64_t dimension : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(dimension);
  }
  return text + "]";
}

}  // namespace exa
