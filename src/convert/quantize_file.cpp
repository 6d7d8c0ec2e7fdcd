#include "convert/quantize_file.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <set>

#include "base/error.h"
#include "base/printable.h"
#include "convert/checksums.h"
#include "convert/gguf_writer.h"
#include "convert/hf_config.h"
#include "convert/hf_to_gguf.h"
#include "convert/imatrix_file.h"
#include "convert/name_pattern.h"
#include "convert/quantize_stream.h"
#include "formats/model_files.h"

namespace exa {
namespace {

constexpr std::uint32_t kQuantizationVersion = 2;

void say(const std::string& text) {
  const std::string line = text + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

std::string mebibytes(std::uint64_t n_bytes) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", static_cast<double>(n_bytes) / 1024.0 / 1024.0);
  return text.data();
}

double bits_a_number(DType type) {
  return 8.0 * traits(type).block_bytes / traits(type).block_size;
}

std::int64_t layer_number(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return -1;
  std::int64_t layer = 0;
  for (const char c : name.substr(kPrefix.size(), 6)) {
    if (c < '0' || c > '9') break;
    layer = layer * 10 + (c - '0');
  }
  return layer;
}

RecipeModel model_of_folder(const Checkpoint& folder, const TensorPlan& plan) {
  const ModelConfig config = read_stated_config(folder);
  const bool draft =
      std::ranges::any_of(plan.tensors, [](const PlannedTensor& t) { return t.part == TensorPart::kDraft; });
  return {.n_layers = config.n_layers(),
          .n_draft_layers = draft ? config.n_mtp_layers : 0,
          .n_heads = config.n_heads,
          .n_kv_heads = config.n_kv_heads};
}

RecipeModel model_of_gguf(const Checkpoint& file) {
  const std::string* architecture = file.get_string("general.architecture");
  const std::string prefix = (architecture != nullptr ? *architecture : std::string()) + ".";
  const auto number = [&](const char* key) {
    return static_cast<std::int64_t>(file.get_u64(prefix + key).value_or(0));
  };
  RecipeModel model;
  model.n_draft_layers = number("nextn_predict_layers");
  model.n_layers = std::max<std::int64_t>(0, number("block_count") - model.n_draft_layers);
  model.n_heads = number("attention.head_count");
  model.n_kv_heads = number("attention.head_count_kv");
  return model;
}

TensorPart part_in_gguf(std::string_view name, const RecipeModel& model) {
  if (name.starts_with("v.") || name.starts_with("mm.")) return TensorPart::kVision;
  return model.n_draft_layers > 0 && layer_number(name) >= model.n_layers ? TensorPart::kDraft
                                                                          : TensorPart::kText;
}

TensorPlan plan_gguf(const Checkpoint& file, const RecipeModel& model) {
  TensorPlan plan;
  plan.metadata = read_gguf_metadata(file.files().front().path);
  for (const TensorInfo& info : file.tensors()) {
    PlannedTensor tensor;
    tensor.name = info.name;
    tensor.shape = info.shape;
    tensor.part = part_in_gguf(info.name, model);
    tensor.pieces.push_back({plain_rows(file, info, info.n_cols()), 0, info.n_rows()});
    plan.tensors.push_back(std::move(tensor));
  }
  return plan;
}

}  // namespace

struct Quantization::State {
  explicit State(QuantizeOptions from)
      : options(std::move(from)), checkpoint(Checkpoint::open(options.input)) {}

  void plan();
  void decide_all();
  DType decide(const PlannedTensor& tensor);
  DType unquantizable_type(const PlannedTensor& tensor) const;
  void check_imatrix();
  std::uint32_t file_type() const;
  void set_keys();
  std::vector<std::size_t> shards() const;

  QuantizeOptions options;
  Checkpoint checkpoint;
  std::optional<ImatrixFile> imatrix;
  std::vector<NamePattern> patterns;
  std::vector<bool> pattern_used;
  RecipeModel model;
  TensorPlan source;
  std::vector<TensorChange> changes;
  std::vector<std::string> notes;
  std::size_t n_quantized_twice = 0;
  std::map<DType, std::size_t> n_kept;  // tensors that would get no smaller, by their type
};

void Quantization::State::plan() {
  switch (checkpoint.format()) {
    case CheckpointFormat::kGguf:
      model = model_of_gguf(checkpoint);
      source = plan_gguf(checkpoint, model);
      break;
    case CheckpointFormat::kHuggingFace: {
      if (options.keep_split) {
        throw Error(ErrorKind::kUsage, "--keep-split keeps the shards of a GGUF file, found a folder",
                    options.input.string());
      }
      const bool vision = has_vision_tower(checkpoint);
      source =
          plan_huggingface(checkpoint, {.text = true, .draft = true, .vision = vision && options.one_file});
      model = model_of_folder(checkpoint, source);
      if (vision && !options.one_file)
        notes.push_back("note: the vision tower is left out; --one-file keeps it");
      break;
    }
    case CheckpointFormat::kSafetensors:
      throw Error(ErrorKind::kUnsupported,
                  "found a single safetensors file, expected its folder or a GGUF file",
                  options.input.string());
  }
  model.tied_head =
      std::ranges::none_of(source.tensors, [](const PlannedTensor& t) { return t.name == "output.weight"; });
  model.has_importance = imatrix.has_value();
}

// What no recipe touches keeps the type it has, or gets the one that the converter gives it.
DType Quantization::State::unquantizable_type(const PlannedTensor& tensor) const {
  if (checkpoint.format() == CheckpointFormat::kGguf) return tensor.raw_type().value_or(DType::kF32);
  const bool f16 = tensor.precision == TensorPrecision::kPatchKernel && options.recipe.kind == FileKind::kF16;
  return f16 ? DType::kF16 : DType::kF32;
}

DType Quantization::State::decide(const PlannedTensor& tensor) {
  if (tensor.precision != TensorPrecision::kFileType || !is_quantizable(tensor.name, tensor.shape)) {
    return unquantizable_type(tensor);
  }
  std::optional<DType> wanted;
  for (std::size_t i = 0; i < patterns.size() && !wanted; ++i) {
    if (!patterns[i].matches(tensor.name)) continue;
    wanted = options.overrides[i].type;
    pattern_used[i] = true;
  }
  const bool by_hand = wanted.has_value();
  if (!wanted) wanted = recipe_type(options.recipe, model, tensor.name, tensor.part);
  const DType type = fitting_type(*wanted, tensor.n_cols());
  if (type != *wanted) {
    notes.push_back("note: " + printable(tensor.name) + ": rows of " + std::to_string(tensor.n_cols()) +
                    " are no multiple of " + std::to_string(traits(*wanted).block_size) + ": " +
                    std::string(name(*wanted)) + " → " + std::string(name(type)));
  }
  const std::optional<DType> stored = tensor.raw_type();
  if (!stored || !is_quantized(*stored) || !is_quantized(type) || *stored == type) return type;
  // Larger blocks bring back nothing that the stored ones lost.
  if (bits_a_number(*stored) <= bits_a_number(type)) {
    ++n_kept[*stored];
    if (!by_hand) return *stored;
  }
  ++n_quantized_twice;
  return type;
}

void Quantization::State::decide_all() {
  for (const TypeOverride& change : options.overrides) patterns.emplace_back(change.pattern);
  pattern_used.assign(patterns.size(), false);
  for (const PlannedTensor& tensor : source.tensors) {
    TensorChange change;
    change.name = tensor.name;
    change.shape = tensor.shape;
    change.from = tensor.pieces.front().source->description();
    change.to = decide(tensor);
    const std::optional<DType> stored = tensor.raw_type();
    if (stored) change.from_bytes = row_bytes(*stored, tensor.n_elements());
    change.to_bytes = row_bytes(change.to, tensor.n_elements());
    changes.push_back(std::move(change));
  }
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    if (!pattern_used[i]) {
      notes.push_back("note: --tensor-type: no tensor to quantize matches \"" + patterns[i].text() + "\"");
    }
  }
  if (!n_kept.empty()) {
    std::string kept;
    for (const auto& [type, n] : n_kept) {
      kept += (kept.empty() ? "" : ", ") + std::to_string(n) + " " + std::string(name(type));
    }
    if (!options.allow_requantize) {
      throw Error(ErrorKind::kUsage,
                  "tensors are quantized already and would get no smaller (" + kept +
                      "); expected the model that they were made of, a smaller type, or --allow-requantize, "
                      "which keeps them",
                  options.input.string());
    }
    notes.push_back("note: kept as they are, because they would get no smaller: " + kept);
  }
  if (checkpoint.has_foreign_crc32c()) notes.push_back("note: " + std::string(kForeignSums));
  if (n_quantized_twice > 0) {
    notes.push_back("warning: " + std::to_string(n_quantized_twice) +
                    " tensors of the input are quantized already; quantizing again loses accuracy");
  }
}

void Quantization::State::check_imatrix() {
  if (!imatrix) return;
  std::size_t n_found = 0;
  std::size_t n_missing = 0;
  std::string first_missing;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const TensorChange& change = changes[i];
    if (!is_quantized(change.to) || change.to == DType::kQ8_0) continue;
    if (imatrix->has(change.name)) {
      ++n_found;
    } else if (change.name != "token_embd.weight") {  // looked up, not multiplied
      if (n_missing++ == 0) first_missing = change.name;
    }
  }
  if (n_found == 0 && n_missing > 0) {
    throw Error(ErrorKind::kBadInput,
                "the imatrix has none of the " + std::to_string(n_missing) +
                    " tensors to quantize, expected " + printable(first_missing) +
                    " and others: was it computed for this model?",
                imatrix->path().string());
  }
  if (n_missing > 0) {
    notes.push_back("note: the imatrix has nothing for " + std::to_string(n_missing) +
                    " tensors, the first is " + printable(first_missing));
  }
}

// The recipe's, unless what was kept is most of the file: then the input's, where its tensors are still most
// of it, or that of the type that is.
std::uint32_t Quantization::State::file_type() const {
  const FileKindTraits& recipe = traits(options.recipe.kind);
  if (n_kept.empty()) return recipe.file_type;
  std::map<DType, std::uint64_t> n_elements;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (is_quantized(changes[i].to)) n_elements[changes[i].to] += source.tensors[i].n_elements();
  }
  const auto most = std::ranges::max_element(n_elements, {}, [](const auto& entry) { return entry.second; });
  if (most->first == recipe.type) return recipe.file_type;
  const std::optional<std::uint64_t> stated = checkpoint.get_u64("general.file_type");
  for (const FileKindTraits& kind : file_kinds()) {
    if (stated && kind.file_type == *stated && kind.type == most->first) return kind.file_type;
  }
  for (const FileKindTraits& kind : file_kinds()) {
    if (kind.type == most->first) return kind.file_type;
  }
  return recipe.file_type;
}

void Quantization::State::set_keys() {
  GgufMetadata& keys = source.metadata;
  keys.set_u32("general.quantization_version", kQuantizationVersion);
  keys.set_u32("general.file_type", file_type());
  if (!imatrix) return;
  keys.set_string("quantize.imatrix.file", imatrix->path().filename().string());
  const std::vector<std::string> datasets = imatrix->datasets();
  if (!datasets.empty()) keys.set_string("quantize.imatrix.dataset", datasets.front());
  keys.set_u32("quantize.imatrix.entries_count", static_cast<std::uint32_t>(imatrix->n_entries()));
  keys.set_u32("quantize.imatrix.chunks_count", imatrix->n_chunks());
}

// The first tensors of the shards to keep.
std::vector<std::size_t> Quantization::State::shards() const {
  std::vector<std::size_t> first;
  if (!options.keep_split) return first;
  const std::span<const TensorInfo> tensors = checkpoint.tensors();
  for (std::size_t i = 1; i < tensors.size(); ++i) {
    if (tensors[i].file != tensors[i - 1].file) first.push_back(i);
  }
  return first;
}

Quantization::Quantization(QuantizeOptions options) : state_(std::make_unique<State>(std::move(options))) {
  State& state = *state_;
  if (state.options.imatrix) state.imatrix = ImatrixFile::open(*state.options.imatrix);
  state.plan();
  state.decide_all();
  state.check_imatrix();
  state.set_keys();
  refuse_overwriting(state.checkpoint, {state.options.output});
  std::error_code error;
  if (state.imatrix && std::filesystem::equivalent(state.options.output, state.imatrix->path(), error)) {
    throw Error(ErrorKind::kBadInput, "the output is the imatrix, expected another path",
                state.options.output.string());
  }
}

Quantization::~Quantization() = default;

std::span<const TensorChange> Quantization::changes() const {
  return state_->changes;
}

std::span<const std::string> Quantization::notes() const {
  return state_->notes;
}

void Quantization::run() {
  State& state = *state_;
  std::vector<GgufTensor> tensors;
  std::vector<std::string> lines;
  std::vector<std::string> origins;
  for (const TensorChange& change : state.changes) {
    tensors.push_back({change.name, change.to, change.shape});
    lines.push_back(describe(change));
    origins.push_back(state.options.input.string() + ", tensor " + printable(change.name));
  }
  GgufWriter writer(state.options.output, state.source.metadata, std::move(tensors), 0, state.shards());
  refuse_overwriting(state.checkpoint, writer.paths());
  for (const std::string& note : state.notes) say(note);
  quantize_tensors({.tensors = state.source.tensors,
                    .writer = writer,
                    .lines = lines,
                    .origins = origins,
                    .imatrix = state.imatrix ? &*state.imatrix : nullptr},
                   state.options.n_threads);
  writer.commit();
  for (const std::filesystem::path& path : writer.paths()) say("wrote " + path.string());
}

std::string describe(const TensorChange& change) {
  std::string text;
  for (auto dimension = change.shape.rbegin(); dimension != change.shape.rend(); ++dimension) {
    text += (text.empty() ? "" : " x ") + std::to_string(*dimension);
  }
  text += "  ";
  const std::string to(name(change.to));
  if (change.from == to) return text + to + "  " + mebibytes(change.to_bytes) + " MiB";
  text += change.from + " → " + to + "  ";
  if (change.from_bytes > 0) text += mebibytes(change.from_bytes) + " → ";
  return text + mebibytes(change.to_bytes) + " MiB";
}

}  // namespace exa
