#include "convert/gguf_copy.h"

#include <cstdio>
#include <string>

#include "base/error.h"
#include "base/printable.h"
#include "convert/checksums.h"
#include "convert/gguf_writer.h"
#include "convert/hf_to_gguf.h"
#include "convert/tensor_stream.h"
#include "formats/model_files.h"

namespace exa {

void copy_gguf(const CopyOptions& options) {
  const Checkpoint checkpoint = Checkpoint::open(options.input);
  if (checkpoint.format() != CheckpointFormat::kGguf) {
    throw Error(ErrorKind::kUnsupported, "the input is no GGUF file, expected one", options.input.string());
  }
  refuse_overwriting(checkpoint, {options.output});
  std::vector<PlannedTensor> tensors;
  std::vector<GgufTensor> stored;
  for (const TensorInfo& info : checkpoint.tensors()) {
    PlannedTensor tensor;
    tensor.name = info.name;
    tensor.shape = info.shape;
    tensor.pieces.push_back({plain_rows(checkpoint, info, info.n_cols()), 0, info.n_rows()});
    stored.push_back({info.name, info.type, info.shape});
    tensors.push_back(std::move(tensor));
  }
  GgufWriter writer(options.output, read_gguf_metadata(checkpoint.files().front().path), std::move(stored),
                    options.split_bytes);
  refuse_overwriting(checkpoint, writer.paths());
  if (checkpoint.has_foreign_crc32c()) {
    const std::string line = "note: " + std::string(kForeignSums) + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
  }
  stream_tensors(tensors, writer, options.n_threads);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorInfo& info = checkpoint.tensors()[i];
    const auto stated = checkpoint.crc32c(info);
    if (stated && *stated != writer.tensor_crc32c(i)) {
      throw Error(ErrorKind::kBadInput,
                  "the bytes are damaged: found another CRC32C than the file states, expected the same",
                  checkpoint.files()[info.file].path.string() + ", tensor " + printable(info.name));
    }
  }
  writer.commit();
  for (const std::filesystem::path& path : writer.paths()) {
    const std::string line = "wrote " + path.string() + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
  }
}

}  // namespace exa
