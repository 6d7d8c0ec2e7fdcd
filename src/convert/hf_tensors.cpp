#include "convert/hf_tensors.h"

#include "base/error.h"
#include "convert/packed_linears.h"
#include "formats/model_files.h"

namespace exa {
namespace {

using Shape = std::vector<std::uint64_t>;

bool is_plain_type(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

}  // namespace

HfTensors::HfTensors(const Checkpoint& checkpoint)
    : checkpoint_(&checkpoint), quantization_(read_quantization_config(checkpoint)) {}

std::string HfTensors::where(std::string_view name) const {
  const TensorInfo* tensor = checkpoint_->find(name);
  const std::string file =
      tensor ? checkpoint_->files()[tensor->file].path.string() : checkpoint_->path().string();
  return file + ", tensor " + std::string(name);
}

const TensorInfo& HfTensors::take(const std::string& name) {
  const TensorInfo* tensor = checkpoint_->find(name);
  if (!tensor) throw Error(ErrorKind::kBadInput, "the tensor is missing, expected it", where(name));
  taken_.insert(name);
  return *tensor;
}

std::shared_ptr<const RowSource> HfTensors::plain(const std::string& name, const Shape& shape) {
  return plain(name, shape, shape.back());
}

std::shared_ptr<const RowSource> HfTensors::plain(const std::string& name, const Shape& shape,
                                                  std::uint64_t n_cols) {
  const TensorInfo& tensor = take(name);
  if (tensor.shape != shape) {
    throw Error(
        ErrorKind::kBadInput,
        "shape is " + shape_text(tensor.shape) + ", expected " + shape_text(shape) + " from config.json",
        where(name));
  }
  if (!is_plain_type(tensor.type)) {
    throw Error(ErrorKind::kBadInput,
                "type is " + std::string(exa::name(tensor.type)) + ", expected F32, F16 or BF16",
                where(name));
  }
  return plain_rows(*checkpoint_, tensor, n_cols);
}

std::shared_ptr<const RowSource> HfTensors::linear(const std::string& module, std::uint64_t n_out,
                                                   std::uint64_t n_in) {
  const LinearStorage storage = quantization_.of(module);
  if (storage == LinearStorage::kPlain) return plain(module + ".weight", {n_out, n_in});

  const PackedShape packed{n_out, n_in};
  const auto part = [&](const char* suffix, std::initializer_list<DType> types,
                        std::initializer_list<Shape> shapes) -> const TensorInfo& {
    const std::string name = module + suffix;
    if (!has(name)) {
      throw Error(ErrorKind::kBadInput,
                  "the tensor is missing, expected it because quantization_config says the layer is packed",
                  where(name));
    }
    const TensorInfo& tensor = take(name);
    bool type_fits = false;
    for (const DType type : types) type_fits = type_fits || tensor.type == type;
    if (!type_fits) {
      throw Error(ErrorKind::kBadInput,
                  "type is " + std::string(exa::name(tensor.type)) + ", expected " +
                      std::string(exa::name(*types.begin())) + " because of quantization_config",
                  where(name));
    }
    bool shape_fits = false;
    for (const Shape& shape : shapes) shape_fits = shape_fits || tensor.shape == shape;
    if (!shape_fits) {
      throw Error(ErrorKind::kBadInput,
                  "shape is " + shape_text(tensor.shape) + ", expected " + shape_text(*shapes.begin()),
                  where(name));
    }
    return tensor;
  };
  const std::initializer_list<DType> floats = {DType::kBF16, DType::kF16, DType::kF32};
  switch (storage) {
    case LinearStorage::kFp8Channel: {
      const TensorInfo& weight = part(".weight", {DType::kF8E4M3}, {{n_out, n_in}});
      return fp8_channel_rows(*checkpoint_, packed, weight,
                              part(".weight_scale", floats, {{n_out, 1}, {n_out}}));
    }
    case LinearStorage::kFp8Block: {
      const std::uint64_t rows = quantization_.block_rows, cols = quantization_.block_cols;
      const TensorInfo& weight = part(".weight", {DType::kF8E4M3}, {{n_out, n_in}});
      const TensorInfo& scale = part(".weight_scale_inv", {DType::kF32, DType::kBF16, DType::kF16},
                                     {{groups_of(n_out, rows), groups_of(n_in, cols)}});
      return fp8_block_rows(*checkpoint_, packed, weight, scale, rows, cols);
    }
    case LinearStorage::kInt4Group: {
      const TensorInfo& words = part(".weight_packed", {DType::kI32}, {{n_out, groups_of(n_in, 8)}});
      const TensorInfo& scale =
          part(".weight_scale", floats, {{n_out, groups_of(n_in, quantization_.group)}});
      const TensorInfo& stated = part(".weight_shape", {DType::kI64, DType::kI32}, {{2}});
      std::uint64_t sides[2] = {};
      std::uint32_t narrow[2] = {};
      if (stated.type == DType::kI64) {
        checkpoint_->read(stated, 0, std::as_writable_bytes(std::span(sides)));
      } else {
        checkpoint_->read(stated, 0, std::as_writable_bytes(std::span(narrow)));
        sides[0] = narrow[0];
        sides[1] = narrow[1];
      }
      if (sides[0] != n_out || sides[1] != n_in) {
        throw Error(ErrorKind::kBadInput,
                    "states " + shape_text(sides) + ", expected " + shape_text(Shape{n_out, n_in}) +
                        " from config.json",
                    where(stated.name));
      }
      return int4_group_rows(*checkpoint_, packed, words, scale, quantization_.group);
    }
    case LinearStorage::kAwqGemm: {
      if (n_out % 8 != 0 || n_in % quantization_.group != 0) {
        throw Error(ErrorKind::kUnsupported,
                    "a packed layer of shape " + shape_text(Shape{n_out, n_in}) +
                        ", expected outputs in eights and inputs in groups of " +
                        std::to_string(quantization_.group),
                    where(module));
      }
      const std::uint64_t n_groups = n_in / quantization_.group;
      const TensorInfo& words = part(".qweight", {DType::kI32}, {{n_in, n_out / 8}});
      const TensorInfo& zeros = part(".qzeros", {DType::kI32}, {{n_groups, n_out / 8}});
      const TensorInfo& scales = part(".scales", {DType::kF16}, {{n_groups, n_out}});
      return awq_gemm_rows(*checkpoint_, packed, words, zeros, scales, quantization_.group);
    }
    case LinearStorage::kPlain:
      break;
  }
  throw Error(ErrorKind::kInternal, "no such storage", where(module));
}

std::vector<std::string> HfTensors::untaken() const {
  std::vector<std::string> names;
  for (const TensorInfo& tensor : checkpoint_->tensors()) {
    if (!taken_.contains(tensor.name)) names.push_back(tensor.name);
  }
  return names;
}

}  // namespace exa
