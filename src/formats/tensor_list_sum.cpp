#include "formats/tensor_list_sum.h"

#include <string>

#include "base/crc32c.h"

namespace exa {

void TensorListSum::add(std::string_view tensor_name, DType type, std::span<const std::uint64_t> shape) {
  std::string text(tensor_name);
  text += '\n';
  text += name(type);
  for (const std::uint64_t dimension : shape) text += ' ' + std::to_string(dimension);
  text += '\n';
  crc_ = crc32c(crc_, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace exa
