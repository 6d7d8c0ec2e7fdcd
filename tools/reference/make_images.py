#!/usr/bin/env python3
"""Makes tests/data/images: small pictures in every form, and what Pillow sees in them.

For each picture X.ext, X.rgb.png holds ImageOps.exif_transpose(Image.open(X)).convert("RGB"); 16-bit grey is v >> 8,
where Pillow clips to white. Needs numpy and Pillow. Pictures named bad-* must be refused.
"""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

OUT = Path(__file__).resolve().parents[2] / "tests/data/images"


def picture(width, height, seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    channels = [128 + 100 * np.sin(x / (3 + c) + seed) * np.cos(y / (4 + c)) for c in range(4)]
    noise = rng.integers(-20, 20, (height, width, 4))
    return np.clip(np.stack(channels, -1) + noise, 0, 255).astype(np.uint8)


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, color, rows, interlace=0, extra=b"", after=b""):
    data = zlib.compress(rows, 9)
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)) +
            extra + png_chunk(b"IDAT", data) + after + png_chunk(b"IEND", b""))


def packed_rows(values, depth):
    """values [h, w, channels] as PNG rows with filter 0."""
    rows = b""
    for row in values:
        flat = row.reshape(-1)
        if depth == 16:
            rows += b"\0" + flat.astype(">u2").tobytes()
        else:
            bits = "".join(format(int(v), f"0{depth}b") for v in flat)
            bits += "0" * (-len(bits) % 8)
            rows += b"\0" + bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
    return rows


def interlaced_rows(values, depth):
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    return b"".join(packed_rows(values[y::dy, x::dx], depth) for y, x, dy, dx in passes
                    if values[y::dy, x::dx].size)


def exif(orientation, big=False):
    order = ">" if big else "<"
    entries = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return (b"MM\0*" if big else b"II*\0") + struct.pack(order + "IH", 8, 1) + entries + b"\0\0\0\0"


def write(name, data, expected=None):
    (OUT / name).write_bytes(data)
    if name.startswith("bad-"):
        return
    if expected is None:
        expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    stem = name.rsplit(".", 1)[0]
    Image.fromarray(expected).save(OUT / f"{stem}.rgb.png", optimize=True)


def save(name, image, **options):
    stream = io.BytesIO()
    image.save(stream, **options)
    write(name, stream.getvalue())


def make_png():
    for depth in (1, 2, 4):
        grey = picture(13, 9, depth)[..., :1] >> (8 - depth)
        write(f"png-grey{depth}.png", png(13, 9, depth, 0, packed_rows(grey, depth)))
        colors = picture(1 << depth, 1, 7)[0, :, :3].tobytes()
        write(f"png-palette{depth}.png", png(13, 9, depth, 3, packed_rows(grey, depth), extra=png_chunk(b"PLTE", colors)))
    wide = picture(11, 7, 5).astype(np.uint16) * 257 ^ 0x00A5
    write("png-grey16.png", png(11, 7, 16, 0, packed_rows(wide[..., :1], 16)),
          np.repeat((wide[..., :1] >> 8).astype(np.uint8), 3, -1))
    write("png-rgb16.png", png(11, 7, 16, 2, packed_rows(wide[..., :3], 16)))
    write("png-rgba16.png", png(11, 7, 16, 6, packed_rows(wide, 16)))
    write("png-la16.png", png(11, 7, 16, 4, packed_rows(wide[..., :2], 16)))
    rgba = picture(17, 12, 9)
    write("png-interlaced.png", png(17, 12, 8, 2, interlaced_rows(rgba[..., :3], 8), interlace=1))
    write("png-rgba.png", png(17, 12, 8, 6, packed_rows(rgba, 8)))
    grey = rgba[..., :1]
    write("png-grey-transparent.png", png(17, 12, 8, 0, packed_rows(grey, 8), extra=png_chunk(b"tRNS", b"\0\x80")))
    write("png-rgb-transparent.png", png(17, 12, 8, 2, packed_rows(rgba[..., :3], 8),
                                         extra=png_chunk(b"tRNS", b"\0\x80\0\x80\0\x80")))
    colors = picture(8, 1, 3)[0, :, :3].tobytes()
    write("png-palette-transparent.png", png(17, 12, 8, 3, packed_rows(grey >> 5, 8),
                                             extra=png_chunk(b"PLTE", colors) + png_chunk(b"tRNS", b"\0\x40\xff")))
    write("png-gamma.png", png(17, 12, 8, 2, packed_rows(rgba[..., :3], 8), extra=png_chunk(b"gAMA", struct.pack(">I", 100000))))
    write("png-exif6.png", png(17, 12, 8, 2, packed_rows(rgba[..., :3], 8), extra=png_chunk(b"eXIf", exif(6, big=True))))
    write("png-exif-late.png", png(17, 12, 8, 2, packed_rows(rgba[..., :3], 8), after=png_chunk(b"eXIf", exif(3))))
    frames = [Image.fromarray(picture(10, 10, s)[..., :3]) for s in (1, 2)]
    stream = io.BytesIO()
    frames[0].save(stream, format="PNG", save_all=True, append_images=frames[1:])
    write("bad-animated.png", stream.getvalue())


def make_jpeg():
    rgb = Image.fromarray(picture(43, 29, 11)[..., :3])
    for orientation in range(2, 9):
        save(f"jpeg-exif{orientation}.jpg", Image.fromarray(picture(19, 13, 12)[..., :3]), format="JPEG", quality=85,
             exif=b"Exif\0\0" + exif(orientation, big=orientation % 2 == 0))
    save("jpeg-420.jpg", rgb, format="JPEG", quality=80, subsampling=2)
    save("jpeg-444-progressive.jpg", rgb, format="JPEG", quality=90, subsampling=0, progressive=True)
    save("jpeg-restart.jpg", rgb, format="JPEG", quality=70, restart_marker_blocks=1)
    save("jpeg-grey.jpg", rgb.convert("L"), format="JPEG", quality=80)
    save("jpeg-cmyk.jpg", Image.fromarray(picture(21, 18, 13), "CMYK"), format="JPEG", quality=85)
    save("jpeg-rgb.jpg", rgb, format="JPEG", quality=85, keep_rgb=True)


def make_webp():
    rgba = Image.fromarray(picture(31, 22, 14), "RGBA")
    save("webp-alpha.webp", rgba, format="WEBP", quality=80)
    save("webp-lossless-alpha.webp", rgba, format="WEBP", lossless=True, exact=True)
    save("webp-lossless.webp", rgba.convert("RGB"), format="WEBP", lossless=True)
    save("webp-exif8.webp", rgba.convert("RGB"), format="WEBP", lossless=True, exif=b"Exif\0\0" + exif(8))
    frames = [Image.fromarray(picture(12, 12, s)[..., :3]) for s in (3, 4)]
    stream = io.BytesIO()
    frames[0].save(stream, format="WEBP", save_all=True, append_images=frames[1:], duration=100)
    write("bad-animated.webp", stream.getvalue())


def make_gif():
    rgb = Image.fromarray(picture(40, 33, 15)[..., :3])
    save("gif-plain.gif", rgb.quantize(64), format="GIF", interlace=0)
    save("gif-interlaced.gif", rgb.quantize(256), format="GIF", interlace=1)
    save("gif-grey.gif", rgb.convert("L"), format="GIF")
    save("gif-large.gif", Image.fromarray(picture(150, 120, 18)[..., :3]).quantize(128), format="GIF")
    frames = [Image.fromarray(picture(14, 15, s)[..., :3]).quantize(16) for s in (5, 6)]
    save("gif-animated.gif", frames[0], format="GIF", save_all=True, append_images=frames[1:])
    # A frame in the middle of the screen, beside it the transparent colour.
    small = Image.fromarray(picture(9, 8, 16)[..., :3]).quantize(8)
    stream = io.BytesIO()
    small.save(stream, format="GIF", transparency=3, interlace=0)
    data = bytearray(stream.getvalue())
    at = data.index(b"\x2c\0\0\0\0")
    data[6:10] = struct.pack("<HH", 15, 14)
    data[at + 1:at + 5] = struct.pack("<HH", 4, 3)
    write("gif-offset.gif", bytes(data))
    data[at - 8 + 3] = 0  # no transparent colour
    write("gif-offset-opaque.gif", bytes(data))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    make_png()
    make_jpeg()
    make_webp()
    make_gif()
    print(sum(p.stat().st_size for p in OUT.iterdir()), "bytes in", len(list(OUT.iterdir())), "files", file=sys.stderr)


if __name__ == "__main__":
    main()
