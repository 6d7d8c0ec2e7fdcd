// The saved log-probabilities of a base model, against which others are compared row by row.
//
// A safetensors file: `ids` i32 [n], the text; `context` i32 [1]; `log_probs` f32 [rows, vocab]. Written as a
// stream, since it may be larger than memory.
// Ownership and threads: values that own a file; one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "base/file.h"
#include "formats/checkpoint.h"

namespace exa {

class KlBaseWriter {
 public:
  KlBaseWriter(const std::filesystem::path& path, std::span<const std::int32_t> ids, std::int32_t context,
               std::uint64_t n_rows, std::uint64_t vocab);
  // log_probs [vocab]; called n_rows times, then commit().
  void add(std::span<const float> log_probs);
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
};

class KlBaseReader {
 public:
  // Errors: kBadInput where the file was made from another text, context or vocabulary.
  KlBaseReader(const std::filesystem::path& path, std::span<const std::int32_t> ids, std::int32_t context,
               std::uint64_t n_rows, std::uint64_t vocab);
  // The next row [vocab]; valid until the next call.
  std::span<const float> next();

 private:
  Checkpoint file_;
  const TensorInfo* log_probs_;
  std::uint64_t row_ = 0;
  std::vector<float> values_;
};

}  // namespace exa
