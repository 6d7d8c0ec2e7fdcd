#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "formats/checkpoint.h"
#include "formats/model_files.h"

namespace exa {

void write_safetensors(const std::filesystem::path& path, std::span<const NamedArray> arrays) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  std::uint64_t offset = 0;
  for (const NamedArray& array : arrays) {
    const std::string where = path.string() + ", tensor " + printable(array.name);
    if (is_quantized(array.type)) {
      throw Error(ErrorKind::kUnsupported,
                  "type is " + std::string(name(array.type)) + ", expected one that safetensors can hold",
                  where);
    }
    if (array.bytes.size() != tensor_bytes(array.type, array.shape, where)) {
      throw Error(ErrorKind::kInternal,
                  "array has " + std::to_string(array.bytes.size()) + " bytes, expected " +
                      std::to_string(tensor_bytes(array.type, array.shape, where)),
                  where);
    }
    if (header.contains(array.name))
      throw Error(ErrorKind::kInternal, "name is given twice, expected once", where);
    header[array.name] = {{"dtype", safetensors_name(array.type)},
                          {"shape", array.shape},
                          {"data_offsets", {offset, offset + array.bytes.size()}}};
    offset += array.bytes.size();
  }
  std::string json;
  try {
    json = header.dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorKind::kInternal, "a tensor name is not UTF-8, expected UTF-8", path.string());
  }
  json.resize((json.size() + 7) / 8 * 8, ' ');

  const std::uint64_t length = json.size();
  std::array<std::byte, sizeof(length)> length_bytes{};
  std::memcpy(length_bytes.data(), &length, sizeof(length));
  AtomicFile file(path);
  file.write(std::span<const std::byte>(length_bytes));
  file.write(json);
  for (const NamedArray& array : arrays) file.write(array.bytes);
  file.commit();
}

}  // namespace exa
