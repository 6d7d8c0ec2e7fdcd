#include <array>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "images/decoders.h"

namespace exa {
namespace {

using Bytes = std::span<const std::byte>;

unsigned byte_of(std::byte b) {
  return std::to_integer<unsigned>(b);
}
std::size_t word(ByteReader& reader, const char* what) {
  const Bytes bytes = reader.take(2, what);
  return byte_of(bytes[0]) | byte_of(bytes[1]) << 8;
}

using Palette = std::array<std::array<std::uint8_t, 3>, 256>;

// Colours a file does not name: a ramp of grey where it names none at all, else black.
Palette grey_ramp() {
  Palette palette;
  for (std::size_t i = 0; i < palette.size(); ++i) palette[i].fill(static_cast<std::uint8_t>(i));
  return palette;
}

Palette read_palette(ByteReader& reader, unsigned flags) {
  Palette palette{};
  const std::size_t n_colors = std::size_t{2} << (flags & 7);
  const Bytes bytes = reader.take(3 * n_colors, "GIF palette");
  for (std::size_t i = 0; i < 3 * n_colors; ++i) palette[i / 3][i % 3] = static_cast<std::uint8_t>(bytes[i]);
  return palette;
}

// The sub-blocks up to the empty one, joined.
std::vector<std::byte> read_blocks(ByteReader& reader) {
  std::vector<std::byte> joined;
  for (;;) {
    const unsigned n_bytes = byte_of(reader.take(1, "GIF block length")[0]);
    if (n_bytes == 0) return joined;
    const Bytes block = reader.take(n_bytes, "GIF block");
    joined.insert(joined.end(), block.begin(), block.end());
  }
}

// Fills `indices` with the picture that `codes` hold; false where they are broken or end too early.
bool expand(Bytes codes, unsigned root_bits, std::span<std::uint8_t> indices) {
  constexpr unsigned kMostCodes = 4096;
  std::vector<std::uint16_t> before(kMostCodes);
  std::vector<std::uint8_t> last(kMostCodes);
  std::vector<std::uint8_t> first(kMostCodes);
  std::vector<std::uint8_t> text(kMostCodes + 1);  // of one code, back to front
  const unsigned clear = 1u << root_bits;
  const unsigned end = clear + 1;
  for (unsigned i = 0; i < clear; ++i) last[i] = first[i] = static_cast<std::uint8_t>(i);
  unsigned n_codes = end + 1;
  unsigned code_bits = root_bits + 1;
  unsigned previous = end;  // end: none since the table was cleared
  unsigned bits = 0;
  unsigned n_bits = 0;
  std::size_t at = 0;
  std::size_t done = 0;
  while (done < indices.size()) {
    while (n_bits < code_bits) {
      if (at == codes.size()) return false;
      bits |= byte_of(codes[at++]) << n_bits;
      n_bits += 8;
    }
    const unsigned code = bits & ((1u << code_bits) - 1);
    bits >>= code_bits;
    n_bits -= code_bits;
    if (code == clear) {
      n_codes = end + 1;
      code_bits = root_bits + 1;
      previous = end;
      continue;
    }
    if (code == end) return false;
    const bool is_new = code == n_codes;
    if (code > n_codes || (previous == end && code >= clear)) return false;
    std::size_t length = 0;
    unsigned walk = code;
    if (is_new) {
      text[length++] = first[previous];
      walk = previous;
    }
    for (; walk > end; walk = before[walk]) text[length++] = last[walk];
    text[length++] = static_cast<std::uint8_t>(walk);
    if (previous != end && n_codes < kMostCodes) {
      before[n_codes] = static_cast<std::uint16_t>(previous);
      last[n_codes] = text[length - 1];
      first[n_codes] = first[previous];
      if (++n_codes == (1u << code_bits) && code_bits < 12) ++code_bits;
    } else if (is_new) {
      return false;
    }
    previous = code;
    for (; length > 0 && done < indices.size(); --length) indices[done++] = text[length - 1];
  }
  return true;
}

// The line of the picture that the n-th stored line is.
std::size_t interlaced_line(std::size_t n, std::size_t height) {
  constexpr std::array<std::pair<std::size_t, std::size_t>, 4> kPasses = {{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
  for (const auto& [start, step] : kPasses) {
    const std::size_t n_lines = height > start ? (height - start + step - 1) / step : 0;
    if (n < n_lines) return start + n * step;
    n -= n_lines;
  }
  return height - 1;
}

}  // namespace

void decode_gif(Bytes file, const ImageHeader& header, std::span<std::uint8_t> rgb,
                const std::string& where) {
  ByteReader reader(file, where);
  reader.take(10, "GIF header");
  const unsigned screen_flags = byte_of(reader.take(1, "GIF flags")[0]);
  reader.take(2, "GIF background");
  Palette palette = (screen_flags & 0x80) != 0 ? read_palette(reader, screen_flags) : grey_ramp();
  std::size_t around = 0;  // colour of what the frame does not cover
  for (;;) {
    const unsigned kind = byte_of(reader.take(1, "GIF block kind")[0]);
    if (kind == 0x21) {
      const unsigned label = byte_of(reader.take(1, "GIF extension")[0]);
      const std::vector<std::byte> body = read_blocks(reader);
      if (label == 0xF9 && body.size() >= 4 && (byte_of(body[0]) & 1) != 0) around = byte_of(body[3]);
    } else if (kind == 0x2C) {
      break;
    } else {
      throw Error(ErrorKind::kBadInput, "the GIF has no picture before its end", reader.where());
    }
  }
  const std::size_t left = word(reader, "GIF frame");
  const std::size_t top = word(reader, "GIF frame");
  const std::size_t width = word(reader, "GIF frame");
  const std::size_t height = word(reader, "GIF frame");
  const unsigned flags = byte_of(reader.take(1, "GIF frame flags")[0]);
  if ((flags & 0x80) != 0) palette = read_palette(reader, flags);
  const std::size_t screen_width = header.stored_width;
  if (width == 0 || height == 0 || left + width > screen_width || top + height > header.stored_height) {
    throw Error(ErrorKind::kBadInput,
                "the GIF's frame is " + std::to_string(width) + " x " + std::to_string(height) + " at " +
                    std::to_string(left) + ", " + std::to_string(top) + ", expected it inside " +
                    std::to_string(screen_width) + " x " + std::to_string(header.stored_height),
                where);
  }
  const unsigned root_bits =
      Foreign(byte_of(reader.take(1, "GIF code size")[0])).within(1, 8, "GIF code size", reader.where());
  const std::vector<std::byte> codes = read_blocks(reader);
  std::vector<std::uint8_t> indices(width * height);
  if (!expand(codes, root_bits, indices)) {
    throw Error(ErrorKind::kBadInput, "the GIF cannot be decoded: its codes are broken or end too early",
                where);
  }
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = palette[around][i % 3];
  for (std::size_t n = 0; n < height; ++n) {
    const std::size_t y = (flags & 0x40) != 0 ? interlaced_line(n, height) : n;
    std::uint8_t* out = rgb.data() + 3 * ((top + y) * screen_width + left);
    for (std::size_t x = 0; x < width; ++x) {
      for (const std::uint8_t sample : palette[indices[n * width + x]]) *out++ = sample;
    }
  }
}

}  // namespace exa
