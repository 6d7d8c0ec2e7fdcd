// A model as `exaone bench` measures it: read from a file, or made of random numbers in the shape of a real
// one.
//
// Ownership and threads: owns its weights; used by one thread.
// Source: the shapes of exaone-models specification 1.1; Gaussian weights of sigma 0.02 (kernels
// specification 4).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "kernels/backend.h"
#include "model/weights.h"

namespace exa {

struct BenchModel {
  std::string file_name;      // "" where it was made up
  std::string type;           // "exaone4 1.2B Q4_K_M"
  std::uint64_t n_bytes = 0;  // of the tensors
  std::uint64_t n_params = 0;
  Weights weights;
};

// Errors: load_weights'.
BenchModel read_bench_model(const std::filesystem::path& path, Backend& backend);
// shape: "1.2b", "32b", and either with ":LAYERS" for the first so many layers. type: a kind of file
// ("Q4_K_M"). Errors: kUsage for unknown names.
BenchModel make_bench_model(std::string_view shape, std::string_view type, Backend& backend);

}  // namespace exa
