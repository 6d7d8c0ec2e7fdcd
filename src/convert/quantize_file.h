// `exaone quantize`: a model file or Hugging Face folder into a GGUF file of another type.
//
// Ownership and threads: a Quantization owns its inputs; one thread uses it, run() starts its own. Memory is
// bounded by the number of threads, not by the model: each holds about a million numbers of one tensor.
// Source: exaone-models specification 7.2, 11; llama.cpp's quantization keys (quantize.imatrix.*).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "convert/recipes.h"

namespace exa {

struct TypeOverride {
  std::string pattern;  // a regular expression searched for in the tensor's name
  DType type;
};

struct QuantizeOptions {
  std::filesystem::path input;  // a GGUF file, any shard of a split one, or a Hugging Face folder
  std::filesystem::path output;
  Recipe recipe;
  std::vector<TypeOverride> overrides;  // the first that matches a quantizable tensor decides
  std::optional<std::filesystem::path> imatrix;
  // Tensors that are quantized already and would get no smaller are kept as they are; otherwise they are refused.
  bool allow_requantize = false;
  bool keep_split = false;  // as many shards as the input has, with the same tensors
  bool one_file = false;    // of a folder, the vision tower goes into the output, too
  int n_threads = 1;
};

struct TensorChange {
  std::string name;
  std::vector<std::uint64_t> shape;  // row-major
  std::string from;                  // "BF16", "int4 group 128", …
  DType to = DType::kF32;
  std::uint64_t from_bytes = 0;  // 0 where the source is stored in several tensors
  std::uint64_t to_bytes = 0;
};

class Quantization {
 public:
  // Reads the headers and decides every tensor's type. Errors: as Checkpoint::open and plan_huggingface;
  // kUsage for a broken pattern, and for tensors that would get no smaller; kBadInput where an imatrix does not belong to the model or the output is the
  // input.
  explicit Quantization(QuantizeOptions options);
  ~Quantization();
  Quantization(const Quantization&) = delete;
  Quantization& operator=(const Quantization&) = delete;

  std::span<const TensorChange> changes() const;
  // What the user should know before: types that did not fit, tensors quantized twice, patterns without a
  // match.
  std::span<const std::string> notes() const;

  // Writes the output: a line a tensor and the notes on stderr. Nothing stands under the output's name before
  // all of it is written. Errors: kIo; kBadInput naming tensor, row and column of a number that no block can
  // hold.
  void run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// "5120 x 5120  BF16 → Q4_K  50.0 → 14.1 MiB"
std::string describe(const TensorChange& change);

}  // namespace exa
