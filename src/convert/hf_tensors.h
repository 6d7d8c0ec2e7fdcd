// The tensors of a Hugging Face folder, taken one by one by name and expected shape, however they are stored.
//
// Ownership and threads: borrows the checkpoint; one thread.
// Source: exaone-models specification 2.8, 7.6, 7.7.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "convert/quantization_config.h"
#include "convert/tensor_plan.h"

namespace exa {

class HfTensors {
 public:
  // Errors: as read_quantization_config.
  explicit HfTensors(const Checkpoint& checkpoint);

  bool has(std::string_view name) const { return checkpoint_->find(name) != nullptr; }

  // A norm, bias or embedding: stored as it is. Errors: kBadInput for a missing tensor, another shape or a
  // type that is not F32, F16 or BF16 (tensor, expected, found).
  std::shared_ptr<const RowSource> plain(const std::string& name, const std::vector<std::uint64_t>& shape);
  // The same of any rank, seen as rows of n_cols.
  std::shared_ptr<const RowSource> plain(const std::string& name, const std::vector<std::uint64_t>& shape,
                                         std::uint64_t n_cols);
  // MODULE.weight [n_out, n_in] of a linear layer, decoded where the quantization_config says so.
  // Errors: as plain; kBadInput where the stored tensors are not what the quantization_config says.
  std::shared_ptr<const RowSource> linear(const std::string& module, std::uint64_t n_out, std::uint64_t n_in);

  // Names that nobody took, in file order.
  std::vector<std::string> untaken() const;

 private:
  const TensorInfo& take(const std::string& name);
  std::string where(std::string_view name) const;

  const Checkpoint* checkpoint_;
  QuantizationConfig quantization_;
  std::set<std::string, std::less<>> taken_;
};

}  // namespace exa
