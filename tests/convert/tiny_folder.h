// A copy of one of the repository's tiny Hugging Face folders whose tensors and config a test may change.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "convert/hf_to_gguf.h"
#include "convert/scratch_folder.h"
#include "formats/checkpoint.h"

namespace exa::test {

class TinyFolder {
 public:
  explicit TinyFolder(const std::string& model = "tiny-exaone4") {
    const std::filesystem::path from =
        std::filesystem::path(EXAONE_SOURCE_DIR) / "tests" / "data" / "models" / model;
    std::filesystem::create_directory(path());
    for (const auto& entry : std::filesystem::directory_iterator(from)) {
      const std::string name = entry.path().filename().string();
      const bool wanted = name.ends_with(".json") || name.ends_with(".jinja") ||
                          (name.starts_with("model") && name.ends_with(".safetensors"));
      if (wanted) std::filesystem::copy_file(entry.path(), path() / name);
    }
  }

  std::filesystem::path path() const { return scratch_.path() / "model"; }
  std::filesystem::path output() const { return scratch_.path() / "out.gguf"; }

  void edit_config(const std::function<void(nlohmann::ordered_json&)>& change) const {
    std::ifstream in(path() / "config.json");
    nlohmann::ordered_json config = nlohmann::ordered_json::parse(in);
    in.close();
    change(config);
    std::ofstream(path() / "config.json") << config.dump(1);
  }

  // Rewrites model.safetensors of a folder with a single file.
  void edit_tensors(const std::function<void(std::vector<NamedArray>&)>& change) const {
    std::vector<NamedArray> arrays = read_arrays(path());
    change(arrays);
    write_safetensors(path() / "model.safetensors", arrays);
  }

  static std::vector<NamedArray> read_arrays(const std::filesystem::path& model) {
    const Checkpoint checkpoint = Checkpoint::open(model);
    std::vector<NamedArray> arrays;
    for (const TensorInfo& tensor : checkpoint.tensors()) {
      NamedArray array{tensor.name, tensor.type, tensor.shape, std::vector<std::byte>(tensor.n_bytes)};
      checkpoint.read(tensor, 0, array.bytes);
      arrays.push_back(std::move(array));
    }
    return arrays;
  }

  ConvertOptions options() const {
    ConvertOptions options;
    options.folder = path();
    options.output = output();
    options.type = DType::kBF16;
    options.n_threads = 2;
    return options;
  }

 private:
  ScratchFolder scratch_;
};

inline NamedArray& array_named(std::vector<NamedArray>& arrays, const std::string& name) {
  for (NamedArray& array : arrays) {
    if (array.name == name) return array;
  }
  throw std::runtime_error("no array " + name);
}

}  // namespace exa::test
