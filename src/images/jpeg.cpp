#include <csetjmp>
#include <cstdio>
#include <vector>

#include <jpeglib.h>

#include "base/error.h"
#include "images/decoders.h"

namespace exa {
namespace {

// A progressive picture has some ten scans; thousands of them are an attack on our time.
constexpr int kMostScans = 100;

// What libjpeg's callbacks share; they leave it by longjmp, so that nothing here has a destructor.
struct Session {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  jpeg_source_mgr source;
  jpeg_progress_mgr progress;
  std::jmp_buf leave;
  char message[JMSG_LENGTH_MAX];
};

Session& session_of(j_common_ptr info) {
  return *static_cast<Session*>(info->client_data);
}

[[noreturn]] void fail(Session& session, const char* message) {
  std::snprintf(session.message, sizeof session.message, "%s", message);
  std::longjmp(session.leave, 1);
}

void on_error(j_common_ptr info) {
  Session& session = session_of(info);
  info->err->format_message(info, session.message);
  std::longjmp(session.leave, 1);
}

void on_message(j_common_ptr, int) {}
void on_output(j_common_ptr) {}

void on_start(j_decompress_ptr) {}
boolean on_more_input(j_decompress_ptr info) {
  fail(session_of(reinterpret_cast<j_common_ptr>(info)), "the file ends too early");
}
void on_skip(j_decompress_ptr info, long n_bytes) {
  if (n_bytes <= 0) return;
  if (static_cast<std::size_t>(n_bytes) > info->src->bytes_in_buffer) on_more_input(info);
  info->src->next_input_byte += n_bytes;
  info->src->bytes_in_buffer -= static_cast<std::size_t>(n_bytes);
}

void on_progress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMostScans) {
    fail(session_of(info), "too many scans");
  }
}

// Ink as Adobe stores it (inverted) on white paper.
void rgb_from_cmyk(const std::uint8_t* cmyk, std::size_t n_pixels, std::uint8_t* rgb) {
  for (std::size_t i = 0; i < n_pixels; ++i, cmyk += 4, rgb += 3) {
    const unsigned light = cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const unsigned product = (255u - cmyk[c]) * light + 128;
      rgb[c] = static_cast<std::uint8_t>(light - (((product >> 8) + product) >> 8));
    }
  }
}

void rgb_from_grey(const std::uint8_t* grey, std::size_t n_pixels, std::uint8_t* rgb) {
  for (std::size_t i = 0; i < n_pixels; ++i, rgb += 3) rgb[0] = rgb[1] = rgb[2] = grey[i];
}

// False where session.message says why not. row: 4 bytes a pixel of a line.
bool decode(Session& session, std::span<const std::byte> file, const ImageHeader& header, std::uint8_t* rgb,
            std::uint8_t* row) {
  jpeg_decompress_struct& info = session.info;
  info.err = jpeg_std_error(&session.errors);
  session.errors.error_exit = on_error;
  session.errors.emit_message = on_message;
  session.errors.output_message = on_output;
  info.client_data = &session;
  if (setjmp(session.leave) != 0) {
    jpeg_destroy_decompress(&info);
    return false;
  }
  jpeg_create_decompress(&info);
  info.client_data = &session;
  session.source.init_source = on_start;
  session.source.fill_input_buffer = on_more_input;
  session.source.skip_input_data = on_skip;
  session.source.resync_to_restart = jpeg_resync_to_restart;
  session.source.term_source = on_start;
  session.source.next_input_byte = reinterpret_cast<const JOCTET*>(file.data());
  session.source.bytes_in_buffer = file.size();
  info.src = &session.source;
  session.progress.progress_monitor = on_progress;
  info.progress = &session.progress;

  jpeg_read_header(&info, TRUE);
  if (info.image_width != header.stored_width || info.image_height != header.stored_height) {
    fail(session, "two frame headers of different size");
  }
  const int n_components = info.num_components;
  if (n_components != 1 && n_components != 3 && n_components != 4)
    fail(session, "no RGB, grey or CMYK picture");
  info.out_color_space = n_components == 1 ? JCS_GRAYSCALE : n_components == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_start_decompress(&info);
  const std::size_t width = info.output_width;
  while (info.output_scanline < info.output_height) {
    std::uint8_t* const out = rgb + std::size_t{3} * width * info.output_scanline;
    JSAMPROW line = n_components == 3 ? out : row;
    jpeg_read_scanlines(&info, &line, 1);
    if (n_components == 1) rgb_from_grey(row, width, out);
    if (n_components == 4) rgb_from_cmyk(row, width, out);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return true;
}

}  // namespace

void decode_jpeg(std::span<const std::byte> file, const ImageHeader& header, std::span<std::uint8_t> rgb,
                 const std::string& where) {
  std::vector<std::uint8_t> row(std::size_t{4} * header.stored_width);
  Session session{};
  if (!decode(session, file, header, rgb.data(), row.data())) {
    throw Error(ErrorKind::kBadInput, std::string("the JPEG cannot be decoded: ") + session.message, where);
  }
}

}  // namespace exa
