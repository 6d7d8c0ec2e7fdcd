#include "cli/stages/embed_image.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/progress.h"
#include "base/threads.h"
#include "cli/flags/image_flags.h"
#include "cli/flags/model_flag.h"
#include "cli/flags/named_files.h"
#include "cli/flags/threads_flag.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/streams.h"
#include "exaone/engine.h"
#include "formats/checkpoint.h"
#include "images/image.h"
#include "images/jail.h"
#include "kernels/backend.h"
#include "model/vision.h"

namespace exa {
namespace {

struct EmbedImageOptions {
  std::filesystem::path model;
  std::filesystem::path mmproj;
  std::vector<std::filesystem::path> pictures;
  std::filesystem::path output;
  ImageJailMode jail = ImageJailMode::kAuto;
  std::int64_t min_tokens = 0;
  std::int64_t max_tokens = 0;
  int n_threads = 0;
  bool exact = false;
  bool video = false;
  bool verbose = false;
};

template <typename T>
void append(NamedArray& array, std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  array.bytes.insert(array.bytes.end(), bytes.begin(), bytes.end());
}

std::vector<VisionInput> read_inputs(const EmbedImageOptions& options, const VisionConfig& config) {
  ImageJail jail(options.jail);
  std::vector<VisionInput> inputs;
  std::vector<Image> frames;
  for (const std::filesystem::path& path : options.pictures) {
    const std::shared_ptr<const std::string> bytes = read_picture_file(path);
    const auto file = std::as_bytes(std::span(*bytes));
    const ImageHeader header = read_image_header(file, {}, path.string());
    // A picture that no tower takes is refused before it is decoded.
    image_grid(header.width(), header.height(), config, path.string());
    Image image = jail.decode(file, header, path.string());
    if (options.video) {
      frames.push_back(std::move(image));
    } else {
      inputs.push_back(vision_input(std::move(image), config, path.string()));
    }
  }
  if (options.video)
    inputs.push_back(vision_input(std::move(frames), config, options.pictures.front().string()));
  return inputs;
}

// Takes the pictures apart as it goes: a large one's values and rows are held once.
void write_arrays(const std::filesystem::path& output, std::vector<VisionInput> inputs,
                  std::vector<std::vector<float>> embeds, const VisionConfig& config) {
  const auto width = static_cast<std::uint64_t>(config.patch_values());
  const auto out_hidden = static_cast<std::uint64_t>(config.out_hidden);
  std::uint64_t n_patches = 0;
  std::uint64_t n_tokens = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    n_patches += static_cast<std::uint64_t>(inputs[i].grid.n_patches());
    n_tokens += embeds[i].size() / out_hidden;
  }
  std::vector<NamedArray> arrays = {{"pixel_values", DType::kF32, {n_patches, width}, {}},
                                    {"grid_thw", DType::kI32, {inputs.size(), 3}, {}},
                                    {"embeds", DType::kF32, {n_tokens, out_hidden}, {}}};
  NamedArray& pixel_values = arrays[0];
  NamedArray& grids = arrays[1];
  NamedArray& rows = arrays[2];
  pixel_values.bytes.reserve(n_patches * width * sizeof(float));
  rows.bytes.reserve(n_tokens * out_hidden * sizeof(float));
  std::vector<float> patch(width);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const VisionGrid& grid = inputs[i].grid;
    const Patches patches(inputs[i], config);
    for (std::int64_t p = 0; p < grid.n_patches(); ++p) {
      patches.read(p, patch.data());
      append<float>(pixel_values, patch);
    }
    const std::int32_t thw[] = {static_cast<std::int32_t>(grid.t), static_cast<std::int32_t>(grid.h),
                                static_cast<std::int32_t>(grid.w)};
    append<std::int32_t>(grids, thw);
    append<float>(rows, std::exchange(embeds[i], {}));
  }
  write_safetensors(output, arrays);
}

void run_embed_image(const EmbedImageOptions& options) {
  const std::filesystem::path& source = options.mmproj.empty() ? options.model : options.mmproj;
  const Checkpoint checkpoint = Checkpoint::open(source);
  if (!has_vision(checkpoint)) {
    throw Error(ErrorKind::kUnsupported, "the model has no vision tower, expected one here or --mmproj FILE",
                source.string());
  }
  VisionConfig config = read_vision_config(checkpoint);
  set_image_tokens(config, options.min_tokens, options.max_tokens);
  const auto seconds_since = [](std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  std::vector<VisionInput> inputs = read_inputs(options, config);
  const double picture_seconds = seconds_since(start);

  CancelToken cancel;
  const CancelOnInterrupt on_interrupt(cancel);
  ThreadPool pool(options.n_threads > 0 ? options.n_threads : usable_cores());
  const std::unique_ptr<Backend> backend = make_cpu_backend(pool);
  const auto stop_if_asked = [&] {
    if (cancel.cancelled()) throw Error(ErrorKind::kInterrupted, "interrupted");
  };
  const std::chrono::steady_clock::time_point load_start = std::chrono::steady_clock::now();
  const VisionWeights weights =
      load_vision_weights(checkpoint, *backend, options.exact ? Precision::kExact : Precision::kProduction,
                          [&](std::uint64_t) { stop_if_asked(); });
  const double load_seconds = seconds_since(load_start);
  VisionTower tower(weights, *backend);
  const std::chrono::steady_clock::time_point encode_start = std::chrono::steady_clock::now();
  Progress progress("encoding");
  std::vector<std::vector<float>> embeds = tower.encode(inputs, [&](double fraction) {
    stop_if_asked();
    progress.update(fraction);
  });
  progress.clear();
  if (options.verbose) {
    std::size_t n_tokens = 0;
    for (const std::vector<float>& rows : embeds)
      n_tokens += rows.size() / static_cast<std::size_t>(config.out_hidden);
    write_note(fmt::format("pictures {:.2f} s, weights {:.2f} s, {} tokens encoded in {:.2f} s\n",
                           picture_seconds, load_seconds, n_tokens, seconds_since(encode_start)));
  }
  write_arrays(options.output, std::move(inputs), std::move(embeds), config);
}

}  // namespace

void add_embed_image(CLI::App& app) {
  const auto options = std::make_shared<EmbedImageOptions>();
  CLI::App* const command =
      app.add_subcommand("embed-image", "Write what the vision tower makes of pictures as safetensors");
  add_model_option(*command, options->model);
  command->add_option("--mmproj", options->mmproj,
                      "A .gguf file with the vision tower, where the model has none");
  command->add_option("pictures", options->pictures, "JPEG, PNG, WebP or GIF files")->required();
  command
      ->add_option(
          "--output", options->output,
          "safetensors to write: pixel_values f32, grid_thw i32 [n, 3], embeds f32, all pictures in order")
      ->required();
  command->add_flag("--video", options->video, "The pictures are the frames of one video");
  command->add_flag("-v,--verbose", options->verbose, "Say what the steps took, on standard error");
  command->add_flag("--exact", options->exact, "Weights and activations in fp32");
  add_image_flags(*command, options->min_tokens, options->max_tokens, options->jail);
  add_threads_flag(*command, options->n_threads);
  command->callback([options] { run_embed_image(*options); });
}

}  // namespace exa
