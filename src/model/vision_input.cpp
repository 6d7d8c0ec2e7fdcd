#include "model/vision_input.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace exa {
namespace {

constexpr double kMostRatio = 200.0;
constexpr int kCoefficientBits = 22;

double round_half_even(double x) {
  return std::nearbyint(x);
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

// Which inputs one output mixes, and with which weights of 22 bits behind the point.
struct Taps {
  std::int64_t first;
  std::vector<std::int32_t> weights;
};

std::vector<Taps> bicubic_taps(std::int64_t n_in, std::int64_t n_out) {
  const double scale = static_cast<double>(n_in) / static_cast<double>(n_out);
  const double filter_scale = std::max(scale, 1.0);
  const double support = 2.0 * filter_scale;
  const double inverse = 1.0 / filter_scale;
  std::vector<Taps> taps(static_cast<std::size_t>(n_out));
  std::vector<double> weights;
  for (std::int64_t i = 0; i < n_out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const std::int64_t first = std::max<std::int64_t>(0, static_cast<std::int64_t>(center - support + 0.5));
    const std::int64_t end = std::min(n_in, static_cast<std::int64_t>(center + support + 0.5));
    weights.clear();
    double sum = 0.0;
    for (std::int64_t k = first; k < end; ++k) {
      weights.push_back(bicubic((static_cast<double>(k) - center + 0.5) * inverse));
      sum += weights.back();
    }
    Taps& tap = taps[static_cast<std::size_t>(i)];
    tap.first = first;
    for (double weight : weights) {
      if (sum != 0.0) weight /= sum;
      const double fixed = weight * (1 << kCoefficientBits);
      tap.weights.push_back(static_cast<std::int32_t>(weight < 0 ? fixed - 0.5 : fixed + 0.5));
    }
  }
  return taps;
}

std::uint8_t rounded(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kCoefficientBits, 0, 255));
}

// Each line of n_in pixels becomes one of taps.size() pixels.
std::vector<std::uint8_t> resample_lines(const std::vector<std::uint8_t>& in, std::int64_t n_in,
                                         std::int64_t n_lines, const std::vector<Taps>& taps) {
  std::vector<std::uint8_t> out(static_cast<std::size_t>(n_lines) * taps.size() * 3);
  std::uint8_t* to = out.data();
  for (std::int64_t line = 0; line < n_lines; ++line) {
    for (const Taps& tap : taps) {
      const std::uint8_t* from = in.data() + 3 * (line * n_in + tap.first);
      std::int32_t sums[3];
      std::fill_n(sums, 3, 1 << (kCoefficientBits - 1));
      for (const std::int32_t weight : tap.weights) {
        for (int c = 0; c < 3; ++c) sums[c] += *from++ * weight;
      }
      for (const std::int32_t sum : sums) *to++ = rounded(sum);
    }
  }
  return out;
}

// Lines of `width` pixels are mixed into taps.size() lines.
std::vector<std::uint8_t> resample_columns(const std::vector<std::uint8_t>& in, std::int64_t width,
                                           const std::vector<Taps>& taps) {
  const auto stride = static_cast<std::size_t>(3 * width);
  std::vector<std::uint8_t> out(stride * taps.size());
  std::vector<std::int32_t> sums(stride);
  std::uint8_t* to = out.data();
  for (const Taps& tap : taps) {
    std::fill(sums.begin(), sums.end(), 1 << (kCoefficientBits - 1));
    const std::uint8_t* from = in.data() + static_cast<std::size_t>(tap.first) * stride;
    for (const std::int32_t weight : tap.weights) {
      for (std::size_t i = 0; i < stride; ++i) sums[i] += from[i] * weight;
      from += stride;
    }
    for (const std::int32_t sum : sums) *to++ = rounded(sum);
  }
  return out;
}

Image stretched(Image image, const VisionGrid& grid, const VisionConfig& config) {
  const std::int64_t width = grid.w * config.patch_px;
  const std::int64_t height = grid.h * config.patch_px;
  if (image.width == width && image.height == height) return image;
  return resize_bicubic(image, width, height);
}

}  // namespace

VisionGrid image_grid(std::int64_t width, std::int64_t height, const VisionConfig& config,
                      const std::string& where) {
  const auto w = static_cast<double>(width);
  const auto h = static_cast<double>(height);
  if (width < 1 || height < 1 || std::max(w, h) / std::min(w, h) > kMostRatio) {
    throw Error(ErrorKind::kBadInput,
                "the picture is " + std::to_string(width) + " x " + std::to_string(height) +
                    " pixels, expected sides of at most 200 to 1",
                where);
  }
  const auto cell = static_cast<double>(config.cell_px());
  const auto most = static_cast<double>(config.max_pixels);
  const auto fewest = static_cast<double>(config.min_pixels);
  double rows = round_half_even(h / cell);
  double columns = round_half_even(w / cell);
  if (rows * columns * cell * cell > most) {
    const double beta = std::sqrt(h * w / most);
    rows = std::max(1.0, std::floor(h / beta / cell));
    columns = std::max(1.0, std::floor(w / beta / cell));
  } else if (rows * columns * cell * cell < fewest) {
    const double beta = std::sqrt(fewest / (h * w));
    rows = std::ceil(h * beta / cell);
    columns = std::ceil(w * beta / cell);
  }
  // Limits of a file may be so low that a side would vanish.
  const auto cells = [](double n) { return std::max<std::int64_t>(1, static_cast<std::int64_t>(n)); };
  return {1, cells(rows) * config.merge, cells(columns) * config.merge};
}

Image resize_bicubic(const Image& image, std::int64_t width, std::int64_t height) {
  // Both passes round to bytes, so that their order shows. Pillow begins with the rows where a picture loses
  // more than twice as many of them as columns.
  const bool rows_first = height < image.height && image.height - height > 2 * (image.width - width);
  std::vector<std::uint8_t> pixels = image.rgb;
  std::int64_t n_lines = image.height;
  const auto mix_rows = [&](std::int64_t line_width) {
    if (height != image.height)
      pixels = resample_columns(pixels, line_width, bicubic_taps(image.height, height));
    n_lines = height;
  };
  if (rows_first) mix_rows(image.width);
  if (width != image.width) {
    pixels = resample_lines(pixels, image.width, n_lines, bicubic_taps(image.width, width));
  }
  if (!rows_first) mix_rows(width);
  return {width, height, std::move(pixels)};
}

VisionInput vision_input(Image image, const VisionConfig& config, const std::string& where) {
  VisionInput input;
  input.grid = image_grid(image.width, image.height, config, where);
  input.frames.push_back(stretched(std::move(image), input.grid, config));
  return input;
}

VisionInput vision_input(std::vector<Image> frames, const VisionConfig& config, const std::string& where) {
  if (frames.empty())
    throw Error(ErrorKind::kBadInput, "the video has no frame, expected at least one", where);
  for (const Image& frame : frames) {
    if (frame.width == frames.front().width && frame.height == frames.front().height) continue;
    throw Error(ErrorKind::kBadInput, "the video's frames differ in size, expected one size", where);
  }
  VisionInput input;
  input.grid = image_grid(frames.front().width, frames.front().height, config, where);
  for (Image& frame : frames) input.frames.push_back(stretched(std::move(frame), input.grid, config));
  if (input.frames.size() % 2 != 0) input.frames.push_back(input.frames.back());
  input.grid.t = static_cast<std::int64_t>(input.frames.size()) / VisionConfig::kFramesAPatch;
  return input;
}

Patches::Patches(const VisionInput& input, const VisionConfig& config)
    : input_(input), patch_px_(config.patch_px), merge_(config.merge), normalized_(3 * 256) {
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t level = 0; level < 256; ++level) {
      const double centered = static_cast<double>(level) / 255.0 - static_cast<double>(config.mean[c]);
      normalized_[256 * c + level] = static_cast<float>(centered / static_cast<double>(config.std[c]));
    }
  }
}

void Patches::read(std::int64_t patch, float* out) const {
  const VisionGrid& grid = input_.grid;
  const std::int64_t in_cell = patch % (merge_ * merge_);
  std::int64_t cell = patch / (merge_ * merge_);
  const std::int64_t cells_across = grid.w / merge_;
  const std::int64_t x = (cell % cells_across * merge_ + in_cell % merge_) * patch_px_;
  cell /= cells_across;
  const std::int64_t cells_down = grid.h / merge_;
  const std::int64_t y = (cell % cells_down * merge_ + in_cell / merge_) * patch_px_;
  const std::int64_t t = cell / cells_down;
  for (std::size_t c = 0; c < 3; ++c) {
    const float* const normalized = normalized_.data() + 256 * c;
    for (std::int64_t f = 0; f < VisionConfig::kFramesAPatch; ++f) {
      // The one frame of a still picture stands for both of its pair.
      const std::size_t index =
          input_.frames.size() == 1 ? 0 : static_cast<std::size_t>(VisionConfig::kFramesAPatch * t + f);
      const Image& frame = input_.frames[index];
      for (std::int64_t row = 0; row < patch_px_; ++row) {
        const std::uint8_t* pixel = frame.rgb.data() + 3 * ((y + row) * frame.width + x) + c;
        for (std::int64_t column = 0; column < patch_px_; ++column, pixel += 3) *out++ = normalized[*pixel];
      }
    }
  }
}

}  // namespace exa
