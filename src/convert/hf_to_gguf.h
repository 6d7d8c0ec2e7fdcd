// `exaone convert`: a Hugging Face folder of the family into GGUF.
//
// Ownership and threads: free functions; convert_huggingface starts its own threads.
// Source: exaone-models specification 7; docs/formats.md lists what differs from llama.cpp's converter.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/dtype.h"
#include "convert/tensor_plan.h"

namespace exa {

struct PlanParts {
  bool text = true;
  bool draft = true;  // the multi-token-prediction layers, where the folder holds them
  bool vision = false;
};

// What a GGUF file of these parts consists of. With text the file is a model (general.type "model"), of
// vision alone an mmproj file. Errors: kBadInput (missing, surplus or misshapen tensor; config; tokenizer),
// kUnsupported (another architecture, a packing this program does not decode).
TensorPlan plan_huggingface(const Checkpoint& checkpoint, PlanParts parts);
bool has_vision_tower(const Checkpoint& checkpoint);

// The value of general.file_type. Errors: kInternal for a type no file is named after.
std::uint32_t ggml_file_type(DType file_type);

// Errors: kBadInput where a path to be written is one of the checkpoint's files, or twice the same.
void refuse_overwriting(const Checkpoint& checkpoint, const std::vector<std::filesystem::path>& outputs);

struct ConvertOptions {
  std::filesystem::path folder;
  std::filesystem::path output;
  std::optional<DType> type;  // nothing: F16 where every matrix is stored so, else BF16
  std::optional<std::filesystem::path> mmproj;
  bool one_file = false;          // vision goes into `output`, too
  std::uint64_t split_bytes = 0;  // of `output`; 0: one file
  bool keep_mtp = true;
  int n_threads = 1;
};

// Errors: as plan_huggingface and GgufWriter; kBadInput where an output is an input.
void convert_huggingface(const ConvertOptions& options);

}  // namespace exa
