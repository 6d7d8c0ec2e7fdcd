#!/usr/bin/env python3
"""Pictures from outside: `exaone embed-image` on good ones, on broken ones and on ones made to hurt."""

import json
import math
import shutil
import struct
import sys
import time
import unittest
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from black_box import BAD_INPUT, GOLDEN, IO, MODELS, ROOT, UNSUPPORTED, USAGE, BlackBox, exaone, read_safetensors

TOWER = MODELS / "tiny-vision"
IMAGES = ROOT / "tests/data/images"


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, data=b"", extra=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def flat_png(width, height):
    return png(width, height, zlib.compress(b"\0" * (height * (3 * width + 1)), 9))


class Pictures(BlackBox):
    def path(self, name, data):
        path = self.scratch / name
        path.write_bytes(data)
        return path

    def embed(self, *pictures, options=(), model=TOWER):
        out = self.scratch / "out.safetensors"
        self.succeed("embed-image", "-m", model, *pictures, "--output", out, *options)
        return read_safetensors(out)

    def refuse(self, picture, *saying, code=BAD_INPUT, options=()):
        out = self.scratch / "none.safetensors"
        start = time.monotonic()
        line = self.fail_with(code, "embed-image", "-m", TOWER, picture, "--output", out, *options, saying=saying)
        self.assertLess(time.monotonic() - start, 20)
        self.assertIn(str(picture), line)
        self.assertFalse(out.exists())


class Good(Pictures):
    def test_arrays(self):
        arrays = self.embed(IMAGES / "gif-large.gif", IMAGES / "png-rgba.png")
        self.assertEqual(arrays["grid_thw"], ("I32", [2, 3], [1, 8, 10, 1, 4, 6]))
        self.assertEqual(arrays["pixel_values"][1], [80 + 24, 1176])
        self.assertEqual(arrays["embeds"][1], [20 + 6, 128])
        self.assertTrue(all(map(math.isfinite, arrays["embeds"][2])))

    def test_verbose_says_what_it_took(self):
        done = exaone("embed-image", "-m", TOWER, IMAGES / "gif-large.gif", "--output", self.scratch / "o.safetensors", "-v")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr.decode(), r"^pictures .* s, weights .* s, 20 tokens encoded in .* s\n$")

    def test_exact_agrees_with_the_reference(self):
        reference = read_safetensors_some(TOWER / "reference.safetensors", ["large.embeds"])["large.embeds"]
        for options in ((), ("--exact",), ("--image-jail", "off", "--exact"), ("--image-jail", "on", "--exact", "-t", "1")):
            arrays = self.embed(IMAGES / "gif-large.gif", options=options)
            worst = max(abs(a - b) for a, b in zip(arrays["embeds"][2], reference, strict=True))
            self.assertLess(worst, 1e-4 if "--exact" in options else 0.1, options)

    def test_the_name_says_nothing(self):
        disguised = self.scratch / "picture.txt"
        shutil.copyfile(IMAGES / "jpeg-420.jpg", disguised)
        self.assertEqual(self.embed(disguised), self.embed(IMAGES / "jpeg-420.jpg"))

    def test_limits_of_tokens(self):
        arrays = self.embed(IMAGES / "gif-large.gif", options=("--image-max-tokens", 6))
        self.assertLessEqual(arrays["embeds"][1][0], 6)
        arrays = self.embed(IMAGES / "gif-large.gif", options=("--image-min-tokens", 60))
        self.assertGreaterEqual(arrays["embeds"][1][0], 60)

    def test_video(self):
        frames = [IMAGES / "png-rgba.png", IMAGES / "png-gamma.png", IMAGES / "png-interlaced.png"]
        self.assertEqual(self.embed(*frames, options=("--video",))["grid_thw"][2], [2, 4, 6])

    def test_a_tower_of_q8_0(self):
        """Its weights are int8 in the file, its activations never are: production stays as close as with BF16."""
        folder = self.scratch / "seeing"
        folder.mkdir()
        text = MODELS / "tiny-exaone4_5"
        config = json.loads((text / "config.json").read_text())
        config["vision_config"] = json.loads((TOWER / "config.json").read_text())["vision_config"]
        (folder / "config.json").write_text(json.dumps(config))
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copyfile(text / name, folder / name)
        shutil.copyfile(TOWER / "preprocessor_config.json", folder / "preprocessor_config.json")
        places = {}
        for shard, source in (("text.safetensors", text), ("tower.safetensors", TOWER)):
            names = copy_tensors(source / "model.safetensors", folder / shard, vision=source == TOWER)
            places |= dict.fromkeys(names, shard)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
        tower = self.scratch / "mmproj.gguf"
        self.succeed("convert", folder, "-o", self.scratch / "text.gguf", "--mmproj", tower, "--type", "q8_0")
        self.assertIn("Q8_0", self.succeed("inspect", tower))
        picture = IMAGES / "gif-large.gif"
        rows, exact = (self.embed(picture, model=tower, options=options)["embeds"][2] for options in ((), ("--exact",)))
        stored = read_safetensors_some(TOWER / "reference.safetensors", ["large.embeds"])["large.embeds"]
        self.assertLessEqual(relative_rms(rows, exact), 0.006)
        self.assertGreater(relative_rms(exact, stored), 0.001)
        self.assertLess(relative_rms(exact, stored), 0.03)

    @unittest.skipUnless(GOLDEN.exists(), "no golden data")
    def test_golden_folder_and_mmproj(self):
        model = GOLDEN / "models/exaone4_5"
        names = [f"image{i}.{part}" for i in range(4) for part in ("embeds", "pixel_values", "grid_thw")]
        reference = read_safetensors_some(model / "reference.safetensors", names)
        for options in ((), ("--mmproj", model / "gguf/mmproj-bf16.gguf")):
            for i in range(4):
                arrays = self.embed(model / f"images/{i}.png", model=model, options=("--exact", *options))
                self.assertEqual(arrays["grid_thw"][2], [int(n) for n in reference[f"image{i}.grid_thw"]])
                for part, most in (("embeds", 1e-4), ("pixel_values", 1e-6)):
                    worst = max(abs(a - b) for a, b in zip(arrays[part][2], reference[f"image{i}.{part}"], strict=True))
                    self.assertLessEqual(worst, most, f"image{i}.{part}")


class Bad(Pictures):
    def test_truncated(self):
        for name in ("jpeg-444-progressive.jpg", "png-interlaced.png", "webp-alpha.webp", "gif-plain.gif"):
            data = (IMAGES / name).read_bytes()
            for i in range(0, 64, 7):
                self.refuse(self.path(name, data[:len(data) * i // 64]))

    def test_bombs(self):
        self.refuse(self.path("gigapixel.png", png(40000, 25000)), "40000 x 25000")
        self.refuse(self.path("one-too-many.png", png(6001, 6000)), "36000000")
        self.refuse(self.path("lies.png", png(6000, 6000, zlib.compress(b"\0" * 1000))))
        self.refuse(self.path("chunks.png", png(8, 8, extra=chunk(b"tEXt", b"a\0b") * 20_000)), "chunks")
        data = (IMAGES / "jpeg-444-progressive.jpg").read_bytes()
        scan = data[data.rindex(b"\xff\xda"):-2]
        self.refuse(self.path("scans.jpg", data[:-2] + scan * 10_000 + data[-2:]))
        self.refuse(self.path("large.png", flat_png(8, 8) + b"\0" * 10_000_000), "bytes")

    def test_no_sizes(self):
        self.refuse(self.path("0xn.png", png(0, 10)), "0 x 10")
        self.refuse(self.path("nx0.png", png(10, 0)), "10 x 0")
        self.refuse(self.path("gif.gif", b"GIF89a\0\0\5\0\0\0\0;"), "0 x 5")

    def test_strips(self):
        self.refuse(self.path("strip.png", flat_png(201, 1)), "200 to 1")
        self.embed(self.path("long.png", flat_png(200, 1)))

    def test_other_files(self):
        self.refuse(self.path("text.png", b"This is no picture."), "JPEG, PNG, WebP or GIF")
        self.refuse(self.path("empty.png", b""), "empty")
        self.refuse(self.scratch / "missing.png", code=IO)
        self.refuse(self.scratch, code=IO)

    def test_moving_pictures(self):
        self.refuse(IMAGES / "bad-animated.png", "moves", code=UNSUPPORTED)
        self.refuse(IMAGES / "bad-animated.webp", "moves", code=UNSUPPORTED)

    def test_flags(self):
        out = self.scratch / "out.safetensors"
        picture = IMAGES / "png-rgba.png"
        for flags in (("--image-min-tokens", 9, "--image-max-tokens", 8), ("--image-max-tokens", 0),
                      ("--image-jail", "perhaps")):
            self.fail_with(USAGE, "embed-image", "-m", TOWER, picture, "--output", out, *flags)
        self.fail_with(UNSUPPORTED, "embed-image", "-m", MODELS / "tiny-exaone4", picture, "--output", out,
                       saying=["no vision tower"])


def copy_tensors(source, target, vision):
    """Copies the tensors that belong to the vision tower, or the others; their names."""
    data = source.read_bytes()
    length = struct.unpack_from("<Q", data)[0]
    header, body = {}, b""
    for name, entry in json.loads(data[8:8 + length]).items():
        if name != "__metadata__" and name.startswith("model.visual.") == vision:
            begin, end = entry["data_offsets"]
            header[name] = {**entry, "data_offsets": [len(body), len(body) + end - begin]}
            body += data[8 + length + begin:8 + length + end]
    text = json.dumps(header).encode()
    target.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return list(header)


def relative_rms(values, expected):
    error = sum((a - b) ** 2 for a, b in zip(values, expected, strict=True))
    return math.sqrt(error / sum(b * b for b in expected))


def read_safetensors_some(path, names):
    """name → flat numbers of arrays of F32 and I32 in a file that also holds others."""
    data = path.read_bytes()
    length = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + length])
    arrays = {}
    for name in names:
        begin, end = header[name]["data_offsets"]
        code = {"F32": "f", "I32": "i"}[header[name]["dtype"]]
        arrays[name] = struct.unpack_from(f"<{(end - begin) // 4}{code}", data, 8 + length + begin)
    return arrays


if __name__ == "__main__":
    unittest.main()
