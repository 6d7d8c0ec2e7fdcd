// The tiny checkpoints of the repository, and those beside it where they are: random weights, real machinery.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/threads.h"
#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "model/config.h"
#include "model/decoder.h"
#include "model/kv_cache.h"
#include "model/weights.h"
#include "text/tokenizer.h"

namespace exa {

inline std::filesystem::path tiny_model(const std::string& name) {
  return std::filesystem::path(EXAONE_SOURCE_DIR) / "tests/data/models" / name;
}
inline std::filesystem::path golden_model(const std::string& name) {
  return std::filesystem::path(EXAONE_SHARED_DIR) / "golden/models" / name;
}

// A bias against every token that ends a text: noise of random weights would end many at once.
inline std::map<std::int32_t, double> bias_against_ends(const std::filesystem::path& model) {
  const Tokenizer tokenizer = Tokenizer::from_checkpoint(Checkpoint::open(model));
  std::map<std::int32_t, double> bias;
  for (const TokenId id : tokenizer.end_of_generation()) bias[id] = -100;
  return bias;
}

// What an engine is made of, laid open.
struct OpenedModel {
  OpenedModel(const std::filesystem::path& path, int n_threads, Precision precision,
              std::int64_t max_rows = 512)
      : checkpoint(Checkpoint::open(path)),
        pool(n_threads),
        backend(make_cpu_backend(pool)),
        weights(load_weights(checkpoint, read_config(checkpoint), *backend, precision)),
        decoder(weights, *backend, max_rows) {}

  Checkpoint checkpoint;
  ThreadPool pool;
  std::unique_ptr<Backend> backend;
  Weights weights;
  Decoder decoder;
};

template <typename T>
std::vector<T> read_array(const Checkpoint& file, const std::string& name) {
  const TensorInfo* const tensor = file.find(name);
  if (!tensor || tensor->n_elements() * sizeof(T) != tensor->n_bytes) return {};
  std::vector<T> values(tensor->n_elements());
  file.read(*tensor, 0, std::as_writable_bytes(std::span(values)));
  return values;
}

// An array of ids, stored as I32 or I64.
inline std::vector<TokenId> read_ids(const Checkpoint& file, const std::string& name) {
  const TensorInfo* const tensor = file.find(name);
  if (tensor && tensor->type == DType::kI32) return read_array<TokenId>(file, name);
  std::vector<TokenId> ids;
  for (const std::int64_t id : read_array<std::int64_t>(file, name)) ids.push_back(static_cast<TokenId>(id));
  return ids;
}

}  // namespace exa
