#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "images/decoders.h"

namespace exa {
namespace {

constexpr unsigned kMostKeptChunks = 128;

// What libpng's callbacks share; they leave it by longjmp, so that nothing here has a destructor.
struct PngSession {
  const std::byte* next;
  std::size_t n_left;
  char message[128];
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto& session = *static_cast<PngSession*>(png_get_error_ptr(png));
  std::snprintf(session.message, sizeof session.message, "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep out, png_size_t n_bytes) {
  auto& session = *static_cast<PngSession*>(png_get_io_ptr(png));
  if (n_bytes > session.n_left) png_error(png, "the file ends too early");
  std::memcpy(out, session.next, n_bytes);
  session.next += n_bytes;
  session.n_left -= n_bytes;
}

// Eight bits, three channels: palettes and few bits widen, the low byte of 16 and alpha go.
void ask_for_rgb(png_structp png, png_infop info) {
  png_set_strip_16(png);
  const int color = png_get_color_type(png, info);
  if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (color == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
  if ((color & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
}

// False where session.message says why not.
bool decode(PngSession& session, const ImageHeader& header, png_bytepp rows) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &session, on_error, on_warning);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  if (info == nullptr) {
    png_destroy_read_struct(&png, nullptr, nullptr);
    std::snprintf(session.message, sizeof session.message, "out of memory");
    return false;
  }
  if (setjmp(png_jmpbuf(png)) != 0) {
    png_destroy_read_struct(&png, &info, nullptr);
    return false;
  }
  png_set_read_fn(png, &session, on_read);
  png_set_user_limits(png, header.stored_width, header.stored_height);
  png_set_chunk_cache_max(png, kMostKeptChunks);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, 0);
  png_read_info(png, info);
  if (png_get_image_width(png, info) != header.stored_width ||
      png_get_image_height(png, info) != header.stored_height) {
    png_error(png, "two headers of different size");
  }
  ask_for_rgb(png, info);
  if (png_get_rowbytes(png, info) != std::size_t{3} * header.stored_width)
    png_error(png, "not a picture in RGB");
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  png_destroy_read_struct(&png, &info, nullptr);
  return true;
}

}  // namespace

void decode_png(std::span<const std::byte> file, const ImageHeader& header, std::span<std::uint8_t> rgb,
                const std::string& where) {
  std::vector<png_bytep> rows(header.stored_height);
  for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = rgb.data() + 3 * y * header.stored_width;
  PngSession session{file.data(), file.size(), {}};
  if (!decode(session, header, rows.data())) {
    throw Error(ErrorKind::kBadInput, std::string("the PNG cannot be decoded: ") + session.message, where);
  }
}

}  // namespace exa
