// Everything `exaone inspect` says about a checkpoint, gathered before anything is printed.
//
// Ownership and threads: a value that owns the open checkpoint.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/memory_need.h"

namespace exa {

struct InspectReport {
  explicit InspectReport(Checkpoint opened) : checkpoint(std::move(opened)) {}

  Checkpoint checkpoint;
  std::string architecture;           // as the file spells it; empty where it says nothing
  std::optional<ModelConfig> config;  // absent: problem says why
  std::string problem;
  StatedSampling sampling;

  struct TypeTotal {
    DType type;
    std::uint64_t n_tensors = 0;
    std::uint64_t n_bytes = 0;
  };
  std::vector<TypeTotal> types;  // most bytes first
  std::uint64_t n_parameters = 0;
  std::uint64_t tensor_bytes = 0;

  struct TokenizerFacts {
    std::string description;
    std::uint64_t vocab_size = 0;
    std::optional<std::int32_t> bos, eos;
    std::vector<std::int32_t> end_of_generation;
  };
  std::optional<TokenizerFacts> tokenizer;
  std::string tokenizer_problem;  // empty where there is none, or no tokenizer at all
  std::optional<std::uint64_t> template_bytes;

  std::optional<MemoryNeed> memory;  // what `run` would take on this machine, with bf16 keys and values
  std::uint64_t available_bytes = 0;
};

// context_tokens: what memory is computed for; 0 takes the model's own limit. Errors: as Checkpoint::open and
// read_config, but for an architecture or tokenizer that is not supported, which is reported; kUsage for a
// context beyond the model's limit.
InspectReport inspect_model(const std::filesystem::path& path, std::int64_t context_tokens);

nlohmann::ordered_json to_json(const InspectReport& report);
std::string to_text(const InspectReport& report);

}  // namespace exa
